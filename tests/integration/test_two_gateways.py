"""Two gateways that share a Redis agree on every instance, through a restart of it too."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.pair import AGREED, IN_STEP, LONG, agree, two_gateways
from tests.integration.kit.redis import Redis
from tests.integration.kit.waiting import until


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"))


class Changes:
    """Random joins, leaves and crashes at either of two gateways, and what must come of them."""

    def __init__(self, operators: tuple[Operator, Operator], random_: random.Random) -> None:
        self._operators = operators
        self._random = random_
        self.there: dict[str, int] = {}
        """Weight by id."""
        self.crashing: set[str] = set()

    def one(self, number: int) -> None:
        """Something happens."""
        operator = self._random.choice(self._operators)
        what = self._random.random()
        id_ = f"i{self._random.randrange(30)}"
        weight = self._random.randrange(1, 1000)
        if what < 0.2:
            crashed = f"crash{number}"
            self.crashing.add(crashed)
            assert operator.put("s", crashed, 9, ttl="1s") == 201
        elif what < 0.4 and id_ in self.there:
            status = operator.delete("s", id_)
            # While they cannot hear of each other, one may not know of it yet.
            assert status in (202, 404)
            if status == 202:
                del self.there[id_]
        else:
            assert operator.put("s", id_, 9, weight=weight, ttl=LONG) in (200, 201)
            self.there[id_] = weight

    def hold(self, *, crashed: bool = True) -> bool:
        """Whether both say that all of it has happened; `crashed`: those that crashed are gone too."""
        for operator in self._operators:
            found = {id_: each["weight"] for id_, each in operator.instances().items()}
            if not crashed:
                found = {id_: weight for id_, weight in found.items() if id_ not in self.crashing}
            if found != self.there:
                return False
        return True


@pytest.mark.parametrize("saved", [True, False], ids=["saved", "forgotten"])
def test_both_agree_through_changes_and_a_restart_of_redis(
    tmp_path: Path, key: Key, origin: Origin, saved: bool
) -> None:
    with Redis(tmp_path / "redis", saved=saved) as redis, two_gateways(tmp_path, redis, key, origin) as operators:
        changes = Changes(operators, random.Random(saved))
        for number in range(60):
            changes.one(number)
            until(lambda: changes.hold(crashed=False), "both know of it", within=AGREED)
        until(lambda: changes.hold(), "those that have crashed are gone from both")
        # It was word of the changes that did it, not the comparison every two seconds.
        assert [each.gateway.metric("ttagw_registrations_repaired_total") for each in operators] == [0, 0]
        redis.kill()
        for number in range(60, 75):
            changes.one(number)
        redis.start()
        until(lambda: changes.hold(crashed=False), "both are in step again", within=IN_STEP)
        for number in range(75, 100):
            changes.one(number)
            until(lambda: changes.hold(crashed=False), "both know of it", within=AGREED)
        until(lambda: changes.hold(), "those that have crashed are gone from both")
        assert len(changes.there) > 10
        assert len(changes.crashing) > 10
        assert not any(each.gateway.metric("ttagw_registrations_unwritten") for each in operators)


def test_a_lease_that_ends_ends_at_both_and_one_that_is_renewed_at_one_holds_at_both(
    tmp_path: Path, key: Key, origin: Origin
) -> None:
    with Redis(tmp_path / "redis") as redis, two_gateways(tmp_path, redis, key, origin) as (one, other):
        assert one.put("s", "kept", 9, ttl="3s") == 201
        assert other.put("s", "crashed", 9, ttl="1s") == 201
        began = time.monotonic()
        gone: dict[Operator, float] = {}

        def looked() -> bool:
            assert one.beat("s", "kept") == 200
            for each in (one, other):
                there = each.instances()
                assert "kept" in there or not gone
                if "crashed" not in there:
                    gone.setdefault(each, time.monotonic())
            return time.monotonic() - began > 3.5 and len(gone) == 2

        until(lambda: agree(one, other), "both know of both", within=AGREED)
        until(looked, "the lease ends at both", every=0.05)
        assert abs(gone[one] - gone[other]) < AGREED
        assert list(other.instances()) == ["kept"]
