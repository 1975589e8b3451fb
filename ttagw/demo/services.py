"""The four demo services, each a process of its own: `python -m ttagw.demo.services NAME PORT`.

Prints one JSON line, `{"service": NAME, "port": PORT}`, when it listens (on 127.0.0.1 only) and takes signals;
PORT 0 takes a free one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import click
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import Site

from ttagw.demo.answers import Fixed, Health, JsonResource
from ttagw.demo.collection import Collection
from ttagw.demo.issuer import Issuer
from ttagw.demo.login import Keys, Login, Logout, Refresh
from ttagw.demo.story import Story

PLAYERS = (
    {"name": "Mira", "level": 7, "likes": ["tea", "caves", "long sentences"]},
    {"name": "Odo", "level": 3, "likes": ["maps that are wrong"]},
    {"name": "Quill", "level": 12, "likes": ["silence", "trumpets"]},
)
CHARACTERS = (
    {"name": "Bramble", "kind": "hedgehog knight", "player": "1"},
    {"name": "The Unhurried", "kind": "tortoise oracle", "player": "2"},
)
WORLDS = (
    {"name": "The Quiet Wood", "mood": "dusk", "benches": 41},
    {"name": "Harbour of Second Thoughts", "mood": "morning fog", "benches": 9},
)
SESSIONS = ({"player": "1", "world": "1", "chapter": "The fox who knits", "minutes": 12},)
PROGRESS = ({"player": "1", "chapters": 4, "kindnesses": 17}, {"player": "2", "chapters": 1, "kindnesses": 3})
EXERCISES = (
    {"name": "Four in, six out", "minutes": 2},
    {"name": "Five things you can see", "minutes": 3},
)
AGENTS = (
    {"name": "Narrator", "state": "telling"},
    {"name": "World keeper", "state": "sweeping leaves"},
)
WORKFLOWS = ({"name": "A gentle ending", "steps": ["notice", "slow down", "say goodbye"]},)


def player_experience(_clock: IReactorTime) -> Resource:
    """Players, characters and worlds below `/api/v1`."""
    return tree(
        "player-experience",
        {
            "api/v1/players": Collection("players", PLAYERS),
            "api/v1/characters": Collection("characters", CHARACTERS),
            "api/v1/worlds": Collection("worlds", WORLDS),
        },
    )


def authentication(_clock: IReactorTime) -> Resource:
    """Login, logout and refresh below `/auth/v1`, and the keys of its tokens."""
    issuer = Issuer(time.time)
    return tree(
        "authentication",
        {
            "auth/v1/login": Login(issuer),
            "auth/v1/logout": Logout(),
            "auth/v1/refresh": Refresh(issuer),
            ".well-known/jwks.json": Keys(issuer),
        },
    )


def core_gameplay(clock: IReactorTime) -> Resource:
    """Sessions, progress, exercises and the streamed story below `/gameplay/v1`."""
    return tree(
        "core-gameplay",
        {
            "gameplay/v1/sessions": Collection("sessions", SESSIONS),
            "gameplay/v1/progress": Collection("progress", PROGRESS),
            "gameplay/v1/therapeutic/exercises": Collection("exercises", EXERCISES),
            "gameplay/v1/story": Story(clock),
        },
    )


def agent_orchestration(_clock: IReactorTime) -> Resource:
    """Agents and workflows below `/api/v1`."""
    return tree(
        "agent-orchestration",
        {"api/v1/agents": Collection("agents", AGENTS), "api/v1/workflows": Collection("workflows", WORKFLOWS)},
    )


SERVICES: Mapping[str, Callable[[IReactorTime], Resource]] = {
    "player-experience": player_experience,
    "authentication": authentication,
    "core-gameplay": core_gameplay,
    "agent-orchestration": agent_orchestration,
}
"""The tree of each service."""


def tree(service: str, leaves: Mapping[str, Resource]) -> Resource:
    """Hang `leaves` (path → resource) below one root, with `/health` and a welcome at `/`."""
    root = JsonResource()
    anchor: Any = root  # zope interfaces mislead mypy about what a Resource is
    anchor.putChild(b"health", Health(service))
    anchor.putChild(b"", Fixed({"service": service, "paths": ["/health", *(f"/{path}" for path in leaves)]}))
    for path, leaf in leaves.items():
        *above, last = path.encode().split(b"/")
        node = anchor
        for segment in above:
            child = node.children.get(segment)
            if child is None:
                child = JsonResource()
                node.putChild(segment, child)
            node = child
        node.putChild(last, leaf)
    return root


@click.command()
@click.argument("name", type=click.Choice(sorted(SERVICES)))
@click.argument("port", type=click.IntRange(0, 65535))
@click.option("--or-any", is_flag=True, help="Take a free port where PORT is in use.")
def main(name: str, port: int, or_any: bool) -> None:
    """Run one demo service until SIGTERM or SIGINT; requests are logged to stderr."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, textFileLogObserver(sys.stderr))], redirectStandardIO=False)
    site = Site(SERVICES[name](reactor))
    try:
        listening = reactor.listenTCP(port, site, interface="127.0.0.1")
    except CannotListenError as fault:
        if not or_any:
            raise click.ClickException(f"{name} cannot listen on port {port}: {fault.socketError}") from fault
        listening = reactor.listenTCP(0, site, interface="127.0.0.1")
    # Who reads this line may send a signal at once: before the reactor runs nobody would take it, and an interrupt
    # that comes while it starts is swallowed.
    reactor.callWhenRunning(click.echo, json.dumps({"service": name, "port": listening.getHost().port}))
    reactor.run()


if __name__ == "__main__":
    main()
