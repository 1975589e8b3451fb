"""Traffic classes and the crisis lane: real daemons, services that fail, a Redis that goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, get, once, post
from tests.integration.kit.redis import Redis
from tests.integration.kit.tokens import Issuer
from tests.integration.kit.waiting import until

BREAKER: dict[str, Any] = {"consecutive_failures": 3, "minimum_calls": 1000, "open_for": "60s", "half_open_calls": 1}
CLAIMS = {"crisis": {"claims": {"risk": ["acute", "true"]}}, "high": {"claims": {"tier": ["gold"]}}}
ROUTES = [
    route("/required/*", name="required", auth="required"),
    route("/story/*", name="story", auth="required", **{"class": "therapeutic"}),
    route("/open/*", name="open"),
    route("/crisis/*", name="crisis", **{"class": "crisis"}),
]


class Place(NamedTuple):
    """A gateway, who issues tokens, and a key that may mark sessions."""

    gateway: Gateway
    issuer: Issuer
    key: Key

    def ask(self, path: str, *fields: str, source: str = "127.0.0.1", **claims: Any) -> Answer:
        """With claims: as Mira, whose token has these."""
        bearer = [f"Authorization: Bearer {self.issuer.token('mira', **claims)}"] if claims else []
        with Client(self.gateway.port, source=source) as client:
            return client.ask(get(path, *bearer, *fields))

    def class_of(self, answer: Answer) -> Any:
        return self.gateway.line(answer.id)["class"]

    def mark(self, session: str, method: str = "PUT", document: Any = None) -> tuple[int, Any]:
        document = {"class": "crisis", "for": "1h"} if method == "PUT" and document is None else document
        return Operator(self.gateway, self.key).ask(method, f"/sessions/{session}/class", document)


class Service:
    """Answers with what it was told about the class; 500 as long as it is `bad`."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.bad = False
        origin.on(b"/", self._answer)

    def _answer(self, talk: Talk, request: Request) -> None:
        said = b",".join(request.all(b"x-traffic-class"))
        talk.reply(said, status=b"500 Broken" if self.bad else b"200 OK")

    @property
    def asked(self) -> int:
        return len(self.origin.requests)


@contextmanager
def opened(folder: Path, *ports: int, store: str = "memory:", breaker: Any = BREAKER, **more: Any) -> Iterator[Place]:
    """A gateway in front of instances at these ports. `more`: `health`, `routes`, sections."""
    folder.mkdir(exist_ok=True)
    issuer = Issuer(folder)
    key = make_key(folder, "game", ("service",), ("mark_sessions",))
    health = more.pop("health", {"type": "none"})
    services = {"s": service(*ports, breaker=breaker, slow_start="0s", health=health)}
    sections = {
        "auth": {**key.section, "issuers": [issuer.section]},
        "gateway": {"store": store},
        "classes": CLAIMS,
        **more,
    }
    routes = sections.pop("routes", ROUTES)
    with Gateway(folder, services, routes, **sections) as running:
        yield Place(running, issuer, key)
        assert running.failures() == []


@pytest.fixture
def working(service_here: Origin) -> Service:
    return Service(service_here)


def helps(answer: Answer) -> bool:
    """Whether it has the numbers in it."""
    return (
        answer.value(b"x-crisis-support") == b"available"
        and answer.value(b"x-crisis-hotline") == b"988"
        and all(number in answer.body for number in (b"988", b"741741", b"911"))
    )


@pytest.mark.parametrize("configured", [True, False])
def test_who_finds_no_connection_left_is_told_where_help_is(tmp_path: Path, working: Service, configured: bool) -> None:
    text = "Call or text 988, or text 741741. In danger now: 911. As configured."
    help_ = {"status": 200, "default_region": "US", "regions": {"US": {"text": text, "hotline": "988"}}}
    more = {"http": {"max_connections": 1}, "fallbacks": {"first": help_} if configured else {}}
    with opened(tmp_path / "a", working.origin.port, **more) as place, Client(place.gateway.port) as first:
        assert first.ask(get("/open/1")).status == 200
        answer = once(place.gateway.port, get("/crisis/1"))
        assert (answer.status, answer.reason) == (503, b"too_many_connections")
        assert helps(answer)
        assert (b"As configured" in answer.body) is configured


# What says so


