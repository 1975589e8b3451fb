"""Services that take a request slowly, in part, or not at all, and what becomes of their connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.raw import Client, get, once, post
from tests.integration.kit.waiting import until

MUCH = 3_000_000


@pytest.fixture
def gateway(tmp_path: Path, service_here: Origin) -> Iterator[Gateway]:
    http, upstream = {"body_timeout": "1s", "max_body": "64MiB"}, {"keepalive": "1s"}
    with Gateway(tmp_path, {"s": service(service_here.port)}, http=http, upstream=upstream) as running:
        yield running
        service_here.held.set()
        assert running.failures() == []


def test_a_connection_whose_service_has_not_taken_the_body_is_not_used_again(
    gateway: Gateway, service_here: Origin
) -> None:
    def early(talk: Talk, request: Request) -> None:
        talk.gone.wait(0.5)
        talk.reply(b"early")
        talk.origin.held.wait(20)

    service_here.on(b"/early", early, early=True)
    idle = gateway.child.descriptors()
    for _ in range(3):
        assert once(gateway.port, post("/early", b"x" * MUCH)).body == b"early"
        assert once(gateway.port, get("/innocent")).status == 200
    until(lambda: gateway.child.descriptors() <= idle + 1, "the connections are gone")


def test_a_service_that_takes_an_upload_slowly_is_not_late_with_its_answer(
    gateway: Gateway, service_here: Origin
) -> None:
    def sip(talk: Talk, request: Request) -> None:
        while (left := MUCH - (len(talk.received) - talk.at)) > 0:
            talk.received += talk.socket.recv(min(left, 50_000))
            talk.gone.wait(0.04)
        talk.gone.wait(0.5)
        talk.reply(b"all of it")
        talk.exactly(MUCH)

    service_here.on(b"/sip", sip, early=True)
    assert once(gateway.port, post("/sip", b"x" * MUCH)).body == b"all of it"


def test_a_service_that_takes_nothing_is_noticed_though_the_client_drips_on(
    gateway: Gateway, service_here: Origin
) -> None:
    service_here.on(b"/nothing", lambda talk, request: talk.origin.held.wait(30), early=True)
    with Client(gateway.port) as client:
        client.send(get("/nothing", "Content-Length: 60000000", method="POST"), b"x" * 9_000_000)
        client.socket.settimeout(0.1)
        began = time.monotonic()
        while time.monotonic() < began + 15:
            try:
                # Our own system may be full of it by now.
                client.send(b"drip" * 100)
                client.more()
                break
            except TimeoutError:
                continue
        client.socket.settimeout(10)
        answer = client.answer()
    assert answer.status == 504
    assert gateway.line(answer.id)["reason"] == "upload_stalled"


def test_a_client_that_is_answered_early_and_sends_no_more_gets_all_of_the_answer(
    gateway: Gateway, service_here: Origin
) -> None:
    def early(talk: Talk, request: Request) -> None:
        talk.reply(b"e" * 4 * MUCH)
        talk.wait_gone()

    service_here.on(b"/early-much", early, early=True)
    with Client(gateway.port, buffer=65536) as client:
        client.send(get("/early-much", "Content-Length: 1000", method="POST") + b"x")
        assert client.head().status == 200
        assert len(client.slowly(4 * MUCH, MUCH)) == 4 * MUCH
        assert client.at_end()


def test_a_tls_service_that_does_not_say_goodbye_is_left(tmp_path: Path, authority: Authority) -> None:
    def hang(talk: Talk, request: Request) -> None:
        talk.reply(b"ok")
        talk.origin.held.wait(30)

    with Origin(authority.server_context("127.0.0.1")) as origin:
        origin.on(b"/", hang)
        services = {"s": service(origin.port, scheme="https", tls={"ca": str(authority.path)})}
        with Gateway(tmp_path, services, upstream={"keepalive": "500ms"}) as gateway:
            idle = gateway.child.descriptors()
            for _ in range(3):
                assert once(gateway.port, get("/")).status == 200
                until(lambda: gateway.metric("ttagw_pool_connections") == 0, "it is idle no more")
            until(lambda: gateway.child.descriptors() <= idle + 1, "the connections are gone")
            origin.held.set()
            assert gateway.failures() == []
