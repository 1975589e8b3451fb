"""Requests that must not pass, and what becomes of each."""
