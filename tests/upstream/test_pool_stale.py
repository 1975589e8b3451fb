from __future__ import annotations

import socket

import pytest

from tests.upstream.served import OK, Upstreamed
from ttagw.testing import MemoryTransport


def pair(served: Upstreamed) -> tuple[MemoryTransport, socket.socket]:
    """An idle connection with a real socket below, and the service's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ask = served.ask()
    wire = served.endpoint.accept(MemoryTransport(handle=ours))
    wire.protocol.dataReceived(OK)
    assert ask.over
    return wire, theirs


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_connection_that_its_service_has_closed_is_not_used(method: bytes) -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    theirs.close()
    served.ask(method)
    assert (wire.ended, len(served.endpoint.asked)) == ("abort", 1)
    wire._handle.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_what_came_unasked_is_nobodys_answer(method: bytes) -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    theirs.send(OK)
    served.ask(method)
    assert (wire.ended, len(served.endpoint.asked)) == ("abort", 1)
    theirs.close()
    wire._handle.close()  # type: ignore[attr-defined]


def test_a_connection_that_is_open_is_used_for_anything() -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    wire.take()
    served.ask(b"POST")
    assert wire.take().startswith(b"POST")
    wire._handle.close()  # type: ignore[attr-defined]
    theirs.close()


def test_a_socket_that_is_gone_is_not_open() -> None:
    served = Upstreamed()
    wire, theirs = pair(served)
    wire._handle.close()  # type: ignore[attr-defined]
    theirs.close()
    served.ask(b"POST")
    assert wire.ended == "abort"


# TLS


def test_over_tls_a_connection_is_ready_when_the_handshake_is_done() -> None:
    served = Upstreamed(tls=True)
    ask = served.ask()
    wire = served.endpoint.accept()
    assert (wire.take(), served.pool.opened_count) == (b"", 0)
    wire.protocol.handshakeCompleted()
    wire.protocol.dataReceived(OK)
    assert (ask.sink.body, served.pool.opened_count) == (b"ok", 1)


def test_a_handshake_that_fails_refuses_who_waits() -> None:
    served = Upstreamed(tls=True)
    ask = served.ask()
    served.endpoint.accept().lose()
    assert ask.result == (503, "tls_failed")
    assert (served.pool.size, served.instance.in_flight) == (0, 0)


def test_a_handshake_that_takes_too_long_is_cut() -> None:
    served = Upstreamed(tls=True, connect_timeout=3.0)
    ask = served.ask()
    wire = served.endpoint.accept()
    served.pass_time(4.0)
    assert (ask.result, wire.ended, served.pool.size) == ((504, "connect_timeout"), "abort", 0)
    wire.lose()
    assert served.pool.size == 0
