"""Row 6 and the pool of connections to a service: kept, waited for, closed, and never used when they are stale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import OK, Origin, Request, Talk, closing, tell
from tests.integration.kit.raw import Answer, Client, chunked, get, once, post
from tests.integration.kit.waiting import until

MUCH = 300 * 1024
PATIENT = {"consecutive_failures": 1000, "minimum_calls": 1000}
"""A breaker that leaves it to others to find out who fails."""


def ask(gateway: Gateway, data: bytes) -> Answer:
    return once(gateway.port, data)


# Row 6


def forgetful(talk: Talk, request: Request) -> None:
    """Close the connection, without an answer, when it has been used before."""
    used = [each for each in talk.origin.requests if each.connection == talk.number]
    if len(used) > 1:
        talk.close()
    else:
        tell(talk, request)


@pytest.fixture
def fresh(tmp_path: Path, service_here: Origin) -> Iterator[Gateway]:
    """A gateway of whose service connections only this test knows, and that tries nothing again for other reasons."""
    with Gateway(tmp_path, {"s": service(service_here.port)}, upstream={"retries": 0}) as running:
        yield running


def test_a_get_on_a_stale_connection_is_sent_once_more_on_a_fresh_one(fresh: Gateway, service_here: Origin) -> None:
    service_here.on(b"/", forgetful)
    assert ask(fresh, get("/1")).status == 200
    answer = ask(fresh, get("/2"))
    assert answer.status == 200
    assert [each.connection for each in service_here.seen(b"/2")] == [0, 1]
    assert fresh.line(answer.id)["tries"] == 2


def test_a_get_is_not_sent_a_third_time(fresh: Gateway, service_here: Origin) -> None:
    service_here.on(b"/1", tell)
    service_here.on(b"/2", closing(b""))
    assert ask(fresh, get("/1")).status == 200
    assert ask(fresh, get("/2")).status == 502
    assert len(service_here.seen(b"/2")) == 2


def test_a_post_is_never_doubled(fresh: Gateway, service_here: Origin) -> None:
    service_here.on(b"/", forgetful)
    assert ask(fresh, get("/1")).status == 200
    assert ask(fresh, post("/2", b"body")).status == 502
    assert ask(fresh, post("/2", b"", method="PATCH")).status == 200
    assert len(service_here.seen(b"/2")) == 2


def test_a_post_never_goes_to_a_connection_that_the_service_has_closed(fresh: Gateway, service_here: Origin) -> None:
    service_here.on(b"/close", lambda talk, request: (tell(talk, request), talk.close())[0])
    for number in range(20):
        assert ask(fresh, get("/close")).status == 200
        until(lambda: service_here.talks[-1].socket.fileno() < 0, "the service has closed")
        assert ask(fresh, post("/post", b"%d" % number)).status == 200
    assert [each.body for each in service_here.seen(b"/post")] == [b"%d" % number for number in range(20)]


# The pool


def test_more_requests_than_connections_wait_and_then_are_told(tmp_path: Path, service_here: Origin) -> None:
    service_here.on(b"/slow", lambda talk, request: (talk.origin.held.wait(10), talk.reply(b"slow"))[0])
    few = {"max_connections": 2, "queue_timeout": "600ms", "response_timeout": "10s"}
    with Gateway(tmp_path, {"s": service(service_here.port)}, upstream=few) as gateway, ExitStack() as open_ones:
        clients = [open_ones.enter_context(Client(gateway.port)) for _ in range(3)]
        for client in clients[:2]:
            client.send(get("/slow"))
        until(lambda: len(service_here.seen(b"/slow")) == 2, "both connections are in use")
        busy = clients[2].ask(get("/"))
        assert (busy.status, busy.reason) == (503, b"upstream_busy")
        assert int(busy.value(b"retry-after")) > 0
        assert 600 <= gateway.line(busy.id)["ms"] < 2000
        clients[2].send(get("/waits"))
        until(lambda: gateway.metric("ttagw_pool_waiting") == 1, "the third waits")
        service_here.held.set()
        assert [client.answer().status for client in clients] == [200, 200, 200]
        assert len(service_here.talks) == 2


def test_idle_connections_to_a_service_are_closed(tmp_path: Path, service_here: Origin) -> None:
    with Gateway(tmp_path, {"s": service(service_here.port)}, upstream={"keepalive": "300ms"}) as gateway:
        assert ask(gateway, get("/")).status == 200
        assert service_here.talks[0].gone.wait(5)
        assert ask(gateway, get("/")).status == 200
        assert gateway.metric("ttagw_pool_opened_total") == 2


def test_a_service_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with Origin() as first:
        port = first.port
        with Gateway(tmp_path, {"s": service(port)}) as gateway:
            assert ask(gateway, get("/")).status == 200
            first.stop()
            until(lambda: ask(gateway, get("/")).status == 503, "it is gone")
            with Origin(port=port):
                assert ask(gateway, get("/")).status == 200


def test_one_answer_after_the_other_uses_one_connection(fresh: Gateway, service_here: Origin) -> None:
    service_here.on(b"/ok", lambda talk, request: talk.send(OK))
    assert {ask(fresh, get("/ok")).status for _ in range(10)} == {200}
    assert ask(fresh, chunked("/ok", [b"a", b"b"])).status == 200
    assert len(service_here.talks) == 1


def test_a_slow_client_does_not_hold_the_connection_that_its_answer_came_on(
    tmp_path: Path, service_here: Origin
) -> None:
    service_here.on(b"/much", lambda talk, request: talk.reply(b"m" * MUCH))
    upstream = {"max_connections": 1, "queue_timeout": "10s"}
    with Gateway(tmp_path, {"s": service(service_here.port)}, upstream=upstream) as gateway:
        with Client(gateway.port, buffer=4096) as slow:
            slow.send(get("/much"))
            head = slow.head()
            # Its last piece is queued at the gateway while the connection already serves the next.
            for _ in range(20):
                assert once(gateway.port, get("/next")).status == 200
            assert len(slow.body(head)) == MUCH
        assert len(service_here.talks) == 1


# Who gets the next request


@pytest.mark.parametrize("fails", ["at once", "refuses"])
def test_an_instance_that_fails_at_once_does_not_look_fast(tmp_path: Path, service_here: Origin, fails: str) -> None:
    with Origin() as broken:
        broken.on(b"/", closing(b""))
        if fails == "refuses":
            broken.stop()
        with (
            Gateway(tmp_path, {"s": service(service_here.port, broken.port, breaker=PATIENT)}) as gateway,
            Client(gateway.port) as client,
        ):
            answers = [client.ask(get("/")) for _ in range(60)]
            # Once to find out, once more if chance has asked the good one first, and again whenever that was slow for a
            # moment. Were it taken for fast it would be asked every time.
            assert len([each for each in answers if each.status != 200]) <= 1
            lines = [gateway.line(each.id) for each in answers]
            assert sum([line["tries"] for line in lines]) <= 60 + 20
