"""`ttagw revoke`: a token, all tokens of a person, or a key is not accepted any more, from now on and everywhere."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

TIMEOUT = 15.0
"""Seconds for an answer; the gateway itself gives up after ten."""
MOST_BYTES = 64 * 1024
"""Of a file with a key or a token, and of an answer."""
VARIABLE = "TTAGW_KEY"


@click.command()
@click.option("--jti", help="One token, by its id.")
@click.option("--user", help="All tokens of this sub that were issued until now, by any issuer.")
@click.option("--key", metavar="NAME", help="An API key or a certificate, by its name.")
@click.option(
    "--token-file", metavar="FILE", help="The token in this file, of which only jti and exp are read; - is stdin."
)
@click.option("--expires", metavar="TIME", help="With --jti: when the token ends, such as 2027-01-31T12:00:00Z.")
@click.option("--lift", is_flag=True, help="Accept it again.")
@click.option(
    "--admin", default="http://127.0.0.1:8001", show_default=True, help="Where the admin side of a gateway is."
)
@click.option("--key-file", metavar="FILE", help=f"The key of an admin, in a file; - is stdin. Default: ${VARIABLE}.")
def revoke(
    jti: str | None,
    user: str | None,
    key: str | None,
    token_file: str | None,
    expires: str | None,
    lift: bool,
    admin: str,
    key_file: str | None,
) -> None:
    """Revoke a token, all tokens of a person, or a key, on all gateways that share a store.

    Exit status 1 if that is not certain.
    """
    given = {"jti": jti, "user": user, "key": key, "token": token_file}
    document = {name: value for name, value in given.items() if value is not None}
    if len(document) != 1:
        raise click.UsageError("One of --jti, --user, --key and --token-file is needed, and not more than one.")
    if expires is not None and (jti is None or lift):
        raise click.UsageError("--expires goes with --jti, and not with --lift.")
    if {token_file, key_file} == {"-"}:
        raise click.UsageError("Only one of --token-file and --key-file can be stdin.")
    if token_file is not None:
        document["token"] = _read(token_file)
    if expires is not None:
        document["expires"] = expires if not expires.isdigit() else int(expires)  # type: ignore[assignment]
    status, answer = _ask(admin, _admin_key(key_file), "DELETE" if lift else "POST", document)
    if status not in (200, 201):
        raise click.ClickException(_refusal(status, answer))
    click.echo(_done(answer, lift=lift))


def _admin_key(file: str | None) -> str:
    found = _read(file) if file is not None else os.environ.get(VARIABLE, "").strip()
    if not found:
        raise click.UsageError(f"The key of an admin is needed: --key-file FILE, or the variable {VARIABLE}.")
    if not found.isascii() or not found.isprintable() or " " in found:
        raise click.ClickException("What was given as the key of an admin does not have the form of a key.")
    return found


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(MOST_BYTES).strip()
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from None


def _ask(admin: str, key: str, method: str, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer. Ends the program with a sentence where there is none."""
    connection = _connection(admin)
    fields = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request(method, "/revocations", json.dumps(document), fields)
        response = connection.getresponse()
        raw = response.read(MOST_BYTES)
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


def _refusal(status: int, answer: dict[str, Any]) -> str:
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


def _done(answer: dict[str, Any], *, lift: bool) -> str:
    if lift:
        return f"Lifted: this {_WORDS.get(str(answer.get('kind')), 'one')} is accepted again."
    end = f"until {answer['end']}" if answer.get("end") else "until it is lifted"
    if answer.get("kind") == "user":
        return f"Revoked: all tokens of this user that were issued until {answer.get('before')}; kept {end}."
    return f"Revoked: this {_WORDS.get(str(answer.get('kind')), 'one')}; kept {end}."


_WORDS = {"jti": "token", "user": "user", "key": "key"}
