"""Lists of structured fields (RFC 9651 §4.2.1), read as strictly as a client may: strings with parameters."""

from __future__ import annotations

import re

Item = tuple[str, dict[str, int | str]]

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")


def string_list(value: bytes) -> list[Item]:
    """The items of a list. Raises `ValueError`."""
    text = value.decode("ascii").strip(" ")
    found: list[Item] = []
    at = 0
    while True:
        name, at = _taken(_STRING, text, at)
        params, at = _params(text, at)
        found.append((re.sub(r"\\(.)", r"\1", name[1:-1]), params))
        if at == len(text):
            return found
        _, at = _taken(_BETWEEN, text, at)


def _params(text: str, at: int) -> tuple[dict[str, int | str], int]:
    params: dict[str, int | str] = {}
    while text.startswith(";", at):
        at += 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip(" "))
        key, at = _taken(_KEY, text, at)
        if not text.startswith("=", at):
            raise ValueError("these parameters have values")
        if text.startswith('"', at + 1):
            string, at = _taken(_STRING, text, at + 1)
            params[key] = string[1:-1]
        else:
            number, at = _taken(_INTEGER, text, at + 1)
            params[key] = int(number)
    return params, at


def _taken(pattern: re.Pattern[str], text: str, at: int) -> tuple[str, int]:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"not a list of strings: {text[at:]!r}")
    return match[0], match.end()
