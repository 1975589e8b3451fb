from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionDone

from tests.sockets import Raw
from tests.twisted_hygiene import turn, until
from tests.wire.served import MUCH, Served, pattern, ready, served
from ttagw.wire.socket import unacknowledged
from ttagw.wire.writer import FAR_APART, SocketWriter, Writer


@pytest_twisted.ensureDeferred
async def test_a_small_write_is_sent_at_once() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        assert isinstance(writer, SocketWriter)
        writer.write(b"hello")
        raw.read()
        assert raw.data == b"hello"
        assert writer.queued == 0


@pytest_twisted.ensureDeferred
async def test_all_of_a_partial_write_arrives_in_order_and_what_follows_behind_it() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        whole = pattern(MUCH)
        writer.write(whole)
        queued = writer.queued
        assert 0 < queued < MUCH
        writer.write(b"tail")
        assert writer.queued == queued + 4
        await raw.read_until(MUCH + 4)
        assert raw.data == whole + b"tail"
        await until(lambda: not writer.queued)
        assert protocol.drained == 1
        writer.write(b"!")
        await raw.read_until(MUCH + 5)
        assert raw.data.endswith(b"tail!")


@pytest_twisted.ensureDeferred
async def test_progress_is_when_the_other_side_last_took_something() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        assert writer.progress == protocol.clock.now
        began = protocol.clock.now
        protocol.clock.advance(50.0)
        for _ in range(20):
            await turn()
        assert writer.progress == began or writer.queued < MUCH
        before = writer.queued
        raw.socket.recv(65536)
        await until(lambda: writer.queued < before or raw.read())
        assert writer.progress == protocol.clock.now


@pytest_twisted.ensureDeferred
async def test_close_waits_for_what_is_queued() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        whole = pattern(MUCH)
        writer.write(whole)
        writer.close()
        assert await raw.read_to_end() == whole
        assert raw.ended == "eof"
        await until(lambda: protocol.lost)
        assert protocol.lost.check(ConnectionDone)
        assert protocol.drained == 0


@pytest_twisted.ensureDeferred
async def test_close_with_nothing_queued_ends_the_connection() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(b"bye")
        writer.close()
        assert await raw.read_to_end() == b"bye"


@pytest.mark.parametrize("size", [3, MUCH])
@pytest_twisted.ensureDeferred
async def test_after_a_half_close_the_other_side_is_still_read(size: int) -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(size))
        writer.half_close()
        assert len(await raw.read_to_end()) == size
        raw.socket.send(b"still here")
        await until(lambda: protocol.data == b"still here")
        assert protocol.lost is None


@pytest.mark.parametrize("size", [3, MUCH])
@pytest_twisted.ensureDeferred
async def test_an_abort_is_seen_as_a_cut(size: int) -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(size))
        writer.abort()
        assert writer.queued == 0
        await raw.read_to_end()
        assert raw.ended == "reset"
        await until(lambda: protocol.lost)
        writer.write(b"vanishes")
        writer.close()


@pytest_twisted.ensureDeferred
async def test_what_is_written_after_the_end_vanishes() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        raw.socket.close()
        await until(lambda: protocol.lost)
        writer.write(pattern(MUCH))
        writer.write(b"more")
        assert writer.queued == 0
        assert protocol.drained == 0


@pytest_twisted.ensureDeferred
async def test_a_connection_that_goes_while_something_is_queued_takes_it_along() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.socket.close()
        await until(lambda: protocol.lost)
        assert writer.queued == 0
        writer.write(b"more")
        assert writer.queued == 0


@pytest_twisted.ensureDeferred
async def test_a_write_to_a_socket_that_was_reset_cuts_the_connection() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.socket.close()
        writer.write(b"into the void")
        writer.write(b"again")
        await until(lambda: protocol.lost)
        assert writer.queued == 0


@pytest_twisted.ensureDeferred
async def test_outstanding_is_what_the_other_side_has_not_acknowledged() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        assert writer.outstanding(protocol.clock.now) == 0
        writer.write(pattern(MUCH))
        assert 0 < writer.queued < writer.outstanding(protocol.clock.now) <= MUCH
        await raw.read_until(MUCH)
        await until(lambda: writer.outstanding(protocol.clock.now) == 0)


def take(raw: Raw, size: int) -> bool:
    """Read so many bytes, if they are there; true, to be followed by a question."""
    with suppress(BlockingIOError):
        raw.socket.recv(size)
    return True


def seen(writer: Writer, protocol: Served) -> int:
    """What is outstanding, without `writer` noticing that somebody looks."""
    return writer.queued + unacknowledged(protocol.transport)


@pytest_twisted.ensureDeferred
async def test_a_reader_too_slow_for_the_kernel_to_report_room_makes_progress() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        for _ in range(20):
            before = writer.outstanding(protocol.clock.advance(5.0))
            await until(lambda before=before: take(raw, 4096) and seen(writer, protocol) < before)
            now = protocol.clock.advance(4.0)
            writer.outstanding(now)
            assert now - writer.progress < 10.0
        stopped = protocol.clock.now
        for _ in range(6):
            await turn()
            assert writer.outstanding(protocol.clock.advance(5.0))
        assert writer.progress <= stopped + 5.0


@pytest_twisted.ensureDeferred
async def test_looks_that_are_far_apart_say_nothing_about_each_other() -> None:
    with served() as (protocol, _raw):
        writer = await ready(protocol)
        writer.write(pattern(MUCH))
        now = protocol.clock.advance(1.0)
        writer.outstanding(now)
        for _ in range(20):
            await turn()
        now = protocol.clock.advance(FAR_APART + 1.0)
        assert writer.outstanding(now)
        assert writer.progress == now


@pytest_twisted.ensureDeferred
async def test_what_was_said_before_a_write_failed_can_still_be_read() -> None:
    with served(read_on=True) as (protocol, raw):
        writer = await ready(protocol)
        protocol.transport.pauseProducing()
        raw.socket.send(b"enough")
        writer.write(b"never read")
        await turn()
        # Unread bytes make a close a reset.
        raw.socket.close()
        while not writer.gone:
            writer.write(b"more")
        assert writer.queued == 0
        protocol.transport.resumeProducing()
        await until(lambda: protocol.lost)
        assert protocol.data == b"enough"


@pytest_twisted.ensureDeferred
async def test_what_we_add_is_no_sign_that_anything_is_taken() -> None:
    with served() as (protocol, raw):
        writer = await ready(protocol)
        # Room for all of it in the kernel, and a reader who takes nothing.
        protocol.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MUCH)
        writer.write(pattern(MUCH // 2))
        assert writer.outstanding(protocol.clock.now)
        for _ in range(20):
            await turn()
        writer.outstanding(protocol.clock.advance(1.0))
        began = protocol.clock.now
        for _ in range(8):
            writer.write(b"drip")
            await turn()
            writer.outstanding(protocol.clock.advance(5.0))
        assert writer.progress <= began
        raw.read()
        await until(lambda: raw.read() or seen(writer, protocol) < MUCH // 4)
        writer.outstanding(protocol.clock.advance(5.0))
        assert writer.progress == protocol.clock.now
