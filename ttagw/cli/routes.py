"""`ttagw routes`: which requests go where, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from ttagw.cli.check import FILE, loaded
from ttagw.config import Config, Route
from ttagw.config.units import write_seconds, write_size
from ttagw.core.headers import PASS, REFUSE, REQUESTS
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.core.routing import Found, Miss, Pattern, Table
from ttagw.core.target import TargetError, canonical, check_host, split_target

HEADINGS = ("name", "hosts", "methods", "path", "service", "service path", "timeout", "max body", "auth")

Fields = list[tuple[bytes, bytes]]


class RefusedError(Exception):
    """The gateway would answer by itself; the message begins with the status."""


@click.command()
@FILE
@click.option("--match", "request", metavar='"METHOD TARGET"', help="Which route answers this request, and why.")
@click.option("--header", "headers", multiple=True, metavar='"NAME: VALUE"', help="A header field of that request.")
def routes(file: str, request: str | None, headers: tuple[str, ...]) -> None:
    """Show the routes of FILE.

    With --match, show which one answers, such as "GET /api/v1/players/7" or "GET http://play.tta.example/". The exit
    status is 1 when none does.
    """
    if request is None and headers:
        raise click.UsageError("--header goes with --match")
    config = loaded(file)
    if request is None:
        for line in table([_row(config, route) for route in config.routes]):
            click.echo(line)
        return
    method, target = request_of(request, "--match")
    fields = [field_of(header) for header in headers]
    lines, answered = explain(config, method, target, fields)
    for line in lines:
        click.echo(line)
    sys.exit(0 if answered else 1)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with the cells of each column one below the other."""
    everything = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    for row in everything:
        yield "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()


def _row(config: Config, route: Route) -> tuple[str, ...]:
    asked = [f"{name}: {value}" for name, value in route.headers.items()]
    most = config.http.max_body if route.max_body is None else route.max_body
    return (
        route.name,
        " ".join(route.hosts) or "any",
        " ".join(route.methods) or "any",
        route.path + (f" ({', '.join(asked)})" if asked else ""),
        services(route),
        route.rewrite or "same",
        "-" if route.timeout is None else write_seconds(route.timeout),
        str(write_size(most)),
        route.auth,
    )


def services(route: Route) -> str:
    """The service of a route, or its services with their weights."""
    return route.service or " ".join([f"{name}={weight}" for name, weight in route.split.items()])


def request_of(text: str, place: str) -> tuple[bytes, bytes]:
    """Method and target. Raises `UsageError`; `place` is what they were given as."""
    method, _, target = text.strip().partition(" ")
    if not target or " " in target or not target.isascii() or not method.isascii():
        raise click.UsageError(f'{place} expects a method and a target, such as "GET /api/v1/players/7"')
    return method.encode("ascii"), target.encode("ascii")


def field_of(text: str) -> tuple[bytes, bytes]:
    """Name, in lower case, and value. Raises `UsageError`."""
    name, colon, value = text.partition(":")
    try:
        field = name.lower().encode("ascii"), value.strip().encode("latin-1")
    except UnicodeEncodeError:
        colon = ""
    if not colon or not name.strip() or name != name.strip():
        raise click.UsageError('--header expects a name and a value, such as "x-api-version: 2"')
    return field


def tree_of(config: Config) -> Table[Route]:
    """The routes of a configuration as they are looked up."""
    entries = [(Pattern(each.path, each.hosts, each.methods, each.headers), each) for each in config.routes]
    return Table(entries, label=lambda route: route.name)


def explain(config: Config, method: bytes, target: bytes, fields: Fields) -> tuple[list[str], bool]:
    """What the gateway does with a request, in lines, and whether a route answers."""
    tree = tree_of(config)
    try:
        host, path, query = _target(method, target)
        seen = _seen(fields)
    except RefusedError as error:
        return [f"the gateway answers {error}"], False
    if path == b"*":
        return ["the gateway answers 204: OPTIONS * is about the server as a whole"], False
    found = tree.find(host, method, path, seen)
    lines = _answer(found) if isinstance(found, Miss) else _route(found, path, query)
    return [*lines, "why:", *[f"  {line}" for line in tree.explain(host, method, path, seen)]], isinstance(found, Found)


def _target(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Host (b"" if none is given), canonical path, query. Raises `RefusedError`."""
    if method == b"CONNECT":
        raise RefusedError("405: this is a gateway, not a forward proxy")
    try:
        path, query, authority = split_target(target)
        if path == b"*" and method != b"OPTIONS":
            raise RefusedError("400: only OPTIONS may ask for *")
        host = b"" if authority is None else check_host(authority)
        return host, path if path == b"*" else canonical(path), query
    except TargetError as error:
        raise RefusedError(f"400: {error.reason.replace('_', ' ')}") from None


def _seen(fields: Fields) -> Fields:
    """The fields that routes see. Raises `RefusedError`."""
    kinds = [(REQUESTS.kind(name), name, value) for name, value in fields]
    for kind, name, _ in kinds:
        if kind == REFUSE:
            raise RefusedError(f"400: underscore in the name of the field {name.decode('ascii')}")
    return [(name, value) for kind, name, value in kinds if kind == PASS]


def _answer(miss: Miss) -> list[str]:
    if miss.allow:
        return [f"the gateway answers 405: the path is there, but only for {', '.join(miss.allow)}"]
    return ["the gateway answers 404: no route matches"]


def _route(found: Found[Route], path: bytes, query: bytes | None) -> list[str]:
    route = found.target
    rewrite = compile_rewrite(route.path, route.rewrite)
    there = path if rewrite is None else rewrite.apply(found.params, found.rest)
    params = [f"{name}={value.decode()}" for name, value in zip(found.names, found.params, strict=True)]
    lines = [f'the route "{route.name}" answers', f"  path          {route.path}"]
    if params:
        lines.append(f"  params        {' '.join(params)}")
    if found.rest:
        lines.append(f"  rest          {found.rest.decode()}")
    lines.append(f"  service       {services(route)}")
    lines.append(f"  service path  {there.decode()}" + ("" if query is None else f"?{query.decode()}"))
    return lines
