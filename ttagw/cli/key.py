"""`ttagw key`: the keys of programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ttagw.config import ConfigError
from ttagw.config.units import seconds


class End(click.ParamType[datetime]):
    """When a key ends."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See `ttagw.auth.keyrotation.end_of`."""
        from ttagw.auth.keyrotation import end_of

        if isinstance(value, datetime):
            return value
        try:
            return end_of(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[float]):
    """How long something lasts."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


FILE = click.option(
    "--file", "file", required=True, type=click.Path(path_type=Path), help="What auth.api_keys.file names."
)


@click.group()
def key() -> None:
    """Make, list, rotate and remove the keys of programs."""


@key.command()
@click.argument("name")
@FILE
@click.option("--role", "roles", multiple=True, default=("service",), show_default=True, help="May be given again.")
@click.option("--permission", "permissions", multiple=True, help="Such as register:core-gameplay; may be given again.")
@click.option("--expires", type=End(), help='When it ends: "90d", "2027-01-01" (UTC). Without it, never.')
def new(name: str, file: Path, roles: tuple[str, ...], permissions: tuple[str, ...], expires: datetime | None) -> None:
    """Make a key for NAME and print it: this once, since only its hash is kept."""
    from ttagw.auth import keyfile
    from ttagw.auth.keyrotation import NEVER

    with _said():
        text, phc = _made(name)
        keyfile.add(file, name, phc, roles, permissions, None if expires == NEVER else expires)
    _show(text, name, file)


@key.command()
@click.argument("name")
@FILE
@click.option("--keep", type=Duration(), default="24h", show_default=True, help="How long the old key is good.")
@click.option("--expires", type=End(), help='When the new key ends: "90d", "2027-01-01" (UTC), "never".')
def rotate(name: str, file: Path, keep: float, expires: datetime | None) -> None:
    """Make another key for NAME and print it, this once. The old one is good for a while; see also remove-old."""
    from ttagw.auth import keyfile, keyrotation

    with _said():
        text, phc = _made(name)
        until = keyrotation.rotate(file, name, phc, keep, datetime.now(UTC), expires)
    _show(text, name, file)
    if until is None:
        click.echo("The old key is no longer good.", err=True)
    else:
        click.echo(f"The old key is good until {keyfile.moment(until)}.", err=True)


@key.command("remove-old")
@click.argument("name")
@FILE
def remove_old(name: str, file: Path) -> None:
    """Take the old key of NAME out of the file, after a rotation. The new one stays."""
    from ttagw.auth import keyrotation

    with _said():
        keyrotation.remove_old(file, name)
    click.echo(f"The old key of {name} is no longer in {file}.", err=True)


def _made(name: str) -> tuple[str, str]:
    """A new key and its hash. Raises `KeyFileError`."""
    from ttagw.auth import keyfile
    from ttagw.auth.argon2 import hashed

    try:
        text = keyfile.new_key(name, os.urandom(32))
    except ValueError as error:
        raise keyfile.KeyFileError(f"{name!r}: {error}") from None
    return text, hashed(text.encode("ascii"))


def _show(text: str, name: str, file: Path) -> None:
    click.echo(text)
    click.echo(f"This is the key of {name}. It cannot be shown again; only its hash is in {file}.", err=True)


@key.command("list")
@FILE
def list_(file: Path) -> None:
    """Who has a key, with roles and permissions, and when it ends."""
    from ttagw.auth import keyfile

    with _said():
        entries = keyfile.load(file)
    now = datetime.now(UTC)
    for name, entry in entries.items():
        parts = [name, f"roles: {', '.join(entry.roles) or 'none'}"]
        if entry.permissions:
            parts.append(f"permissions: {', '.join(entry.permissions)}")
        if entry.expires is not None:
            parts.append(_end("expires", entry.expires, now))
        if entry.previous is not None:
            parts.append(_end("old key expires", entry.previous.expires, now))
        click.echo("  ".join(parts))


def _end(what: str, end: datetime, now: datetime) -> str:
    return f"{what}: {end.isoformat()}" + (" (over)" if end <= now else "")


@key.command()
@click.argument("name")
@FILE
def remove(name: str, file: Path) -> None:
    """Take the key of NAME out of the file, the old one too. A gateway that runs refuses it from the next second on."""
    from ttagw.auth import keyfile

    with _said():
        keyfile.remove(file, name)
    click.echo(f"The key of {name} is no longer in {file}.", err=True)


@contextmanager
def _said() -> Iterator[None]:
    """What goes wrong, as a sentence; exit status 1 then."""
    from ttagw.auth.keyfile import KeyFileError

    try:
        yield
    except (KeyFileError, ConfigError) as error:
        raise click.ClickException(str(error)) from None
