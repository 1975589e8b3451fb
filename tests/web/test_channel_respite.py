"""A connection that is not read for a while after an answer that asks for it."""

from __future__ import annotations

import pytest

from tests.web.served import GET, Served, bodies, get, post, statuses
from ttagw.config import Http
from ttagw.web.channel import LONGEST_RESPITE


def rested(served: Served, seconds: float = 1.0, *more: bytes) -> bytes:
    """A request whose answer asks for a respite, with what comes behind it."""
    served.send(get(b"/later"), *more)
    served.waiting[0].respite = seconds
    return served.answer(b"one")


def test_nothing_is_read_until_it_is_over() -> None:
    served = Served()
    assert bodies(rested(served)) == [b"one"]
    assert not served.client.reading
    served.pass_time(0.8)
    assert not served.client.reading
    served.pass_time(0.4)
    assert served.client.reading
    assert statuses(served.send(GET)) == [200]
    assert served.client.reading


def test_after_an_answer_that_asks_for_none_it_is_read_on() -> None:
    served = Served()
    assert bodies(rested(served, 0.0)) == [b"one"]
    assert served.client.reading


def test_those_who_come_through_the_same_proxy_do_not_wait_for_somebody_else() -> None:
    served = Served()
    served.channel.peer.shared = True
    assert bodies(rested(served, 1.0, get(b"/now?2"))) == [b"one", b"/now?2"]
    assert served.client.reading


def test_it_is_never_long() -> None:
    served = Served()
    rested(served, 3600.0)
    served.pass_time(LONGEST_RESPITE + 0.2)
    assert served.client.reading
    assert served.client.ended == ""


def test_requests_that_have_come_already_wait_and_are_answered_in_order() -> None:
    served = Served()
    assert bodies(rested(served, 1.0, get(b"/now?2") + get(b"/now?3"))) == [b"one"]
    assert served.pass_time(0.8) == b""
    assert bodies(served.pass_time(0.4)) == [b"/now?2", b"/now?3"]
    assert served.client.reading


def test_each_of_them_may_ask_for_another_one() -> None:
    served = Served()
    rested(served, 1.0, get(b"/later") + get(b"/now"))
    served.pass_time(1.2)
    served.waiting[0].respite = 1.0
    assert bodies(served.answer(b"two")) == [b"two"]
    assert served.pass_time(0.8) == b""
    assert not served.client.reading
    assert statuses(served.pass_time(0.4)) == [200]


def test_one_that_answers_at_once_stops_those_behind_it_too() -> None:
    served = Served()
    enter = served.routes["now"].enters[0]
    assert enter is not None

    def asks_for_respite(exchange: object) -> None:
        exchange.respite = 1.0  # type: ignore[attr-defined]
        enter(exchange)  # type: ignore[arg-type]

    served.routes["now"].enters = (asks_for_respite,)  # type: ignore[assignment]
    assert bodies(served.send(get(b"/now?1") + get(b"/now?2"))) == [b"/now?1"]
    assert bodies(served.pass_time(1.2)) == [b"/now?2"]


def test_what_comes_meanwhile_all_the_same_waits() -> None:
    # TLS may have more than it was asked for.
    served = Served()
    rested(served)
    assert served.send(get(b"/now?2")) == b""
    assert served.send(b"GET /now?3 HTTP/1.1\r\n") == b""
    assert bodies(served.pass_time(1.2)) == [b"/now?2"]
    assert served.client.reading
    assert bodies(served.send(b"Host: a\r\n\r\n")) == [b"/now?3"]


def test_a_head_that_has_begun_can_be_finished_after_it() -> None:
    served = Served(Http(header_timeout=0.5))
    rested(served, 1.0, b"GET /now?2 HTTP/1.1\r\n")
    served.pass_time(1.2)
    assert bodies(served.send(b"Host: a\r\n\r\n")) == [b"/now?2"]
    rested(served, 1.0, b"GET /now?2 HTTP/1.1\r\n")
    assert statuses(served.pass_time(1.8)) == [408]


def test_a_body_that_has_begun_goes_on_after_it() -> None:
    served = Served()
    rested(served, 1.0, post(b"/later", b"ab", 4))
    served.pass_time(1.2)
    assert len(served.waiting) == 1
    served.send(b"cd")
    assert served.waiting[0].body.complete
    assert bodies(served.answer(b"two")) == [b"two"]


def test_a_chunked_body_of_which_nothing_has_come_begins_after_it() -> None:
    served = Served()
    rested(served, 1.0, b"POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    served.pass_time(1.2)
    assert served.client.reading
    served.send(b"2\r\nab\r\n0\r\n\r\n")
    assert served.waiting[0].body.complete


def test_a_connection_that_says_close_ends_without_one() -> None:
    served = Served()
    served.send(get(b"/later", b"Connection: close"))
    served.waiting[0].respite = 1.0
    served.answer(b"one")
    assert served.client.ended == "close"
    assert served.client.reading


def test_when_the_gateway_stops_it_ends_at_once() -> None:
    served = Served()
    rested(served)
    served.site.drain()
    assert served.client.ended == "close"
    assert served.client.reading


def test_when_the_gateway_stops_those_that_wait_get_their_last_answer() -> None:
    served = Served()
    rested(served, 1.0, get(b"/now?2"))
    served.site.drain()
    assert served.client.ended == ""
    assert b"connection: close" in served.pass_time(1.2)
    assert served.client.ended == "close"


def test_a_client_that_goes_away_meanwhile_leaves_nothing_behind() -> None:
    served = Served()
    rested(served, 1.0, get(b"/later"))
    served.client.lose()
    assert not served.site.channels
    served.pass_time(2.0)
    assert served.waiting == []
    assert len(served.ended) == 1


def test_one_that_is_idle_after_it_is_closed_as_any_other() -> None:
    served = Served(Http(keepalive_timeout=5.0))
    rested(served)
    served.pass_time(5.5)
    assert served.client.ended == ""
    served.pass_time(1.0)
    assert served.client.ended == "close"


@pytest.mark.parametrize("ends", ["cut", "give_up"])
def test_it_can_be_cut(ends: str) -> None:
    served = Served()
    rested(served)
    if ends == "cut":
        served.channel.cut()
    else:
        served.channel.give_up("shutdown")
    assert served.client.ended == "abort"


def test_a_connection_that_many_may_share_is_always_read() -> None:
    # One without an address is a UNIX socket: what speaks there is on this machine.
    served = Served(peer="")
    assert bodies(rested(served)) == [b"one"]
    assert served.client.reading
    assert statuses(served.send(GET)) == [200]
