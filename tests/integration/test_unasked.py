"""What a service does on an idle connection at the very moment when it is needed again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin, Talk
from tests.integration.kit.raw import Client, get, post
from tests.integration.kit.waiting import until

WHO = {b"GET": get("/bob"), b"POST": post("/bob", b"hello")}


@pytest.fixture(params=["http", "https"])
def served(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[tuple[Gateway, Origin]]:
    secure = request.param == "https"
    with Origin(authority.server_context("127.0.0.1") if secure else None) as origin:
        origin.on(b"/", lambda talk, request: talk.reply(b"for " + request.target))
        more = {"tls": {"ca": str(authority.path)}} if secure else {}
        with Gateway(tmp_path, {"s": service(origin.port, scheme=request.param, **more)}) as gateway:
            yield gateway, origin
            assert gateway.failures() == []


@pytest.mark.parametrize("method", sorted(WHO))
@pytest.mark.parametrize("act", [lambda talk: talk.reply(b"for alice again"), lambda talk: talk.close()])
def test_what_came_first_is_seen_first(
    served: tuple[Gateway, Origin], method: bytes, act: Callable[[Talk], None]
) -> None:
    gateway, origin = served
    with Client(gateway.port) as alice, Client(gateway.port) as bob:
        assert alice.ask(get("/alice")).body == b"for /alice"
        assert bob.ask(get("/bob")).body == b"for /bob"
        assert len(origin.talks) == 1
        # Both wait in the gateway's kernel, the request in front, when it looks again.
        gateway.child.signal(signal.SIGSTOP)
        stat = Path(f"/proc/{gateway.child.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the gateway has stopped")
        bob.send(WHO[method])
        act(origin.talks[0])
        gateway.child.signal(signal.SIGCONT)
        answer = bob.answer(method)
        assert (answer.status, answer.body) == (200, b"for /bob")
        assert len(origin.talks) == 2
        assert [each.method for each in origin.requests] == [b"GET", b"GET", method]
