"""Several gateways, delays, losses, crashes: the law holds as a list of all times says it, and little is lost."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.limits.kit import Gateway, advance
from tests.limits.ledger import Ledger
from ttagw.core.lease import SLACK, lendable
from ttagw.limits.base import Terms, Want
from ttagw.limits.shared_asking import DEADLINE, GRACE


class Step(NamedTuple):
    """Something happens after a while."""

    after: float
    gateway: int
    what: str
    count: int
    cost: float


DELAYS = {"near": (0.001, 0.001), "far": (0.02, 0.015), "slow": (0.005, 0.06), "silent": (0.03, 1.2)}

steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.0, 0.0, 0.004, 0.02, 0.3, 1.1, 2.5]),
        st.integers(0, 1),
        st.sampled_from(
            ["warm", "hog", "warm", "hog", "take", *DELAYS, "deaf", "cut", "mend", "crash", "cancel", "give back"]
        ),
        st.integers(1, 12),
        st.sampled_from([1.0, 1.0, 1.0, 0.5, 1 / 3, 2.0, 5.0]),
    ),
    min_size=3,
    max_size=40,
)
limits = st.sampled_from([(1000, 10), (3000, 40), (3000, 25), (400, 6), (5, 3), (100, 100)]).map(
    lambda limit: Terms("l", limit[0], 1.0, float(limit[1]), on_store_failure="deny")
)
"""Most of them small beside what is lent, so that whatever is lent too much shows."""


class World:
    """Gateways, what they let through, and the bucket that one gateway alone had."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.clock = Clock()
        self.ledger = Ledger()
        self.number = 0
        self.gone: list[tuple[float, float]] = []
        self.gateways = [self.another() for _ in range(2)]

    def another(self) -> Gateway:
        self.number += 1
        gateway = Gateway(self.ledger, self.clock, f"g{self.number}")
        gateway.start()
        return gateway

    def do(self, step: Step) -> None:
        gateway = self.gateways[step.gateway]
        line = gateway.line
        if step.what in DELAYS:
            line.there, line.back = DELAYS[step.what]
            line.deaf = False
        elif step.what == "deaf":
            line.deaf = True
        elif step.what in ("cut", "mend"):
            line.deaf = False
            getattr(line, step.what)()
        elif step.what == "crash":
            self.gone += gateway.used
            line.told = lambda: None
            line.cut()
            self.gateways[step.gateway] = self.another()
        elif step.what == "warm":
            for _ in range(6):
                gateway.take(Want(self.terms, "k", step.cost))
                advance(self.clock, 0.006)
        elif step.what == "hog":
            for _ in range(60):
                gateway.take(Want(self.terms, "k", 1.0))
        else:
            self.take(gateway, step)

    def take(self, gateway: Gateway, step: Step) -> None:
        for _ in range(step.count):
            want = Want(self.terms, "k", step.cost)
            if step.what == "give back":
                gateway.unneeded.append(want)
            answer = gateway.take(want)
            if step.what == "cancel" and isinstance(answer, Deferred):
                answer.cancel()

    def used(self) -> list[tuple[float, float]]:
        return sorted(self.gone + [each for gateway in self.gateways for each in gateway.used])


def lawful(used: list[tuple[float, float]], terms: Terms) -> None:
    """In no window was more let through than the law says."""
    for first, (began, _) in enumerate(used):
        total = 0.0
        for at, cost in used[first:]:
            total += cost
            assert total <= terms.burst + (at - began) * terms.per_second + 1e-5 * terms.burst, (began, at)


@settings(max_examples=60, deadline=None)
@given(limits, steps)
def test_never_more_than_the_law(terms: Terms, steps: list[Step]) -> None:
    world = World(terms)
    most = lendable(terms.per_second, terms.burst)
    for step in steps:
        advance(world.clock, step.after, 0.001 if step.after < 0.1 else 0.01)
        world.do(step)
        for bucket in world.ledger.buckets.values():
            assert sum(amount for amount, _ in bucket.lent.values()) <= most + 1e-6
            assert bucket.total() <= terms.burst * (1 + 1e-6)
    advance(world.clock, 3.0, 0.01)
    lawful(world.used(), terms)
    for gateway in world.gateways:
        # Time goes by in steps of ten milliseconds here, so that gateways seem to be busy.
        assert max(gateway.waited, default=0.0) <= DEADLINE + GRACE + 0.021


def accounted(world: World) -> None:
    """Why the law holds: the ledger counts all that a bucket which saw each use would have in it, and nobody has more
    in hand than it counts as lent.
    """
    now, rate = world.clock.seconds(), world.terms.per_second
    level, at = 0.0, 0.0
    for when, cost in world.used():
        level, at = max(0.0, level - (when - at) * rate) + cost, when
    counted = 0.0
    for bucket in world.ledger.buckets.values():
        copied = deepcopy(bucket)
        copied.expire(round(now * 1e6))
        counted = copied.total()
        for gateway in world.gateways:
            leases = gateway.buckets._leases
            lent, _ = bucket.lent.get(f"{gateway.line.name}/{leases._generation}", (0.0, 0))
            assert sum([each.left for each in leases.held.values() if now < each.dies]) <= lent + 1e-6
    assert level - (now - at) * rate <= counted + 1e-3


roomy = st.sampled_from([(100, 2300), (100, 10000), (150, 3000)]).map(
    lambda limit: Terms("l", limit[0], 1.0, float(limit[1]), on_store_failure="deny")
)
"""They lend, but leak so slowly that nothing which is counted too little is made up for soon."""
small = steps.map(lambda steps: [step for step in steps if step.what != "hog"])


@settings(max_examples=150, deadline=None)
@given(roomy, small)
def test_the_ledger_counts_all_that_is_used(terms: Terms, steps: list[Step]) -> None:
    world = World(terms)
    for step in steps:
        advance(world.clock, step.after, 0.001 if step.after < 0.1 else 0.01)
        accounted(world)
        world.do(step)
        accounted(world)
    for _ in range(6):
        advance(world.clock, 0.5, 0.01)
        accounted(world)


@settings(max_examples=40, deadline=None)
@given(
    limits,
    st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.01, 0.3]), st.integers(0, 1), st.integers(1, 12)), max_size=60),
)
def test_what_one_gateway_alone_had_let_through_is_let_through_but_for_the_slack(
    terms: Terms, steps: list[tuple[float, int, int]]
) -> None:
    world = World(terms)
    for gateway in world.gateways:
        gateway.line.there = gateway.line.back = 0.0
    rate, burst = terms.per_second, terms.burst
    slack = SLACK * (burst + 2.0 * rate) if lendable(rate, burst) else 0.0
    level, at = 0.0, world.clock.seconds()
    for after, number, count in steps:
        advance(world.clock, after)
        gateway = world.gateways[number]
        for _ in range(count):
            before = len(gateway.used)
            gateway.take(Want(terms, "k", 1.0))
            world.clock.advance(0.0)
            world.clock.advance(0.0)
            now = world.clock.seconds()
            level, at = max(0.0, level - (now - at) * rate), now
            if len(gateway.used) > before:
                level += 1.0
            else:
                assert level + 1.0 + slack > burst - 1e-6
