"""Connections to the services: pools, TLS, and the client side of HTTP/1.1."""