def test_only_what_was_verified_says_of_which_class_a_request_is(tmp_path: Path, working: Service) -> None:
    spoofed = ("X-Traffic-Class: crisis", "x-safety-level: critical", "X-Therapeutic-Session-ID: s-1")
    with opened(tmp_path / "a", working.origin.port) as place:
        assert place.mark("s-1")[0] == 200
        for path, claims, expected in (
            ("/open/1", {}, "normal"),
            ("/open/1", {"risk": "acute"}, "normal"),  # nobody looks at the token there
            ("/required/1", {"role": "patient"}, "normal"),
            ("/required/1", {"risk": "unheard-of"}, "normal"),
            ("/required/1", {"tier": "gold"}, "high"),
            ("/required/1", {"risk": "acute"}, "crisis"),
            ("/required/1", {"risk": True}, "crisis"),
            ("/required/1", {"risk": ["low", "acute"]}, "crisis"),
            ("/required/1", {"session_id": "s-2"}, "normal"),
            ("/required/1", {"session_id": "s-1"}, "crisis"),
            ("/story/1", {"tier": "gold"}, "therapeutic"),
            ("/story/1", {"session_id": "s-1", "tier": "gold"}, "crisis"),
            ("/crisis/1", {}, "crisis"),
        ):
            for fields in ((), spoofed):
                answer = place.ask(path, *fields, **claims)
                assert (answer.status, answer.body.decode()) == (200, expected), (path, claims)
            assert place.class_of(answer) == expected


def test_a_mark_holds_on_every_gateway_and_after_a_restart_until_it_is_lifted(tmp_path: Path, working: Service) -> None:
    with (
        Redis(tmp_path / "redis", saved=True) as redis,
        opened(tmp_path / "a", working.origin.port, store=redis.url) as one,
        opened(tmp_path / "b", working.origin.port, store=redis.url) as other,
    ):

        def classes() -> list[bytes]:
            return [each.ask("/required/1", session_id="a/b;c").body for each in (one, other)]

        until(lambda: all(each.gateway.metric("ttagw_store_up") for each in (one, other)), "both have the store")
        assert classes() == [b"normal"] * 2
        status, answer = one.mark("a%2Fb%3Bc")
        assert (status, answer["stored"]) == (200, True)
        until(lambda: classes() == [b"crisis"] * 2, "the mark is in effect on both", within=4.0)
        one.gateway.restart()
        until(lambda: classes() == [b"crisis"] * 2, "it is after a restart")
        redis.kill()
        assert classes() == [b"crisis"] * 2
        status, answer = other.mark("s-2")
        assert (status, answer["stored"]) == (200, False)
        assert other.ask("/required/1", session_id="s-2").body == b"crisis"
        redis.start()
        until(lambda: one.ask("/required/1", session_id="s-2").body == b"crisis", "what was owed is on both")
        assert other.mark("a%2Fb%3Bc", "DELETE")[1]["lifted"] is True
        until(lambda: classes() == [b"normal"] * 2, "it is lifted on both", within=4.0)
        for each in (one, other):
            everything = each.gateway.child.errors.read_bytes() + each.gateway.access.read_bytes()
            assert b"a/b;c" not in everything
            assert b"a%2Fb" not in everything
        assert (
            b"a/b;c"
            not in redis.folder.joinpath("appendonlydir")
            .joinpath(
                next(each.name for each in redis.folder.joinpath("appendonlydir").iterdir() if ".incr." in each.name)
            )
            .read_bytes()
        )


def test_a_mark_ends_by_itself(tmp_path: Path, working: Service) -> None:
    with opened(tmp_path / "a", working.origin.port) as place:
        assert place.mark("s-1", document={"class": "high", "for": "1500ms"})[0] == 200
        assert place.ask("/required/1", session_id="s-1").body == b"high"
        until(lambda: place.ask("/required/1", session_id="s-1").body == b"normal", "it is over", within=8.0)
        assert place.mark("s-1", "GET") == (200, {"class": None})


# The crisis lane


def test_with_the_breaker_open_a_crisis_request_reaches_a_service_that_is_well_again(
    tmp_path: Path, working: Service
) -> None:
    with opened(tmp_path / "a", working.origin.port, upstream={"retries": 0}) as place:
        working.bad = True
        assert [place.ask("/open/1").status for _ in range(4)] == [500, 500, 500, 503]
        answer = place.ask("/crisis/1")
        assert (answer.status, answer.reason, helps(answer)) == (503, b"upstream_broken", True)
        working.bad = False
        asked = working.asked
        assert [place.ask(path).status for path in ("/open/1", "/crisis/1", "/open/1", "/crisis/1")] == [
            503,
            200,
            503,
            200,
        ]
        answer = place.ask("/required/1", risk="acute")
        assert (answer.status, answer.body) == (200, b"crisis")
        assert working.asked == asked + 3
        assert place.gateway.line(answer.id)["bypass"] == "breaker"
        metric = place.gateway.metric
        assert metric("ttagw_crisis_requests_total", route="crisis") == 3
        assert metric("ttagw_crisis_bypasses_total", route="crisis", reason="breaker") == 3
        assert metric("ttagw_crisis_bypasses_total", route="required", reason="breaker") == 1
        assert metric("ttagw_events_total", kind="crisis_bypass") == 1
        told = [each for each in place.gateway.said() if "crisis requests were let past" in each["message"]]
        assert [each["message"] for each in told] == ["1 crisis requests were let past: breaker"]


