"""A gateway behind which every player's data is theirs, and people who want to reach it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, View, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, get, once
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until

PLAYERS = {"auth": "required", "owner": "player"}
REASON = "They have not been heard of since Tuesday."


@dataclass
class Ward:
    """Everything that a gateway of this kind is made of."""

    folder: Path
    origin: Origin
    auth: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.issuer = Issuer(self.folder)
        self.key: Key = make_key(self.folder)
        self.other = make_key(self.folder, "game", ("service",))

    def gateway(self, place: Path | None = None, **about: Any) -> Gateway:
        """A gateway in `place`, a folder; `about` goes to `[gateway]`."""
        folder = place or self.folder
        folder.mkdir(exist_ok=True)
        services = {"s": service(self.origin.port), **self.services}
        routes = [route("/players/{player}", name="players", **{**PLAYERS, **self.route})]
        auth = {"issuers": [self.issuer.section], **self.key.section, **self.auth}
        store = {"store": f"sqlite:{folder}/state.db", **about}
        return Gateway(folder, services, routes, auth=auth, gateway=store, **self.sections)

    def therapist(self, user: str = "thea", **claims: Any) -> str:
        """The token of one who may break the glass."""
        return self.issuer.token(user, "therapist", **{"mfa_verified": True, **claims})

    def records(self, gateway: Gateway, query: str = "") -> list[View]:
        """What a reviewer sees, newest first."""
        status, page = Operator(gateway, self.key).ask("GET", f"/break-glass{query}")
        assert status == 200, page
        found: list[View] = page["records"]
        return found


def ask(gateway: Gateway, token: str, person: str, *reasons: str) -> Answer:
    """Ask for somebody's data, with these reasons for breaking the glass."""
    fields = [f"X-Break-Glass-Reason: {each}" for each in reasons]
    return once(gateway.port, get(f"/players/{person}", f"Authorization: Bearer {token}", *fields))


def problem(answer: Answer) -> dict[str, Any]:
    """The problem document."""
    document: dict[str, Any] = json.loads(answer.body)
    return document


def told(gateway: Gateway, kind: str) -> list[View]:
    """The events of this kind, from the stream, once there is one."""
    found: list[View] = []

    def look() -> bool:
        found[:] = [each for each in events(gateway) if each["kind"] == kind]
        return bool(found)

    until(look, f"an event {kind} is in the stream")
    return found


def events(gateway: Gateway) -> list[View]:
    """What has been told so far: the stream is read until it says nothing for a moment."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=0.5)
    lines: list[bytes] = []
    try:
        connection.request("GET", "/events", headers={"Last-Event-ID": "0"})
        response = connection.getresponse()
        while True:
            lines.append(response.readline())
    except TimeoutError:
        pass
    finally:
        connection.close()
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
