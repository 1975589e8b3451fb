"""A service that people log in at, and people who try."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.raw import Answer, once, post

SLOW = 0.12
"""Seconds that it takes to find a password wrong."""
PASSWORD = "a good one"
ACCOUNTS = frozenset(("mira", "ana", "eva", "ida", "tom", "ute", "leo"))
HELP = {"status": 503, "default_region": "US", "regions": {"US": {"text": "Call 988.", "hotline": "988"}}}
LONG = {"failures": 5, "window": "15m", "lasts": "30m"}


def log_in(talk: Talk, request: Request) -> None:
    """401 for a wrong password, after a while; 404 for an account that does not exist, at once."""
    try:
        name, password = _read(request.body)
    except ValueError:
        talk.reply(b"unreadable", status=b"422 Unprocessable Content")
        return
    cookie = b"Set-Cookie: seen=yes"
    if name not in ACCOUNTS:
        talk.reply(b'{"error": "no such user"}', cookie, b"X-Cause: unknown", status=b"404 Not Found")
    elif password != PASSWORD:
        time.sleep(SLOW)
        talk.reply(b'{"error": "wrong password"}', cookie, b"WWW-Authenticate: Basic", status=b"401 Unauthorized")
    else:
        talk.reply(b'{"token": "t"}', cookie)


def _read(body: bytes) -> tuple[str, str]:
    if body[:1] == b"{":
        found = json.loads(body)
        return str(found.get("username", "")), str(found.get("password", ""))
    form = parse_qs(body.decode(), strict_parsing=True)
    return form.get("username", [""])[0], form.get("password", [""])[0]


def gateway_for(
    folder: Path, origin: Origin, lockout: Mapping[str, Any] = LONG, *, name: str = "g", **about: Any
) -> Gateway:
    """A gateway in front of it that believes 127.0.0.1 where people come from."""
    origin.on(b"/login", log_in)
    folder.mkdir(exist_ok=True)
    routes = [route("/login/*", name="login", login="username"), route()]
    gateway = {"trusted_proxies": ["127.0.0.1/32"], "name": name, **about}
    more: dict[str, Any] = {"auth": {"lockout": dict(lockout)}, "fallbacks": {"help": HELP}}
    return Gateway(folder, {"s": service(origin.port)}, routes, gateway=gateway, **more)


def attempt(name: str, password: str = "wrong", address: str = "198.51.100.1", *fields: str) -> bytes:
    """A login as it is sent."""
    body = json.dumps({"username": name, "password": password}).encode()
    return post("/login", body, f"X-Forwarded-For: {address}", "Content-Type: application/json", *fields)


def tries(gateway: Gateway, name: str, password: str = "wrong", address: str = "198.51.100.1") -> Answer:
    """What becomes of a login."""
    return once(gateway.port, attempt(name, password, address))


def same(answer: Answer) -> tuple[Any, ...]:
    """All of an answer but for what tells one request, or one second, from another."""
    apart = (b"date", b"x-request-id", b"retry-after", b"content-length")
    fields = [(name, value) for name, value in answer.fields if name.lower() not in apart]
    document = json.loads(answer.body)
    for member in ("instance", "request_id", "retry_after"):
        document.pop(member, None)
    return answer.status, fields, document
