from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.config.sockets import Fallback as Settings
from ttagw.errors import CircuitOpenError, NoInstanceError, UpstreamTimeoutError
from ttagw.model import Reply
from ttagw.testing import exchange
from ttagw.web.fallback import Fallback

US = "You are not alone. Call or text 988. In danger now: 911."
DE = "Sie sind nicht allein. <In Gefahr> & sonst: 112."
ERROR = NoInstanceError("no_healthy_instance", retry_after=1)
BLUNT = ("error", "fail", "crash", "invalid", "unavailable", "down", "denied", "exception")


def fallback(status: int = 503, header: str = "x-region", hotline: str = "988") -> Fallback:
    regions = {"US": {"text": US, "hotline": hotline}, "DE": {"text": DE, "hotline": "116 123"}}
    return Fallback(
        Settings.model_validate({"status": status, "region_header": header, "default_region": "US", "regions": regions})
    )


def ask(made: Fallback, accept: bytes | None = None, region: bytes | None = None, error: Any = ERROR) -> Reply:
    fields = [(name, value) for name, value in ((b"Accept", accept), (b"X-Region", region)) if value is not None]
    return made.reply(exchange(fields=tuple(fields)), error)


def field(reply: Reply, name: bytes) -> list[bytes]:
    return [value for each, value in reply.fields if each == name]


def body(reply: Reply) -> str:
    assert reply.body is not None
    return reply.body.decode()


@pytest.mark.parametrize(
    ("accept", "kind", "instead"),
    [
        (None, b"application/problem+json", b"application/json"),
        (b"*/*", b"application/problem+json", b"application/json"),
        (b"image/png", b"application/problem+json", b"application/json"),
        (b"application/json", b"application/json", b"application/json"),
        (b"text/html,*/*;q=0.8", b"text/html; charset=utf-8", b"text/html; charset=utf-8"),
        (b"text/plain", b"text/plain; charset=utf-8", b"text/plain; charset=utf-8"),
    ],
)
def test_the_form_is_what_is_asked_for_and_no_problem_where_the_status_says_there_is_none(
    accept: bytes | None, kind: bytes, instead: bytes
) -> None:
    for status, wanted in ((503, kind), (200, instead)):
        reply = ask(fallback(status), accept)
        assert (reply.status, field(reply, b"content-type")) == (status, [wanted])
        assert US in unescape(body(reply))
        assert "988" in body(reply)


def test_a_document_says_all_of_it() -> None:
    reply = ask(fallback(), error=CircuitOpenError("circuit_open", retry_after=7, more={"state": "open"}))
    assert json.loads(body(reply)) == {
        "type": "https://docs.tta.example/errors#circuit_open",
        "title": "Help is available",
        "status": 503,
        "detail": US,
        "request_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "code": "circuit_open",
        "state": "open",
        "support": {"text": US, "hotline": "988", "region": "US"},
        "retry_after": 7,
    }
    assert (reply.reason, field(reply, b"ttagw-reason")) == ("circuit_open", [b"circuit_open"])


@pytest.mark.parametrize(
    ("region", "text"),
    [
        (None, US),
        (b"", US),
        (b"US", US),
        (b"de", DE),
        (b"  DE ", DE),
        (b"FR", US),
        (b"\xff\x00<script>", US),
        (b"DE,US", US),
        (b"d" * 8000, US),
    ],
)
def test_the_region_decides_and_one_that_is_not_known_is_as_good_as_none(region: bytes | None, text: str) -> None:
    reply = ask(fallback(), b"application/json", region)
    assert json.loads(body(reply))["support"]["text"] == text
    assert field(reply, b"vary") == [b"accept, x-region"]


def test_without_a_header_nobody_can_ask_for_a_region() -> None:
    reply = ask(fallback(header=""), b"text/plain", b"DE")
    assert US in body(reply)
    assert field(reply, b"vary") == [b"accept"]


def test_without_a_number_there_is_none_in_any_form() -> None:
    made = fallback(hotline="")
    for accept in (b"text/html", b"text/plain", b"application/json"):
        reply = ask(made, accept)
        assert field(reply, b"x-crisis-hotline") == []
        assert field(reply, b"x-crisis-support") == [b"available"]
        assert "tel:" not in body(reply)
        assert "\n\n" not in body(reply)


def test_a_page_is_escaped_and_can_run_nothing() -> None:
    reply = ask(fallback(), b"text/html", b"DE")
    assert "&lt;In Gefahr&gt; &amp; sonst" in body(reply)
    assert '<a href="tel:116123">116 123</a>' in body(reply)
    assert field(reply, b"content-security-policy") == [b"default-src 'none'; style-src 'unsafe-inline'"]
    assert field(reply, b"x-content-type-options") == [b"nosniff"]


def test_it_is_kept_by_nobody_and_says_when_to_come_back_only_where_something_went_wrong() -> None:
    assert field(ask(fallback(503)), b"retry-after") == [b"1"]
    assert field(ask(fallback(200)), b"retry-after") == []
    for status in (200, 503):
        assert field(ask(fallback(status)), b"cache-control") == [b"no-store"]
    assert field(ask(fallback(), error=UpstreamTimeoutError("response_timeout")), b"retry-after") == []


def test_what_a_person_reads_is_calm() -> None:
    for accept in (b"text/html", b"text/plain", b"application/json"):
        for error in (ERROR, UpstreamTimeoutError("response_timeout")):
            said = body(ask(fallback(), accept, error=error)).lower().replace(error.code, "").replace("/errors#", "")
            assert [word for word in BLUNT if word in said] == []


HOSTILE = st.binary(min_size=4, max_size=40).filter(lambda value: b"\n" not in value and b"\r" not in value)


@given(HOSTILE, st.sampled_from([b"text/html", b"text/plain", b"application/json"]), st.sampled_from([200, 503]))
def test_nothing_of_the_request_is_repeated(value: bytes, accept: bytes, status: int) -> None:
    mark = b"<zqj" + value
    made = exchange(b"GET", fields=((b"Accept", accept), (b"X-Region", mark), (b"Cookie", mark), (b"Host", mark)))
    made.path = b"/" + mark
    reply = fallback(status).reply(made, ERROR)
    assert b"zqj" not in b"".join([reply.body or b"", *[part for pair in reply.fields for part in pair]])


def test_it_counts_how_often_it_was_needed() -> None:
    made = fallback()
    for _ in range(3):
        ask(made)
    assert made.given == 3
