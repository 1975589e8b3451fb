"""`ttagw explain`: why a request is answered as it is."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttagw.cli.check import FILE, loaded
from ttagw.config import Config, ConfigError

if TYPE_CHECKING:
    from ttagw.cli.explain.trial import Asking

MOST_TOKEN = 1024 * 1024
"""Bytes of a file with a token that are read; what is longer is no token of anybody."""
_SHORTEST_HIDDEN = 8
"""Characters below which a piece of a token is nothing to hide, and would hide half of what is said."""


@click.command()
@FILE
@click.argument("request", metavar='"METHOD TARGET"')
@click.option(
    "--token", metavar="TOKEN", help="A token or key. It stays in the history of the shell: --token-file is better."
)
@click.option("--token-file", metavar="FILE", help="The file that a token or key is in; - is standard input.")
@click.option("--host", help="The host that is asked for.  [default: that of the target, or localhost]")
@click.option("--header", "headers", multiple=True, metavar='"NAME: VALUE"', help="A header field. May be given again.")
@click.option("--client", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it comes from.")
@click.option("--offline", is_flag=True, help="Fetch no keys; nobody is let in by a jwks_url then.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def explain(
    file: str,
    request: str,
    token: str | None,
    token_file: str | None,
    host: str | None,
    headers: tuple[str, ...],
    client: str,
    offline: bool,
    as_json: bool,
) -> None:
    """Say why the gateway of FILE answers a request as it does, such as "GET /api/v1/players/7", step by step.

    Tokens are verified as the gateway does it, with the keys of their issuer as they are now. What only a running
    gateway knows is not looked at: revocations, glass that was broken, and how its services are. Neither tokens nor
    keys are printed.

    The exit status is 0 when a service would be asked, 1 when the gateway answers by itself, and 2 when what was given
    cannot be used.
    """
    from ttagw.cli.explain.trial import Asking
    from ttagw.cli.routes import field_of, request_of

    method, target = request_of(request, "this command")
    fields = [field_of(header) for header in headers]
    secret = _secret(token, token_file)
    if secret:
        fields.append((b"authorization", b"Bearer " + secret))
    asking = Asking(method, target, [(b"host", _host(target, host)), *fields], _address(client))
    said, forwarded = _explained(loaded(file, status=2), asking, offline=offline, as_json=as_json)
    click.echo(_hidden(said, [value for name, value in fields if name in (b"authorization", b"x-api-key")]))
    sys.exit(0 if forwarded else 1)


def _explained(config: Config, asking: Asking, *, offline: bool, as_json: bool) -> tuple[str, bool]:
    """The explanation, and whether a service would be asked. Ends the program if the file of keys cannot be used."""
    from ttagw.cli.explain.outcome import outcome, steps
    from ttagw.cli.explain.step import columns, document
    from ttagw.cli.explain.trial import Trial

    with tempfile.TemporaryDirectory(prefix="ttagw-explain-") as folder:
        try:
            trial = Trial(config, asking, Path(folder), offline=offline).run()
            told, end = steps(trial, time.time()), outcome(trial)
        except ConfigError as error:
            for fault in error.faults:
                click.echo(str(fault), err=True)
            sys.exit(2)
    if as_json:
        return json.dumps({"steps": document(told), "outcome": end.document()}, indent=2), end.forwarded
    return "\n".join([*columns(told), end.line()]), end.forwarded


def _secret(token: str | None, file: str | None) -> bytes:
    """The token or key that was given; b"" without one. Raises `UsageError`, which says nothing of what was given."""
    if token is None and file is None:
        return b""
    if token is not None and file is not None:
        raise click.UsageError("expected either --token or --token-file, got both")
    if token is not None:
        raw = token.encode("utf-8", "surrogateescape")
    else:
        # Its name is not repeated: it may be a token that was meant for --token.
        try:
            raw = _content(file or "")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not the name of a file"
            raise click.UsageError(f"the file of --token-file cannot be read: {why}") from None
    secret = raw.strip()
    if not secret or not all(0x21 <= byte <= 0x7E for byte in secret):
        raise click.UsageError("expected one token or key, of printable ASCII without spaces")
    return secret


def _content(file: str) -> bytes:
    """The content of a file. Raises `OSError`, `ValueError`."""
    with click.open_file(file, "rb") as opened:
        content: bytes = opened.read(MOST_TOKEN)
    return content


def _host(target: bytes, given: str | None) -> bytes:
    """The value of the field Host. Raises `UsageError`."""
    scheme, _, rest = target.partition(b"://")
    own = rest.partition(b"/")[0].partition(b"?")[0] if scheme.lower() in (b"http", b"https") else b""
    if given is None:
        return own or b"localhost"
    if not given.isascii():
        raise click.UsageError('--host expects a host, such as "play.tta.example"')
    return given.encode("ascii")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise click.UsageError('--client expects an address, such as "192.0.2.7"') from None


def _hidden(said: str, secrets: list[bytes]) -> str:
    """Without any token, key or signature, wherever one has got to."""
    for secret in secrets:
        text = secret.decode("latin-1").rpartition(" ")[2]
        for piece in (text, text.rpartition(".")[2]):
            if len(piece) >= _SHORTEST_HIDDEN:
                said = said.replace(piece, "(not shown)")
    return said
