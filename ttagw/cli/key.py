"""`ttagw key`: the keys of programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ttagw.config import ConfigError

FILE = click.option(
    "--file", "file", required=True, type=click.Path(path_type=Path), help="What auth.api_keys.file names."
)


@click.group()
def key() -> None:
    """Make, list and remove the keys of programs that use the admin API."""


@key.command()
@click.argument("name")
@FILE
@click.option("--role", "roles", multiple=True, default=("service",), show_default=True, help="May be given again.")
@click.option("--permission", "permissions", multiple=True, help="Such as register:core-gameplay; may be given again.")
def new(name: str, file: Path, roles: tuple[str, ...], permissions: tuple[str, ...]) -> None:
    """Make a key for NAME and print it: this once, since only its hash is kept."""
    from ttagw.auth import keyfile
    from ttagw.auth.argon2 import hashed

    with _said():
        try:
            text = keyfile.new_key(name, os.urandom(32))
        except ValueError as error:
            raise keyfile.KeyFileError(f"{name!r}: {error}") from None
        keyfile.add(file, name, hashed(text.encode("ascii")), roles, permissions)
    click.echo(text)
    click.echo(f"This is the key of {name}. It cannot be shown again; only its hash is in {file}.", err=True)


@key.command("list")
@FILE
def list_(file: Path) -> None:
    """Who has a key, with roles and permissions."""
    from ttagw.auth import keyfile

    with _said():
        entries = keyfile.load(file)
    for name, entry in entries.items():
        parts = [name, f"roles: {', '.join(entry.roles) or 'none'}"]
        if entry.permissions:
            parts.append(f"permissions: {', '.join(entry.permissions)}")
        if entry.expires is not None:
            parts.append(f"expires: {entry.expires.isoformat()}")
        click.echo("  ".join(parts))


@key.command()
@click.argument("name")
@FILE
def remove(name: str, file: Path) -> None:
    """Take the key of NAME out of the file. A gateway that runs refuses it from the next second on."""
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
