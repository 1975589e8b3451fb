"""The wall clock of a machine jumps an hour either way: tokens follow it, and nothing else does (fault 27)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.kit import wall
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import get, once, post
from tests.integration.kit.redis import Redis
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until

HOUR = 3600
LEASE = 300


class Clock:
    """The wall clock that a program sees; its monotonic clock is the real one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall"
        self.jump(0)
        self.around = [sys.executable, wall.__file__, str(self._file)]

    def jump(self, off: int) -> None:
        """It shows so many seconds more than the real one."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{off:+d}\n")
        new.rename(self._file)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'kept.db'}"
    else:
        with Redis(tmp_path / "redis") as running:
            yield running.url


@contextmanager
def jumping(folder: Path, origin: Origin, issuer: Issuer, store: str) -> Iterator[tuple[Gateway, Operator, Clock]]:
    key = make_key(folder)
    clock = Clock(folder)
    services = {"s": service(origin.port), "leased": service()}
    routes = [
        route("/open/*", name="open"),
        route("/login", name="login", login="username"),
        route("/leased/*", "leased", name="leased"),
        {**route("/closed/*", name="closed"), "auth": "required"},
    ]
    auth = {**key.section, "issuers": [issuer.section], "leeway": "5s", "lockout": {"failures": 1}}
    with Gateway(folder, services, routes, around=clock.around, auth=auth, gateway={"store": store}) as running:
        yield running, Operator(running, key), clock
        assert running.failures() == []


def test_an_hour_either_way_is_an_hour_for_tokens_only(tmp_path: Path, origin: Origin, store: str) -> None:
    issuer = Issuer(tmp_path)
    origin.on(b"/login", lambda talk, request: talk.reply(b"no", status=b"401 Unauthorized"))
    with jumping(tmp_path, origin, issuer, store) as (gateway, operator, clock):
        now = int(time.time())
        first = issuer.token("mira", iat=now, exp=now + 1800)
        revoked = issuer.token("mona", iat=now, exp=now + 3 * HOUR)

        def status(token: str = "", path: str = "/closed/a") -> int:
            return once(gateway.port, get(path, f"Authorization: Bearer {token}") if token else get(path)).status

        def log_in() -> int:
            return once(gateway.port, post("/login", b'{"username": "mira"}', "Content-Type: application/json")).status

        def everything_else() -> list[int]:
            return [status(path="/open/a"), status(path="/leased/a"), log_in(), status(revoked)]

        assert operator.put("leased", "one", origin.port, ttl=LEASE) in (200, 201)
        until(lambda: status(path="/leased/a") == 200, "it is asked")
        assert [status(first), status(revoked), log_in()] == [200, 200, 401]
        revoke = lambda: operator.ask("POST", "/revocations", {"user": "mona"})[0]  # noqa: E731
        until(lambda: revoke() == 201, "the store takes it, however slow it is")
        as_it_is = [200, 200, 429, 401]
        assert everything_else() == as_it_is

        clock.jump(HOUR)
        assert status(first) == 401
        assert status(issuer.token("mira", iat=now + HOUR, exp=now + HOUR + 1800)) == 200
        assert everything_else() == as_it_is
        # A heartbeat of a lease goes on as before, and so does what is new.
        assert operator.beat("leased", "one") == 200
        assert operator.put("leased", "two", origin.port, url=f"http://localhost:{origin.port}", ttl=LEASE) in (
            200,
            201,
        )

        clock.jump(-HOUR)
        assert status(first) == 401
        assert status(issuer.token("mira", iat=now - HOUR, exp=now - HOUR + 1800)) == 200
        assert everything_else() == as_it_is
        assert operator.beat("leased", "one") == operator.beat("leased", "two") == 200

        clock.jump(0)
        assert status(first) == 200
        assert everything_else() == as_it_is
        assert set(operator.instances("leased")) == {"one", "two"}
