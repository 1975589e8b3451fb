"""The benchmark with tokens: what is sent, who is let in to be measured, and what is made of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest

from benchmarks import jwt_token
from benchmarks.__main__ import options
from benchmarks.load import TOKEN_ROWS, LoadError, Row, Sample, run_wrk
from benchmarks.origin import SIZES, SMALL
from benchmarks.peers import Peer, Place, envoy_binary
from benchmarks.process import NotReadyError
from benchmarks.results import Results
from benchmarks.run import Standing
from benchmarks.table import render
from benchmarks.targets import targets
from benchmarks.token_costs import Bench, TokenCosts
from benchmarks.token_peers import (
    TOKEN_PEERS,
    envoy_tokens,
    gateway_tokens,
    haproxy_tokens,
    verify_tokens,
)
from benchmarks.versions import PROGRAMS, found_in
from ttagw.auth.tokens import Tokens
from ttagw.config.loader import load
from ttagw.core.identity import Identity
from ttagw.errors import GatewayError

NOW = 1_800_000_000.0
ROW = TOKEN_ROWS[0]

# What is sent


def test_each_token_is_another_person_s_and_good_for_an_hour() -> None:
    tokens = jwt_token.many(20, lambda: NOW)
    said = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert len({each["sub"] for each in said}) == len({each["jti"] for each in said}) == len({*tokens}) == 20
    assert {each["exp"] for each in said} == {NOW + 3600}
    assert {jwt.get_unverified_header(token)["alg"] for token in tokens} == {"RS256"}
    assert all(600 <= len(token) <= 800 for token in tokens)


def test_the_gateway_s_own_tokens_take_the_good_ones_and_none_of_the_bad(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 3)
    bench.remember()
    for value in bench.values:
        identity = bench.tokens.known(value.removeprefix(b"Bearer "))
        assert identity is not None
        assert identity.roles == {"patient"}
    for name, token in jwt_token.bad().items():
        with pytest.raises(GatewayError):
            pytest.fail(f"{name}: {bench.tokens.verify(token.encode())}")


class Counting:
    """Tokens that count how often one was verified."""

    def __init__(self, tokens: Tokens) -> None:
        self.known = tokens.known
        self.forget = tokens.forget
        self._verify = tokens.verify
        self.verified = 0

    def verify(self, token: bytes) -> Any:
        self.verified += 1
        return self._verify(token)


def test_what_is_measured_as_seen_before_is_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 3)
    counting = Counting(bench.tokens)
    bench.tokens = counting  # type: ignore[assignment]
    bench.remember()
    bench.looking_up()(9)
    bench.entering()(9)
    assert counting.verified == 3
    bench.verifying()(3)
    assert counting.verified == 6


def test_the_layers_that_are_measured_let_the_caller_in_and_tell_the_service(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 2)
    bench.remember()
    bench.entering()(2)
    assert isinstance(bench.made.identity, Identity)
    assert b"x-user-role: patient\r\n" in bench.made.forwarded
    bench.arriving()(1)
    assert bench.made.identity is None
    assert b"x-user-role" not in bench.made.forwarded


# Who is let in to be measured


@dataclass
class Service:
    """Answers as `status` says for what was in `Authorization`, and writes that down."""

    status: Callable[[str], int]
    body: bytes = bytes(SIZES[SMALL])
    asked: list[str] = field(default_factory=list)
    port: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: Service


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        service = self.server.service  # type: ignore[attr-defined]
        asked = self.headers.get("Authorization", "")
        service.asked.append(asked)
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (service.status(asked), len(service.body))
        self.wfile.write(head + service.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], int]], Service]]:
    servers: list[_Server] = []

    def start(status: Callable[[str], int]) -> Service:
        server = _Server(("127.0.0.1", 0), _Answers)
        servers.append(server)
        server.service = Service(status, port=server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server.service

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


TOKENS = ["good-1", "good-2", "good-3"]
BAD = {"no token": "", "another's": "bad"}
CHECKING = Peer("p", "", str, lambda _: [], refuses_strangers=True)


def good_ones(value: str) -> int:
    return 200 if value.startswith("Bearer good-") else 401


def standing(service: Service, peer: Peer = CHECKING) -> Standing:
    return Standing(peer, service.port, None)  # type: ignore[arg-type]


def test_who_takes_good_tokens_and_no_other_is_measured(serve: Any) -> None:
    service = serve(good_ones)
    verify_tokens(standing(service), TOKENS, BAD)
    assert service.asked == ["", "Bearer bad", *[f"Bearer {each}" for each in TOKENS]]


def test_who_lets_everything_pass_is_not_measured(serve: Any) -> None:
    with pytest.raises(NotReadyError, match="no token: answered with 200"):
        verify_tokens(standing(serve(lambda _: 200)), TOKENS, BAD)
    with pytest.raises(NotReadyError, match="another's: answered with 200"):
        verify_tokens(standing(serve(lambda value: 200 if value else 401)), TOKENS, BAD)


def test_who_refuses_one_good_token_is_not_measured(serve: Any) -> None:
    service = serve(lambda value: 401 if value == "Bearer good-3" else good_ones(value))
    with pytest.raises(NotReadyError, match="a good token: answered with 401"):
        verify_tokens(standing(service), TOKENS, BAD)


def test_who_fails_refuses_nothing(serve: Any) -> None:
    with pytest.raises(NotReadyError, match="no token: answered with 503"):
        verify_tokens(standing(serve(lambda _: 503)), TOKENS, BAD)


def test_who_checks_nothing_on_purpose_is_not_asked_to_refuse(serve: Any) -> None:
    service = serve(lambda _: 200)
    verify_tokens(standing(service, replace(CHECKING, refuses_strangers=False)), TOKENS, BAD)
    assert len(service.asked) == 3


# The load

needs_wrk = pytest.mark.skipif(
    not (shutil.which("wrk") and shutil.which("taskset") and (os.cpu_count() or 1) > 1),
    reason="wrk, taskset and two cores",
)


def row_of(folder: Path, tokens: list[str], connections: int = 1) -> Row:
    file = folder / "tokens"
    file.write_text("".join(f"{each}\n" for each in tokens))
    return replace(ROW, connections=connections, tokens=str(file))


@needs_wrk
def test_a_connection_sends_every_token_and_never_the_same_twice_in_a_row(serve: Any, tmp_path: Path) -> None:
    service = serve(good_ones)
    run_wrk(row_of(tmp_path, TOKENS), service.port, os.getpid(), {}, 1)
    asked = service.asked
    assert len(asked) > 3
    sent = [f"Bearer {each}" for each in TOKENS]
    first = sent.index(asked[0])  # wrk has made up one to look at it
    assert asked == [sent[(first + place) % 3] for place in range(len(asked))]


@needs_wrk
def test_a_round_with_refused_tokens_does_not_count(serve: Any, tmp_path: Path) -> None:
    service = serve(lambda value: 401 if value == "Bearer good-2" else 200)
    with pytest.raises(LoadError, match="good tokens were refused"):
        run_wrk(row_of(tmp_path, TOKENS), service.port, os.getpid(), {}, 1)


# What the proxies are told


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, 8000, 9000)


def test_the_gateway_asks_for_a_token_and_a_role_where_it_is_measured(place: Place) -> None:
    config = load(gateway_tokens(place)[-1])
    route = next(each for each in config.routes if each.name == "players")
    assert (route.auth, set(route.roles)) == ("required", {"patient", "therapist"})
    assert [(each.issuer, each.audience, each.algorithms) for each in config.auth.issuers] == [
        (jwt_token.ISSUER, (jwt_token.AUDIENCE,), ("RS256",))
    ]
    assert config.auth.cache >= 1000


def test_without_tokens_only_that_is_another(place: Place, tmp_path: Path) -> None:
    closed = load(gateway_tokens(place)[-1])
    (tmp_path / "open").mkdir()
    peer = next(each for each in TOKEN_PEERS if each.name == "ttagw-open")
    config = load(peer.command(replace(place, folder=tmp_path / "open"))[-1])
    players = [next(each for each in one.routes if each.name == "players") for one in (config, closed)]
    assert players[0].auth == "none"
    assert players[0] == players[1].model_copy(update={"auth": "none", "roles": players[0].roles})


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy")
def test_haproxy_takes_its_configuration(place: Place) -> None:
    command = haproxy_tokens(place)
    done = subprocess.run(["haproxy", "-c", *command[2:]], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "<<" in Path(command[-1]).read_text()) == (0, False), done.stderr


@pytest.mark.skipif(not envoy_binary(), reason="envoy")
def test_envoy_takes_its_configuration(place: Place) -> None:
    command = [*envoy_tokens(place), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# What is made of it


def results(**rates: list[float]) -> Results:
    made = Results({})
    for name, these in rates.items():
        made.samples[ROW.name][name.replace("_", "-")] = [Sample(rate, 1e6 / rate, 1024, {}) for rate in these]
    return made


def demand(made: Results, name: str) -> tuple[float | None, str]:
    target = next(each for each in targets(made) if each.name == name)
    return target.value, target.verdict


HAPROXY, ENVOY = f"{ROW.name}, of HAProxy", f"{ROW.name}, of Envoy with its cache"


@pytest.mark.parametrize(
    ("mine", "haproxy", "envoy"),
    [(1300.0, "holds", "holds"), (1299.0, "does not hold", "holds"), (999.0, "does not hold", "does not hold")],
)
def test_the_bounds_are_those_that_were_asked_for(mine: float, haproxy: str, envoy: str) -> None:
    made = results(ttagw=[mine] * 3, haproxy=[1000.0] * 3, envoy=[1000.0] * 3)
    assert demand(made, HAPROXY) == (mine / 1000, haproxy)
    assert demand(made, ENVOY) == (mine / 1000, envoy)


def test_what_was_not_measured_holds_nothing() -> None:
    assert demand(results(ttagw=[1000.0]), HAPROXY) == (None, "not measured")
    assert demand(Results({}), "a token seen before: looked up") == (None, "not measured")


def test_a_token_seen_before_may_cost_two_microseconds() -> None:
    made = Results({}, token_costs=TokenCosts((1.0, 1.1), (2.1, 2.2), (70.0, 71.0)))
    assert demand(made, "a token seen before: looked up") == (1.0, "holds")
    assert demand(made, "a token seen before: all three layers") == (2.1, "does not hold")


def test_the_report_says_what_was_compared_and_with_which_versions() -> None:
    made = results(ttagw=[20_000.0], ttagw_open=[25_000.0], haproxy=[10_000.0])
    made.compared = ["haproxy: what it checks"]
    made.versions = {"haproxy": "2.6.12", "nginx": "1.22.1"}
    made.token_costs = TokenCosts((1.0, 1.1), (2.1, 2.2), (70.0, 71.0))
    text = render(made)
    assert "* haproxy: what it checks" in text
    assert "Versions: haproxy 2.6.12, nginx 1.22.1" in text
    assert "over one without: +10.0 µs" in text
    assert "1,000 distinct RS256 tokens" in text
    assert "70.00" in text
    assert made.as_json()["token_microseconds"]["first"] == (70.0, 71.0)


@pytest.mark.parametrize(
    ("program", "answer", "version"),
    [
        (
            "haproxy",
            "HAProxy version 2.6.12-1+deb12u4 2026/10/17\nRunning on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026\n",
            "2.6.12-1+deb12u4 with OpenSSL 3.0.19",
        ),
        (
            "envoy",
            "\n/x/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n",
            "1.40.0 with BoringSSL",
        ),
        ("nginx", "nginx version: nginx/1.22.1\n", "1.22.1"),
        ("wrk", "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n", "debian/4.1.0-3+b2"),
        ("wrk", "something else", "unknown"),
    ],
)
def test_versions_are_found_in_what_programs_say(program: str, answer: str, version: str) -> None:
    assert found_in(answer, PROGRAMS[program][1]) == version


# What is asked for


def test_tokens_are_a_part_of_all_and_can_be_all() -> None:
    assert "tokens" in options([]).parts
    chosen = options(["--tokens", "--only", "haproxy,ttagw-open"])
    assert chosen.parts == ["tokens"]
    assert [each.name for each in chosen.token_peers] == ["ttagw-open", "haproxy"]
    assert [each.name for each in chosen.peers] == ["haproxy"]
