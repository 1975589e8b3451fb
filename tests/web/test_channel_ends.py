from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.served import GET, Served, get, post, statuses
from ttagw.errors import UpstreamBrokenError
from ttagw.model import Reply
from ttagw.web.channel import LINGER, LONGEST_END, STALLED


def test_draining_ends_idle_connections_and_lets_others_finish() -> None:
    idle = Served()
    idle.site.drain()
    assert idle.client.ended == "close"
    busy = Served()
    busy.send(get(b"/later"))
    busy.site.drain()
    assert busy.client.ended == ""
    data = busy.answer()
    assert statuses(data) == [200]
    assert b"connection: close" in data
    assert busy.client.ended == "close"


def test_draining_lets_a_request_that_is_being_sent_arrive() -> None:
    served = Served()
    served.send(GET[:10])
    served.site.drain()
    assert served.client.ended == ""
    data = served.send(GET[10:])
    assert statuses(data) == [200]
    assert b"connection: close" in data


def test_cutting_ends_what_is_under_way() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.site.cut()
    assert served.client.ended == "abort"
    assert served.tasks[0].cancelled == 1
    assert [(each.status, each.reason) for each in served.ended] == [(499, "shutdown")]
    served.client.lose()
    assert len(served.ended) == 1


def test_a_connection_that_is_over_answers_nothing_more() -> None:
    served = Served()
    served.send(get(b"/later"))
    served.channel.cut()
    assert served.send(GET) == b""
    served.client.lose()
    served.channel.close_if_idle()
    assert served.site.channels == set()


@pytest.fixture
def kernel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The gateway's and the client's end of a connection, as far as the kernel knows."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Kernel = tuple[socket.socket, socket.socket]


def lingering(ours: socket.socket) -> Served:
    """A connection that has got its last answer, of which the client has taken nothing yet."""
    served = Served(handle=ours)
    for _ in range(40):
        ours.send(b"answer")
    served.send(b"bad\r\n\r\n")
    return served


def test_a_connection_does_not_end_before_a_slow_reader_has_taken_its_last_answer(kernel: Kernel) -> None:
    ours, theirs = kernel
    served = lingering(ours)
    for _ in range(25):
        served.pass_time(STALLED - 2.0)
        assert served.client.ended != "abort"
        theirs.recv(6)
    for _ in range(15):
        theirs.recv(6)
    served.pass_time(LINGER)
    assert served.client.ended != "abort"
    served.pass_time(LINGER)
    assert served.client.ended == "abort"


def test_an_end_does_not_take_for_ever(kernel: Kernel) -> None:
    ours, theirs = kernel
    served = lingering(ours)
    for _ in range(40):
        if served.clock.now - 1000.0 > LONGEST_END + 1.0:
            break
        theirs.recv(6)
        served.pass_time(STALLED - 2.0)
    assert served.client.ended == "abort"


def test_a_connection_ends_when_its_client_does_not_take_the_last_answer(kernel: Kernel) -> None:
    served = lingering(kernel[0])
    served.pass_time(STALLED)
    assert served.client.ended != "abort"
    served.pass_time(LINGER + 1.0)
    assert served.client.ended == "abort"


def test_an_answer_is_not_cut_while_its_client_takes_a_little_now_and_then(kernel: Kernel) -> None:
    ours, theirs = kernel
    served = Served(handle=ours)
    for _ in range(10):
        ours.send(b"answer")
    served.send(get(b"/later"))
    served.stream()
    served.client.full = True
    served.waiting[0].sink.write(b"x")
    served.waiting[0].sink.flush()
    for _ in range(9):
        theirs.recv(6)
        served.pass_time(STALLED - 6.0)
        assert served.client.ended == ""
    served.pass_time(STALLED + 6.0)
    assert served.client.ended == "abort"
    assert [(each.status, each.reason) for each in served.ended] == [(499, "client_stalled")]


STEPS = st.lists(
    st.one_of(
        st.builds(lambda number: ("send", get(b"/now?%d" % number)), st.integers(0, 99)),
        st.just(("send", get(b"/later"))),
        st.just(("send", post(b"/later", b"x" * 20))),
        st.just(("send", b"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
        st.just(("send", b"bad\r\n\r\n")),
        st.just(("send", post(b"/now", b"x", 5))),
        st.just(("send", GET[:15])),
        st.just(("answer", b"")),
        st.just(("stream", b"")),
        st.just(("fail", b"")),
        st.just(("full", b"")),
        st.just(("drain", b"")),
        st.builds(lambda seconds: ("wait", b"x" * seconds), st.integers(1, 40)),
        st.just(("stop", b"")),
        st.just(("lose", b"")),
    ),
    max_size=25,
)


def _take_step(served: Served, step: str, data: bytes) -> None:
    alive = [each for each in served.waiting if not each.over]
    if step == "send" and served.client.reading:
        served.channel.dataReceived(data)
    elif step == "wait":
        served.pass_time(float(len(data)), 1.0)
    elif step == "full":
        served.client.full = True
    elif step == "drain":
        served.client.drain()
    elif step == "stop":
        served.site.drain()
    elif alive and step == "answer" and not alive[0].sink.started:
        alive[0].work = None
        served.pipeline.answer(alive[0], Reply(200, [], b"late"))
    elif alive and step == "stream" and not alive[0].sink.started:
        alive[0].work = None
        served.pipeline.answer(alive[0], Reply(200, [], None), served.channel)
        alive[0].sink.write(b"body")
        alive[0].sink.flush()
        alive[0].sink.finish()
    elif alive and step == "fail":
        served.pipeline.fail(alive[0], UpstreamBrokenError("bad_head"))


@given(STEPS)
def test_whatever_happens_each_exchange_ends_exactly_once_and_all_work_is_given_back(
    steps: list[tuple[str, bytes]],
) -> None:
    served = Served()
    for step, data in steps:
        if step == "lose" or served.client.ended in ("abort", "close"):
            break
        _take_step(served, step, data)
    served.client.lose()
    assert served.site.channels == set()
    assert len({id(each) for each in served.ended}) == len(served.ended)
    assert all(each.over and each.status for each in served.ended)
    assert all(each in served.ended for each in served.waiting)
    assert all(each.work is None for each in served.ended)
