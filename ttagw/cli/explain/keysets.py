"""The keys of an issuer, for one look at one token."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, build_opener

from ttagw.cli.explain.step import shown
from ttagw.config.auth import Issuer

MOST_BYTES = 256 * 1024
PATIENCE = 5.0
"""Bytes of a key set, and seconds until it is there."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Where an issuer's keys are and what they are called; not the keys themselves."""

    issuer: Issuer
    """As the verification gets it: keys that were fetched are a file by now."""
    place: str
    """The key of the configuration that says where they are."""
    fault: str = ""
    """Why they are not there; "" if they are."""
    ids: tuple[str, ...] = ()
    """Their `kid`s, "" for a key without."""


class _StaysHere(HTTPRedirectHandler):
    """The gateway follows no redirects either."""

    def redirect_request(self, *_: Any) -> None:
        return None


def direct() -> OpenerDirector:
    """Asks what the address says, and nobody in between."""
    return build_opener(ProxyHandler({}), _StaysHere)


def key_set(issuer: Issuer, folder: Path, *, offline: bool, now: Callable[[], float] = time.monotonic) -> KeySet:
    """The keys of this issuer; what is fetched is put into `folder`."""
    if issuer.secret_file:
        return KeySet(issuer, "secret_file")
    if issuer.jwks_file:
        return _read(issuer, "jwks_file", Path(issuer.jwks_file))
    if offline:
        return KeySet(issuer, "jwks_url", "not fetched, because of --offline")
    try:
        raw = _fetched(issuer.jwks_url, now)
    except HTTPError as error:
        return KeySet(issuer, "jwks_url", f"answered with {error.code}")
    except TimeoutError:
        return KeySet(issuer, "jwks_url", f"no answer in {PATIENCE:g} s")
    except (OSError, HTTPException, ValueError) as error:
        return KeySet(issuer, "jwks_url", f"cannot be fetched: {shown(str(getattr(error, 'reason', error)))}")
    file = folder / "keys.json"
    file.write_bytes(raw)
    return _read(issuer.model_copy(update={"jwks_url": "", "jwks_file": str(file)}), "jwks_url", file)


def _fetched(url: str, now: Callable[[], float]) -> bytes:
    """What is at this address. Raises `OSError`, `HTTPException`, `ValueError`."""
    last = now() + PATIENCE
    pieces: list[bytes] = []
    with direct().open(url, timeout=PATIENCE) as answer:
        while piece := answer.read1(65536):
            pieces.append(piece)
            if now() > last:
                raise TimeoutError
            if sum(map(len, pieces)) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES // 1024} KiB")
    return b"".join(pieces)


def _read(issuer: Issuer, place: str, file: Path) -> KeySet:
    try:
        keys = json.loads(file.read_bytes())["keys"]
        ids = tuple([shown(str(each.get("kid", ""))) for each in keys if isinstance(each, dict)])
    except OSError as error:
        return KeySet(issuer, place, f"cannot be read: {error.strerror}")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return KeySet(issuer, place, "not a JSON Web Key Set")
    return KeySet(issuer, place, "" if ids else "a JSON Web Key Set without keys", ids)
