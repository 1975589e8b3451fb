"""How commands ask the admin side of a gateway."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT = 15.0
"""Seconds for an answer; the gateway itself gives up after ten."""
MOST_BYTES = 64 * 1024
"""Of a file with a key or a token, and of an answer."""
VARIABLE = "TTAGW_KEY"


def with_admin(command: F) -> F:
    """Adds the options `--admin` and `--key-file`."""
    key_file = click.option(
        "--key-file", metavar="FILE", help=f"The key of an admin, in a file; - is stdin. Default: ${VARIABLE}."
    )
    admin = click.option(
        "--admin", default="http://127.0.0.1:8001", show_default=True, help="Where the admin side of a gateway is."
    )
    return admin(key_file(command))


def admin_key(file: str | None) -> str:
    """The key in a file, or of the variable. Ends the program with a sentence where there is none."""
    found = contents(file) if file is not None else os.environ.get(VARIABLE, "").strip()
    if not found:
        raise click.UsageError(f"The key of an admin is needed: --key-file FILE, or the variable {VARIABLE}.")
    if not found.isascii() or not found.isprintable() or " " in found:
        raise click.ClickException("What was given as the key of an admin does not have the form of a key.")
    return found


def contents(file: str) -> str:
    """What is in a file, `-` is stdin. Ends the program with a sentence where it cannot be read."""
    try:
        if file == "-":
            return sys.stdin.read(MOST_BYTES).strip()
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from None


def ask(
    admin: str, key: str, method: str, path: str, document: Mapping[str, Any] | None = None, most: int = MOST_BYTES
) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer, of which `most` bytes are read. Ends the program with a sentence where there
    is none.
    """
    connection = _connection(admin)
    fields = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if document is None else json.dumps(document), fields)
        response = connection.getresponse()
        raw = response.read(most)
    except TimeoutError:
        raise click.ClickException(
            f"{admin} gave no answer in {TIMEOUT:g} s; whether it was done is not known."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no answer that makes sense"
        raise click.ClickException(f"{admin} cannot be asked: {why}. Nothing is known to be done.") from None
    finally:
        connection.close()
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    return response.status, found if isinstance(found, dict) else {}


def _connection(admin: str) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(admin)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query:
        raise click.UsageError("--admin is an address such as http://127.0.0.1:8001.")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl.create_default_context())


def refusal(status: int, answer: Mapping[str, Any]) -> str:
    """The sentence for an answer that is not what was asked for."""
    detail = str(answer.get("detail") or "It gave no reason.")
    errors = answer.get("errors")
    faults = [f"{each.get('field')}: {each.get('message')}" for each in errors] if isinstance(errors, list) else []
    return f"{_MEANINGS.get(status, 'It was not done')} ({status}). {' '.join([detail, *faults])}"


_MEANINGS = {
    400: "The gateway could not use what was asked",
    401: "The gateway does not know this key",
    403: "This key does not belong to an admin",
    404: "There was nothing to lift",
    429: "Too many keys that are not known came from here",
    503: "It was not stored",
}
