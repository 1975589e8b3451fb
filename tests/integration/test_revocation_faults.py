"""Row 23 for revocations: while Redis is away what is known stays in effect, nothing else is promised, nobody waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.pair import IN_STEP
from tests.integration.kit.raw import get, once
from tests.integration.kit.redis import Redis, killed, paused
from tests.integration.kit.revoking import EVERYWHERE, People, TokenPace, asked, asking, lift, revoke, state, two_asking
from tests.integration.kit.waiting import until

GOOD = (200, "")
REFUSED = (401, "token_refused")
UNKNOWN = (503, "identity_unknown")

BEYOND = 0.05
"""Seconds that requests may take longer than normal."""
ASKED = 150
"""Requests on which that is seen."""
RARELY = 0.1


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People.in_folder(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def shared(folder: Path, people: People, origin: Origin) -> Iterator[tuple[Redis, Operator, Operator]]:
    # It keeps nothing on its disk: killed, it has lost everything that it was told.
    with Redis(folder / "redis") as redis, two_asking(folder, people, origin, redis.url) as (one, other):
        yield redis, one, other


@contextmanager
def read_only(redis: Redis) -> Iterator[None]:
    """It has become somebody's replica: what it has can be read."""
    assert redis.ask("REPLICAOF", "127.0.0.1", "9") == b"OK"
    yield
    assert redis.ask("REPLICAOF", "NO", "ONE") == b"OK"


Fault = Callable[[Redis], "contextmanager[None]"]


@pytest.mark.parametrize("fault", [killed, paused, read_only], ids=lambda fault: fault.__name__)
def test_what_is_known_stays_in_effect_and_nobody_waits(
    people: People, shared: tuple[Redis, Operator, Operator], fault: Fault
) -> None:
    redis, *operators = shared
    late: list[float] = []
    for tried in range(3):
        late.append(through(redis, people, operators, fault, f"{fault.__name__}{tried}"))
        # The machine has its own moments; what the gateway does wrong it does each time.
        if late[-1] < BEYOND:
            return
    raise AssertionError(f"requests took {late} s longer than normal")


def through(redis: Redis, people: People, operators: list[Operator], fault: Fault, name: str) -> float:
    """Go through a fault; returns by how much the slowest two requests of a hundred were slower than normal."""
    one, other = operators
    known, lifted, kept = [people.token(f"{name}-{each}", f"{name}-{each}") for each in ("known", "lifted", "kept")]
    for each in operators:
        assert [asked(each, token) for token in (known, lifted, kept)] == [GOOD] * 3
    assert [revoke(one, jti=f"{name}-{each}") for each in ("known", "lifted")] == [201] * 2
    assert lift(other, jti=f"{name}-lifted") == 200
    until(lambda: asked(other, known) == REFUSED, "it is refused", within=EVERYWHERE)
    with TokenPace(one.gateway.port, kept) as here, TokenPace(other.gateway.port, kept) as there:
        paces = [here, there]
        until(lambda: all(len(each.took) > ASKED for each in paces), "requests run", every=RARELY)
        normal = [len(each.took) for each in paces]
        with fault(redis):
            if fault is not read_only:
                said = "last_known"
                until(lambda: all(state(each) == said for each in operators), "it is said", every=RARELY)
                assert one.gateway.metric("ttagw_revocations_state", state=said) == 1
            for each in operators:
                began = time.monotonic()
                status, found = each.ask("POST", "/revocations", {"jti": f"{name}-kept"})
                assert (status, found["code"]) == (503, "not_stored")
                assert "nothing was changed" in found["detail"]
                assert time.monotonic() - began < 5.0
                assert lift(each, jti=f"{name}-known") == 503
                assert [asked(each, token) for token in (known, lifted, kept)] == [REFUSED, GOOD, GOOD]
                # A token that was never seen is checked with what is known.
                assert asked(each, people.token(f"{name}-new")) == GOOD
            until(lambda: all(len(each.took) > 2 * ASKED for each in paces), "requests go on", every=RARELY)
        until(lambda: all(state(each) == "current" for each in operators), "all is known", within=IN_STEP, every=RARELY)
        assert revoke(one, user=f"{name}-after") in (201, 503)
        until(lambda: revoke(one, user=f"{name}-after") == 201, "it is stored", within=IN_STEP, every=RARELY)
        for each in operators:
            assert [asked(each, token) for token in (known, lifted, kept)] == [REFUSED, GOOD, GOOD]
    for pace in paces:
        assert (set(pace.statuses), pace.lost) == ({200}, 0)
    both = zip(paces, normal, strict=True)
    return max([rare(pace.took[many:]) - rare(pace.took[5:many]) for pace, many in both])


def rare(took: list[float]) -> float:
    """What two in a hundred take longer than."""
    return sorted(took)[len(took) * 98 // 100]


def test_nothing_accepted_is_lost_with_a_redis_that_forgets(
    tmp_path: Path, people: People, shared: tuple[Redis, Operator, Operator], origin: Origin
) -> None:
    redis, one, other = shared
    tokens = [people.token(f"kept{number}", f"kept-{number}") for number in range(50)]
    for number in range(50):
        assert revoke(one if number % 2 else other, jti=f"kept-{number}") == 201
    everything = written(redis)
    assert everything >= 50
    for _ in range(3):
        redis.kill()
        redis.start()
        until(lambda: all(state(each) == "current" for each in (one, other)), "all is known", within=IN_STEP)
        until(lambda: written(redis) == everything, "it is written again", within=IN_STEP)
    # Whoever comes first does it.
    assert sum(each.gateway.metric("ttagw_revocations_restored_total") for each in (one, other)) > 0
    (tmp_path / "new").mkdir()
    with asking(tmp_path / "new", people, origin, redis.url, "new") as gateway:
        new = Operator(gateway, people.admin)
        for token in tokens:
            assert [asked(each, token) for each in (one, other, new)] == [REFUSED] * 3


def written(redis: Redis) -> int:
    """Entries that Redis has: an answer that is a list begins with its length."""
    return int(redis.ask("KEYS", "ttagw:revocations/*"))


def test_a_gateway_that_starts_without_redis_lets_nobody_in_until_it_knows(
    tmp_path: Path, people: People, origin: Origin
) -> None:
    with Redis(tmp_path / "redis", saved=True) as redis, asking(tmp_path, people, origin, redis.url) as gateway:
        operator = Operator(gateway, people.admin)
        good, refused = people.token("good"), people.token("refused")
        assert revoke(operator, user="refused") == 201
        redis.kill()
        gateway.restart()
        assert [asked(operator, each) for each in (good, refused, people.program.text)] == [UNKNOWN] * 3
        answer = once(gateway.port, get("/", f"Authorization: Bearer {good}"))
        assert answer.value(b"retry-after") == b"1"
        assert operator.ask("GET", "/revocations")[1]["state"] == "unknown"
        assert gateway.metric("ttagw_revocations_state", state="unknown") == 1
        redis.start()
        until(lambda: asked(operator, good) == GOOD, "it knows", within=IN_STEP)
        assert asked(operator, refused) == REFUSED
        assert asked(operator, people.program.text) == GOOD
        assert gateway.failures() == []