def test_when_all_are_down_by_their_checks_a_crisis_request_asks_one_of_them(tmp_path: Path, working: Service) -> None:
    checks = {"type": "http", "path": "/nothing", "expect": [299], "interval": "200ms", "timeout": "1s"}
    health = {**checks, "unhealthy_after": 1}
    with opened(tmp_path / "a", working.origin.port, health=health) as place:
        until(lambda: place.ask("/open/1").status == 503, "it is down")
        answer = place.ask("/crisis/1")
        assert (answer.status, place.gateway.line(answer.id)["bypass"]) == (200, "health")
        assert place.ask("/open/1").status == 503


@pytest.mark.parametrize("configured", [True, False])
def test_with_everything_down_the_answer_is_help(tmp_path: Path, configured: bool) -> None:
    text = "Call or text 988, or text 741741. In danger now: 911. As configured."
    help_ = {"status": 200, "default_region": "US", "regions": {"US": {"text": text, "hotline": "988"}}}
    more = {"fallbacks": {"first": help_}} if configured else {}
    with opened(tmp_path / "a", free_port(), **more) as place:
        answers = [place.ask("/crisis/1") for _ in range(5)]
        answers += [place.ask("/required/1", risk="acute") for _ in range(3)]
        answers += [place.ask("/crisis/1", f"Accept: {kind}") for kind in ("text/html", "text/plain", "image/png")]
        for answer in answers:
            assert answer.status == (200 if configured else 503)
            assert helps(answer)
            assert (b"As configured" in answer.body) is configured
        plain = place.ask("/open/1")
        assert (plain.status, helps(plain)) == (503, False)
        refused = place.ask("/crisis/1", "Expect: nonsense")
        assert (refused.status, refused.value(b"x-crisis-support")) == (417, b"")  # it was not read as far as its route
        count = place.gateway.metric("ttagw_crisis_fallbacks_total")
        assert count == len(answers)


def test_a_crisis_request_that_may_not_is_refused_with_help_beside_it(tmp_path: Path, working: Service) -> None:
    routes = [route("/crisis/*", name="crisis", auth="required", **{"class": "crisis"})]
    with opened(tmp_path / "a", working.origin.port, routes=routes) as place:
        answer = place.ask("/crisis/1")
        assert (answer.status, helps(answer)) == (401, True)
        assert json.loads(answer.body)["support"]["hotline"] == "988"


def test_a_route_for_everybody_in_a_crisis_works_with_redis_away(tmp_path: Path, working: Service) -> None:
    gone = f"redis://127.0.0.1:{free_port()}"
    with opened(tmp_path / "a", working.origin.port, store=gone) as place:
        assert place.gateway.metric("ttagw_store_up") == 0
        assert [place.ask("/crisis/1").status for _ in range(3)] == [200] * 3


def test_a_route_that_does_not_need_to_know_who_it_is_works_when_that_cannot_be_found_out(
    tmp_path: Path, working: Service
) -> None:
    routes = [
        route("/crisis/*", name="crisis", auth="optional", **{"class": "crisis"}),
        route("/story/*", name="story", auth="optional"),
    ]
    gone = f"redis://127.0.0.1:{free_port()}"
    with opened(tmp_path / "a", working.origin.port, store=gone, routes=routes) as place:
        assert place.ask("/story/1", risk="none").status == 503
        answer = place.ask("/crisis/1", risk="none")
        assert (answer.status, place.gateway.line(answer.id)["bypass"]) == (200, "identity")
        assert working.origin.requests[-1].all(b"x-user-id") == []
        with Client(place.gateway.port) as client:
            bad = client.ask(get("/crisis/1", "Authorization: Bearer nonsense"))
        assert (bad.status, helps(bad)) == (401, True)


# Its ceiling

LOW = {"crisis": {"rate": "20/10s"}, "low": {"rate": "5/min"}}
"""So many at once; of crisis two more each second."""


