from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ttagw.testing import MemoryTransport
from ttagw.wire.socket import listening

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Our end and the other."""
    if request.param == "unix":
        ours, other = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            other = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
    ours.setblocking(False)
    with ours, other:
        yield ours, other


def test_nothing_is_heard_from_who_is_quiet(pair: Pair) -> None:
    heard = listening(MemoryTransport(handle=pair[0]))
    assert not heard()
    assert not heard()


def test_what_was_sent_is_heard_until_it_is_read(pair: Pair) -> None:
    ours, other = pair
    heard = listening(MemoryTransport(handle=ours))
    other.send(b"unasked")
    assert heard()
    assert heard()
    ours.recv(100)
    assert not heard()


def test_an_end_is_heard(pair: Pair) -> None:
    ours, other = pair
    heard = listening(MemoryTransport(handle=ours))
    other.shutdown(socket.SHUT_WR)
    assert heard()


def test_a_reset_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours:
        ours.setblocking(False)
        heard = listening(MemoryTransport(handle=ours))
        ours.send(b"x")
        # With something unread, closing resets.
        other.close()
        assert heard()


def test_over_tls_the_socket_below_is_listened_to(pair: Pair) -> None:
    ours, other = pair
    above = MemoryTransport(handle=object())
    above.transport = MemoryTransport(handle=ours)  # type: ignore[attr-defined]
    heard = listening(above)
    assert not heard()
    other.send(b"record")
    assert heard()


def test_without_a_socket_nothing_is_ever_heard() -> None:
    assert not listening(MemoryTransport())()
