"""What Redis' errors mean. Their text is never repeated: it can hold what was sent, a password among it."""

from __future__ import annotations

import re

from ttagw.store.base import StoreAwayError, StoreError, StoreRefusedError

_AWAY = {
    "LOADING": "loading",
    "MASTERDOWN": "master_down",
    "BUSY": "busy",
    "CLUSTERDOWN": "cluster",
    "MOVED": "cluster",
    "ASK": "cluster",
    "NOAUTH": "no_password",
    "WRONGPASS": "wrong_password",
    "DENIED": "protected_mode",
}
_REFUSED = {
    "OOM": "full",
    "READONLY": "read_only",
    "MISCONF": "cannot_persist",
    "NOREPLICAS": "no_replicas",
    "NOPERM": "no_permission",
    "WRONGTYPE": "wrong_type",
    "NOSCRIPT": "no_script",
}
_SENTENCES = (
    ("max number of clients", "too_many_clients"),
    ("invalid password", "wrong_password"),
    ("without any password configured", "password_not_expected"),
    ("no password is set", "password_not_expected"),
    ("DB index is out of range", "no_such_db"),
)


def meaning(text: str) -> StoreError:
    """The error for an error answer."""
    code = _code(text)
    if code in _AWAY:
        return StoreAwayError(_AWAY[code])
    if code in _REFUSED:
        return StoreRefusedError(_REFUSED[code])
    for part, reason in _SENTENCES:
        if part in text:
            return StoreAwayError(reason)
    return StoreRefusedError("error", code)


def _code(text: str) -> str:
    """The first word. What fails in a script is wrapped by a Redis before 7: `ERR Error running script …: -OOM …`."""
    first = re.match(r"[A-Z]{2,20}\b", text)
    code = first[0] if first else ""
    if code in ("", "ERR"):
        inner = re.search(r": -([A-Z]{2,20}) ", text)
        code = inner[1] if inner else code
    return code
