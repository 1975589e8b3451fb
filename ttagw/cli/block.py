"""`ttagw block`: who is blocked at the gateways that share a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from ttagw.cli.asking import admin_key, ask, refusal, with_admin

F = TypeVar("F", bound=Callable[..., Any])

MOST_BYTES = 1024 * 1024
"""Of an answer with a page of blocks."""
PAGE = 200
"""Blocks that are asked for at once."""


@click.group()
def block() -> None:
    """Show, add and lift blocks of addresses and users, on all gateways that share a store."""


def _who(command: F) -> F:
    address = click.option("--address", help="An address or a network, such as 203.0.113.7 or 203.0.113.0/24.")
    user = click.option("--user", help="A user, by the sub of their tokens.")
    return address(user(command))


def _document(address: str | None, user: str | None) -> dict[str, str]:
    given = {"address": address, "user": user}
    document = {name: value for name, value in given.items() if value is not None}
    if len(document) != 1:
        raise click.UsageError("One of --address and --user is needed, and not both.")
    return document


@block.command()
@_who
@click.option("--for", "lasts", metavar="TIME", help="How long, such as 15m, 2h or 7d. Default: until it is lifted.")
@click.option("--reason", help="A word that says why; it is listed and in the log. Default: operator.")
@with_admin
def add(
    address: str | None, user: str | None, lasts: str | None, reason: str | None, admin: str, key_file: str | None
) -> None:
    """Block an address, a network or a user.

    Exit status 1 if that is not certain.
    """
    document = _document(address, user)
    more = {"for": lasts, "reason": reason}
    document |= {name: value for name, value in more.items() if value is not None}
    status, answer = ask(admin, admin_key(key_file), "POST", "/blocks", document)
    if status != 201:
        raise click.ClickException(refusal(status, answer))
    whom = answer.get("address") or "this user"
    click.echo(f"Blocked: {whom}, until {answer.get('end') or 'it is lifted'}.")


@block.command()
@_who
@with_admin
def lift(address: str | None, user: str | None, admin: str, key_file: str | None) -> None:
    """Block an address, a network or a user no more.

    Exit status 1 if that is not certain, or nothing was blocked.
    """
    document = _document(address, user)
    status, answer = ask(admin, admin_key(key_file), "DELETE", "/blocks", document)
    if status != 200:
        raise click.ClickException(refusal(status, answer))
    click.echo(f"Lifted: {answer.get('address') or 'this user'} is not blocked any more.")


@block.command(name="list")
@_who
@with_admin
def list_(address: str | None, user: str | None, admin: str, key_file: str | None) -> None:
    """Show who is blocked, or whether one address or user is."""
    key = admin_key(key_file)
    if address is not None or user is not None:
        answer = _page(admin, key, _document(address, user))
        if answer.get("listed"):
            click.echo(f"The configuration says: {answer['listed']}.")
        if not _print(answer):
            click.echo("Not blocked.")
        return
    after: str | None = ""
    count = 0
    while after is not None:
        answer = _page(admin, key, {"limit": str(PAGE), **({"after": after} if after else {})})
        count += _print(answer)
        after = answer.get("after") or None
    if not count:
        click.echo("Nobody is blocked.")


def _page(admin: str, key: str, query: dict[str, str]) -> dict[str, Any]:
    status, answer = ask(admin, key, "GET", f"/blocks?{urlencode(query)}", most=MOST_BYTES)
    if status != 200:
        raise click.ClickException(refusal(status, answer))
    return answer


def _print(answer: dict[str, Any]) -> int:
    """One line for each block; how many."""
    blocks = answer.get("blocks") or []
    for each in blocks:
        whom = f"address {each['address']}" if "address" in each else f"user {each.get('user')}"
        until = f"until {each['end']}" if each.get("end") else "until it is lifted"
        click.echo(f"{whom}  {until}  {each.get('by')}  {each.get('reason')}")
    return len(blocks)