def test_above_the_ceiling_the_answer_is_help_and_then_all_is_as_before(tmp_path: Path, working: Service) -> None:
    routes = [*ROUTES, route("/low/*", name="low", **{"class": "low"})]
    with opened(tmp_path / "a", working.origin.port, classes=LOW, routes=routes) as place:
        answers = [place.ask("/crisis/1") for _ in range(60)]
        served = [each for each in answers if each.status == 200]
        above = [each for each in answers if each.status != 200]
        assert 20 <= len(served) < 60
        assert working.asked == len(served)
        for each in above:
            assert (each.status, each.reason) == (503, b"crisis_ceiling")
            assert helps(each)
            assert 1 <= int(each.value(b"retry-after")) <= 10
        assert place.ask("/crisis/1", source="127.0.0.2").status == 200
        assert place.ask("/open/1").status == 200
        until(lambda: place.ask("/crisis/1").status == 200, "there is room again")
        assert place.gateway.metric("ttagw_crisis_fallbacks_total", reason="crisis_ceiling") >= len(above)
        answers = [place.ask("/low/1") for _ in range(7)]
        assert [each.status for each in answers] == [200] * 5 + [429] * 2
        assert answers[-1].value(b"ratelimit-policy") == b'"class-low";q=5;w=60'
        assert not helps(answers[-1])


def test_above_the_ceiling_a_connection_is_not_read_for_a_while_and_then_goes_on(
    tmp_path: Path, working: Service
) -> None:
    classes = {"crisis": {"rate": "1/min"}}
    with opened(tmp_path / "a", working.origin.port, classes=classes) as place, Client(place.gateway.port) as client:
        assert client.ask(get("/crisis/1")).status == 200
        began = time.monotonic()
        for _ in range(3):
            assert helps(client.ask(get("/crisis/1")))
        assert client.ask(get("/open/1")).status == 200
        # Three answers were each followed by a second in which nothing is read.
        assert time.monotonic() - began >= 2.8
        assert helps(client.ask(post("/crisis/1", b"x" * 1000)))
        assert place.ask("/open/1").status == 200  # others do not wait


def test_over_tls_it_is_the_same(tmp_path: Path, working: Service, authority: Authority) -> None:
    services = {"s": service(working.origin.port)}
    classes = {"crisis": {"rate": "1/min"}}
    made = authority.issue("127.0.0.1")
    with Gateway(tmp_path, services, ROUTES[2:], certificate=made, classes=classes) as gateway:
        with Client(gateway.secure_port, authority.client_context()) as client:
            assert client.ask(get("/crisis/1")).status == 200
            began = time.monotonic()
            client.send(get("/crisis/1") + get("/open/1"), get("/open/2"))
            assert helps(client.answer(b"GET"))
            assert [client.answer(b"GET").status for _ in range(2)] == [200, 200]
            assert time.monotonic() - began >= 0.9
            assert helps(client.ask(get("/crisis/1")))
            gateway.stop()
            assert client.rest() == b""
        assert gateway.failures() == []


def test_a_connection_that_is_not_read_ends_when_the_gateway_does(tmp_path: Path, working: Service) -> None:
    classes = {"crisis": {"rate": "1/min"}}
    with opened(tmp_path / "a", working.origin.port, classes=classes) as place, Client(place.gateway.port) as client:
        client.ask(get("/crisis/1"))
        assert helps(client.ask(get("/crisis/1")))
        place.gateway.stop()
        assert client.rest() == b""
        assert not client.broken


def test_a_flood_on_the_crisis_path_leaves_others_served(tmp_path: Path, working: Service) -> None:
    with opened(tmp_path / "a", working.origin.port, classes={"crisis": {"rate": "20/s"}}) as place:
        port = place.gateway.port
        until_ = time.monotonic() + 3.0

        def flood(number: int) -> int:
            count = 0
            while time.monotonic() < until_:
                with Client(port, source=f"127.0.1.{number % 2 + 1}") as client:
                    while time.monotonic() < until_ and client.ask(get("/crisis/flood")).status:
                        count += 1
            return count

        with ThreadPoolExecutor(8) as pool:
            flooding = [pool.submit(flood, number) for number in range(8)]
            answers = []
            while time.monotonic() < until_:
                answers.append(once(port, get("/open/1")).status)
                answers.append(place.ask("/crisis/1").status)
                time.sleep(0.1)
            assert sum([each.result() for each in flooding]) > 40
        assert set(answers) == {200}
        flooded = [each for each in working.origin.requests if each.target == b"/crisis/flood"]
        # Two addresses, twenty at once, and twenty a second.
        assert len(flooded) <= 2 * (20 + 20 * 3 + 5)
