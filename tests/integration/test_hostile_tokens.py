"""No hostile token gets in, none makes the gateway stumble, and the log says why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.corpus import tokens as corpus
from tests.integration.corpus.token_parts import ALGORITHMS, KEYS, ONLINE, PUBLISHED, SECRET, SHARED, Hostile, Twin
from tests.integration.kit.gateway import Gateway, Line, route, service
from tests.integration.kit.issuer import Publisher
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, Client, get
from tests.integration.kit.waiting import until
from tests.issuing import ISSUER

HOSTILE = list(corpus.hostile("http://nowhere.example/"))
TWINS = list(corpus.twins())


class Standing:
    """A gateway that knows three issuers, and a place where nobody may come."""

    def __init__(self, gateway: Gateway, origin: Origin, trap: Origin) -> None:
        self.gateway, self.origin, self.trap = gateway, origin, trap
        self.sent: list[bytes] = []

    def ask(self, token: bytes) -> Answer:
        self.sent.append(token)
        head = get("/p/7", "Connection: close")[:-2] + b"Authorization: Bearer " + token + b"\r\n\r\n"
        with Client(self.gateway.port) as client:
            client.send(head)
            return client.answer()

    def ask_all(self) -> Mapping[str, tuple[Answer, int, Line]]:
        """What came of each hostile token: the answer, how many requests the service got, and what the log says."""
        found: dict[str, tuple[Answer, int]] = {}
        for case in corpus.hostile(f"http://127.0.0.1:{self.trap.port}/"):
            before = len(self.origin.requests)
            answer = self.ask(case.make(time.time()))
            found[case.name] = (answer, len(self.origin.requests) - before)
        ids = {answer.id for answer, _ in found.values()}
        until(lambda: ids <= {line["request_id"] for line in self.gateway.lines()}, "all of them are in the log")
        lines = {line["request_id"]: line for line in self.gateway.lines()}
        return {name: (answer, came, lines[answer.id]) for name, (answer, came) in found.items()}


@pytest.fixture(scope="module")
def standing(folder: Path, origin: Origin) -> Iterator[Standing]:
    (folder / "keys.json").write_bytes(KEYS)
    (folder / "secret").write_bytes(SECRET.secret)
    with Publisher(ONLINE) as publisher, Origin() as trap:
        issuers = [
            {"issuer": ISSUER, "audience": ["tta"], "jwks_file": "keys.json", "algorithms": ALGORITHMS},
            {"issuer": SHARED, "audience": ["tta"], "secret_file": "secret", "algorithms": ["HS256"]},
            publisher.section(issuer=PUBLISHED),
        ]
        routes = [route("/p/*", name="p", auth="required")]
        with Gateway(folder, {"s": service(origin.port)}, routes, auth={"issuers": issuers}) as gateway:
            here = Standing(gateway, origin, trap)
            yield here
            assert gateway.failures() == []
            assert trap.talks == []
            assert gateway.metric("ttagw_token_failures_total") == 0
            written = gateway.access.read_bytes() + gateway.child.errors.read_bytes()
            # Neither a whole token nor the signature of one is written anywhere.
            for token in here.sent:
                secret = token.rpartition(b".")[2]
                assert len(secret) < 32 or secret not in written


@pytest.fixture(scope="module")
def outcomes(standing: Standing) -> Mapping[str, tuple[Answer, int, Line]]:
    return standing.ask_all()


def test_there_are_many_and_no_two_have_one_name() -> None:
    assert len(HOSTILE) >= 80
    assert len({each.name for each in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: ascii(case.name))
def test_a_hostile_token_is_refused(outcomes: Mapping[str, tuple[Answer, int, Line]], case: Hostile) -> None:
    answer, came, line = outcomes[case.name]
    assert came == 0
    assert (line["status"], line["tries"]) == (answer.status, 0)
    if not case.reason:
        assert answer.status in (400, 431)
        assert line["reason"]
        return
    assert (answer.status, line["reason"]) == (401, case.reason)
    assert answer.value(b"content-type").startswith(b"application/problem+json")
    expired = b', error_description="The token expired"' if case.reason == "token_expired" else b""
    assert answer.value(b"www-authenticate") == b'Bearer realm="tta", error="invalid_token"' + expired


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.name)
def test_its_good_twin_gets_in(standing: Standing, case: Twin) -> None:
    token = case.make(time.time())
    before = len(standing.origin.requests)
    # Once as new, once as remembered.
    assert [standing.ask(token).status for _ in range(2)] == [200, 200]
    for request in standing.origin.requests[before:]:
        assert request.value(b"x-user-id") == b"user-7"
        assert request.value(b"x-user-role") == b"patient"
        assert request.value(b"authorization") == b""
    assert len(standing.origin.requests) == before + 2
