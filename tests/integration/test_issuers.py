"""Row 26: issuers that are down, slow, talk garbage, or have other keys than a moment ago."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from select import select
from threading import Event
from typing import Any

import pytest

from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.issuer import Publisher
from tests.integration.kit.origin import Behaviour, Origin, Request, Talk, closing, sending
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer, Client, get, once
from tests.integration.kit.waiting import until
from tests.issuing import ISSUER, Signer, claims, key_set

OLD, NEW, NEWER, STRANGER = (Signer("RS256", name) for name in ("old", "new", "newer", "stranger"))
ROUTES = [route("/p/*", name="p", auth="required")]
_numbers = itertools.count()


def token(signer: Signer = OLD, **more: Any) -> bytes:
    """A good token that nobody has seen before."""
    return signer.token(claims(time.time(), jti=str(next(_numbers)), **more))


def asking(signer: Signer = OLD) -> bytes:
    return get("/p/7", f"Authorization: Bearer {token(signer).decode()}")


def gateway(folder: Path, origin: Origin, issuer: dict[str, Any], **more: Any) -> Gateway:
    more = {"upstream": {"response_timeout": "20s"}, **more}  # a service that is slow is not what is looked at
    return Gateway(folder, {"s": service(origin.port)}, ROUTES, auth={"issuers": [issuer]}, **more)


def fetches(running: Gateway, outcome: str) -> float:
    return running.metric("ttagw_issuer_fetches_total", issuer=ISSUER, outcome=outcome)


class Held:
    """An answer that comes when the test says so, or never."""

    def __init__(self, publisher: Publisher) -> None:
        self.go = Event()
        self.asked = 0
        self._inner = publisher.behaviour
        publisher.behaviour = self._answer

    def _answer(self, talk: Talk, request: Request) -> None:
        self.asked += 1
        while not self.go.is_set():
            # Whether the gateway has given up is seen only by reading.
            if select([talk.socket], [], [], 0.02)[0]:
                talk.more()
        self._inner(talk, request)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher(OLD) as running:
        yield running


# Down, slow, garbage


def test_an_issuer_that_is_down_at_the_start_is_there_later(tmp_path: Path, service_here: Origin) -> None:
    port = free_port()
    section = {"issuer": ISSUER, "jwks_url": f"http://127.0.0.1:{port}/keys"}
    with gateway(tmp_path, service_here, section) as running:
        answer = once(running.port, asking())
        assert (answer.status, running.line(answer.id)["reason"]) == (503, "keys_unavailable")
        assert int(answer.value(b"retry-after")) >= 1
        assert service_here.requests == []
        with Publisher(OLD, port=port) as publisher:
            until(lambda: once(running.port, asking()).status == 200, "the keys are known")
            assert publisher.most_at_once == 1
        said = [line for line in running.said() if "its keys cannot be fetched" in line["message"]]
        assert len(said) == 1
        # It is gone again, and that changes nothing.
        assert once(running.port, asking()).status == 200
        assert running.failures() == []


def test_an_issuer_that_never_answers_keeps_nobody_waiting_who_has_a_known_key(
    tmp_path: Path, service_here: Origin, publisher: Publisher
) -> None:
    with gateway(tmp_path, service_here, publisher.section(jwks_refresh="300ms")) as running:
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        held = Held(publisher)
        until(lambda: held.asked, "the next fetch has begun")
        with Client(running.port) as other:
            other.send(asking(NEW))
            until(lambda: running.metric("ttagw_issuer_waiting") == 1, "a token waits")
            # This one cannot be answered before the fetch is over; those with a known key are.
            assert [once(running.port, asking()).status for _ in range(20)] == [200] * 20
            answer = other.answer()
        assert (answer.status, running.line(answer.id)["reason"]) == (503, "keys_unavailable")
        assert fetches(running, "timeout") == 1
        until(lambda: held.asked > 1, "it is tried again")
        assert once(running.port, asking()).status == 200
        assert publisher.most_at_once == 1
        assert running.failures() == []


def redirect(talk: Talk, request: Request) -> None:
    talk.reply(b"", b"Location: /elsewhere", status=b"302 Found")


def replying(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> Behaviour:
    return lambda talk, request: talk.reply(body, *fields, status=status)


GARBAGE: dict[str, tuple[Behaviour, str]] = {
    "HTML": (replying(b"<html><body>Please sign in</body></html>", b"Content-Type: text/html"), "not_json"),
    "truncated JSON": (replying(key_set(OLD)[:-3]), "not_json"),
    "300 KiB": (replying(b'{"keys":[' + b" " * 300_000 + b"]}"), "too_large"),
    "300 KiB without a length": (closing(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 300_000), "too_large"),
    "no keys": (replying(b'{"keys":[]}'), "no_usable_key"),
    "only keys that are no use": (replying(key_set(OLD.jwk(use="enc"))), "no_usable_key"),
    "201 keys": (replying(key_set(*[OLD.jwk(kid=str(at)) for at in range(201)])), "too_many_keys"),
    "a redirect": (redirect, "status_302"),
    "an error": (replying(b"{}", status=b"500 Internal Server Error"), "status_500"),
    "nothing": (closing(), "connection_failed"),
    "no HTTP": (closing(b"\x16\x03\x01 what?\r\n\r\n"), "connection_failed"),
    "a body that ends early": (closing(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "cut_off"),
    "an endless head": (sending(b"HTTP/1.1 200 OK\r\n" + b"X-Field: x\r\n" * 60_000), "too_large"),
}


class Standing:
    """A gateway whose issuer was well once."""

    def __init__(self, running: Gateway, publisher: Publisher) -> None:
        self.running, self.publisher = running, publisher


@pytest.fixture(scope="module")
def standing(folder: Path, origin: Origin) -> Iterator[Standing]:
    with Publisher(OLD) as publisher, gateway(folder, origin, publisher.section(jwks_refresh="100ms")) as running:
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        yield Standing(running, publisher)
        assert publisher.most_at_once == 1
        assert publisher.origin.seen(b"/elsewhere") == []
        assert running.failures() == []


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_changes_nothing(standing: Standing, name: str) -> None:
    running, publisher = standing.running, standing.publisher
    behaviour, outcome = GARBAGE[name]
    before, asked = fetches(running, outcome), publisher.asked
    publisher.behaviour = behaviour
    until(lambda: fetches(running, outcome) > before, "it was fetched")
    assert [once(running.port, asking()).status for _ in range(3)] == [200] * 3
    assert once(running.port, asking(STRANGER)).status in (401, 503)
    assert publisher.asked > asked
    assert running.metric("ttagw_issuer_keys") == 1
    good = fetches(running, "good")
    publisher.publish(OLD)
    until(lambda: fetches(running, "good") > good, "it is well again")


@pytest.mark.parametrize("name", ["HTML", "a redirect", "an error"])
def test_garbage_at_the_start_lets_nobody_in_and_refuses_nobody(
    tmp_path: Path, service_here: Origin, publisher: Publisher, name: str
) -> None:
    publisher.behaviour, outcome = GARBAGE[name]
    with gateway(tmp_path, service_here, publisher.section()) as running:
        answer = once(running.port, asking())
        assert (answer.status, running.line(answer.id)["reason"]) == (503, "keys_unavailable")
        assert fetches(running, outcome) >= 1
        publisher.publish(OLD)
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        assert len(service_here.requests) == 1


def test_a_huge_set_is_taken_as_far_as_it_may_be(tmp_path: Path, service_here: Origin, publisher: Publisher) -> None:
    publisher.publish(*[OLD.jwk(kid=f"k{at}", x5c=["x" * 700]) for at in range(198)], {"kty": "oct", "kid": "s"}, OLD)
    with gateway(tmp_path, service_here, publisher.section()) as running:
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        assert running.metric("ttagw_issuer_keys") == 199
        skipped = [line["message"] for line in running.said() if "is not used" in line["message"]]
        assert skipped == [f"{ISSUER}: the key 's' is not used: symmetric"]


# Other keys than a moment ago


def test_many_wait_for_one_fetch_and_who_leaves_takes_it_from_nobody(
    tmp_path: Path, service_here: Origin, publisher: Publisher
) -> None:
    with gateway(tmp_path, service_here, publisher.section()) as running:
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        publisher.publish(OLD, NEW)
        held = Held(publisher)
        asked = publisher.asked
        clients = [Client(running.port) for _ in range(30)]
        for client in clients:
            client.send(asking(NEW))
        until(lambda: running.metric("ttagw_issuer_waiting") == 30, "all of them wait")
        for client in clients[:10]:
            client.reset()
        until(lambda: running.metric("ttagw_issuer_waiting") == 20, "some have left")
        assert publisher.asked == asked + 1
        held.go.set()
        assert [client.answer().status for client in clients[10:]] == [200] * 20
        for client in clients[10:]:
            client.close()
        assert once(running.port, asking(NEW)).status == 200
        assert publisher.asked == asked + 1
        lines = until(lambda: [each for each in running.lines() if each["status"] == 499], "they are in the log")
        assert {each["reason"] for each in lines} == {"client_closed"}
        assert running.failures() == []


class Load:
    """Clients that ask without a pause, each with tokens that are new, signed by whatever key is used now."""

    def __init__(self, port: int, signer: Signer) -> None:
        self.port = port
        self.signer = signer
        self.over = False
        self.answers: list[tuple[Signer, Answer]] = []

    def run(self) -> None:
        while not self.over:
            with Client(self.port, timeout=30) as client:
                # A connection ends after 1,000 requests.
                for _ in range(100):
                    signer = self.signer
                    self.answers.append((signer, client.ask(asking(signer))))
                    if self.over:
                        return

    def many(self, signer: Signer) -> int:
        return sum([each is signer for each, _ in self.answers])


def test_no_valid_token_is_refused_while_keys_are_exchanged_under_load(
    tmp_path: Path, service_here: Origin, publisher: Publisher
) -> None:
    with gateway(tmp_path, service_here, publisher.section()) as running:
        until(lambda: once(running.port, asking()).status == 200, "the keys are known")
        load = Load(running.port, OLD)
        with ThreadPoolExecutor(6) as pool:
            clients = [pool.submit(load.run) for _ in range(6)]
            try:
                for known, signer in ((OLD, NEW), (NEW, NEWER)):
                    until(lambda known=known: load.many(known) > 100, "the key is in use")
                    # An issuer publishes a key before it uses it; nobody has told the gateway.
                    publisher.publish(known, signer)
                    load.signer = signer
                    # A stranger makes it hard: the fetch that a new name may cause is used up.
                    with Client(running.port, timeout=30) as stranger:
                        stranger.send(asking(STRANGER))
                        until(lambda signer=signer: load.many(signer) > 100, "the new key is in use", within=40)
                        answer = stranger.answer()
                        assert running.line(answer.id)["reason"] == "token_key"
            finally:
                load.over = True
            for client in clients:
                client.result(40)
        assert {answer.status for _, answer in load.answers} == {200}
        assert publisher.most_at_once == 1
        # The first is that of the start; the others were because of names, 10 s apart as the gateway sees it.
        gaps = [later - earlier for earlier, later in itertools.pairwise(publisher.times[1:])]
        assert all(gap > 5 for gap in gaps)
        assert len(gaps) >= 1
        assert running.failures() == []


def test_what_a_key_had_signed_that_is_withdrawn_gets_in_no_more(
    tmp_path: Path, service_here: Origin, publisher: Publisher
) -> None:
    with gateway(tmp_path, service_here, publisher.section(jwks_refresh="200ms")) as running:
        request = asking()
        until(lambda: once(running.port, request).status == 200, "the keys are known")
        assert once(running.port, request).status == 200
        publisher.publish(NEW)
        until(lambda: once(running.port, asking(NEW)).status == 200, "the new key is known")
        answer = once(running.port, request)
        assert (answer.status, running.line(answer.id)["reason"]) == (401, "token_key")


# TLS, and files


@pytest.mark.parametrize("trusted", [True, False])
def test_an_issuer_is_who_its_certificate_says(
    tmp_path: Path, service_here: Origin, authority: Authority, trusted: bool
) -> None:
    around = ["env", f"SSL_CERT_FILE={authority.path}"] if trusted else []
    publisher = Publisher(OLD, context=authority.server_context("127.0.0.1"))
    with publisher, gateway(tmp_path, service_here, publisher.section(), around=around) as running:
        if trusted:
            until(lambda: once(running.port, asking()).status == 200, "the keys are known")
            return
        assert once(running.port, asking()).status == 503
        assert publisher.asked == 0
        until(lambda: publisher.origin.refused, "it was refused in the handshake")


def test_a_file_of_keys_is_followed(tmp_path: Path, service_here: Origin) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(OLD))
    section = {"issuer": ISSUER, "jwks_file": "keys.json"}
    with gateway(tmp_path, service_here, section) as running:
        request = asking()
        assert once(running.port, request).status == 200
        assert once(running.port, asking(NEW)).status == 401
        for garbage in (b"", b"{", key_set()):
            file.write_bytes(garbage)
            assert once(running.port, asking()).status == 200
        until(lambda: [each for each in running.said() if "cannot be used now" in each["message"]], "the fault is told")
        file.write_bytes(key_set(NEW))
        until(lambda: once(running.port, asking(NEW)).status == 200, "the new key is known")
        assert once(running.port, request).status == 401


def test_a_secret_that_is_too_short_for_its_algorithm_keeps_it_from_starting(
    tmp_path: Path, service_here: Origin
) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 40)
    section = {"issuer": ISSUER, "secret_file": "secret", "algorithms": ["HS256", "HS512"]}
    with pytest.raises(AssertionError, match="expected a secret of 64 bytes or more for HS512, got 40"):
        gateway(tmp_path, service_here, section)
