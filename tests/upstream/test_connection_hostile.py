from __future__ import annotations

import pytest

from tests.twisted_hygiene import Failures
from tests.upstream.served import CONTINUE, OK, Upstreamed, asked, bytewise
from ttagw.upstream import reader as module
from ttagw.upstream.reader import MAX_FIELDS, MAX_HEAD, MAX_INTERIM


def test_interim_answers_are_skipped() -> None:
    ask, _, served = asked(CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", CONTINUE, OK)
    assert (ask.sink.body, ask.over, served.pool.idle) == (b"ok", True, 1)
    assert ask.reply.fields == []


def test_an_interim_and_the_answer_may_come_in_one_read() -> None:
    ask, _, served = asked(CONTINUE + OK)
    assert (ask.sink.body, ask.over, served.pool.idle) == (b"ok", True, 1)


def test_the_most_interim_answers_pass_and_one_more_does_not() -> None:
    assert asked(CONTINUE * MAX_INTERIM + OK)[0].exchange.status == 200
    ask, wire, _ = asked(CONTINUE * (MAX_INTERIM + 1) + OK)
    assert ask.result == (502, "too_many_interim")
    assert wire.ended == "abort"


# Hostile answers

BAD = [
    (b"garbage\r\n\r\n", "bad_version"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "bad_version"),
    (b"HTTP/1.1 20 OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 abc OK\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", None),
    (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "bad_status"),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "unasked_upgrade"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unasked_upgrade"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", "bad_transfer_encoding"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_transfer_encoding"),
    (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n", "bad_head"),
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", None),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", "too_many_fields"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", "head_too_large"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 4 * MAX_HEAD, "head_too_large"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "pieces"])
def test_an_answer_that_cannot_be_trusted_is_502_and_the_connection_is_cut(
    data: bytes, reason: str | None, whole: bool
) -> None:
    pieces = [data] if whole else bytewise(data) if len(data) < 200 else [data[:700], data[700:40_000], data[40_000:]]
    ask, wire, served = asked(*pieces)
    assert ask.over
    assert ask.exchange.status == 502
    assert reason is None or ask.exchange.reason == reason
    assert wire.ended == "abort"
    assert (served.pool.size, served.instance.in_flight) == (0, 0)
    assert served.pool.errors == {ask.exchange.reason: 1}


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"3\nabc\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"fffffffffffffffff\r\n"])
def test_a_bad_chunk_cuts_the_answer(chunk: bytes) -> None:
    ask, wire, _ = asked(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", chunk)
    assert ask.sink.calls[-1] == "abort"
    assert (ask.result, wire.ended) == ((200, "bad_body"), "abort")


@pytest.mark.parametrize("surplus", [OK, b"x", b"\r\nevil", b"HTTP/1.1 "])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 204 No Content\r\n\r\n"]
)
def test_bytes_after_an_answer_never_reach_a_client_and_end_the_connection(
    head: bytes, surplus: bytes, together: bool
) -> None:
    ask, wire, served = asked(*([head + surplus] if together else [head, surplus]))
    assert ask.over
    assert ask.sink.body == (b"ok" if head.endswith(b"ok") else b"")
    assert wire.ended in ("abort", "close")
    assert served.pool.size == 0
    second, other = served.connected()
    other.protocol.dataReceived(OK)
    assert second.sink.body == b"ok"


def test_a_service_that_speaks_unasked_is_hung_up_on() -> None:
    served = Upstreamed()
    wire = served.used()
    wire.protocol.dataReceived(OK)
    assert (wire.ended, served.pool.size) == ("close", 0)


def test_a_204_with_a_body_is_framed_as_204() -> None:
    ask, _, served = asked(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil")
    assert (ask.over, ask.sink.body, served.pool.size) == (True, b"", 0)


def test_a_failure_of_ours_is_logged_and_cuts_the_connection(
    monkeypatch: pytest.MonkeyPatch, failures: Failures
) -> None:
    def broken(value: bytes) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_content_length", broken)
    ask, wire, _ = asked(OK)
    assert (ask.result, wire.ended) == ((502, "internal"), "abort")
    assert len(failures.take(ZeroDivisionError)) == 1
