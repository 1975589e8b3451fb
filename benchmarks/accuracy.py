"""How exact limits are: requests at fixed rates below, at and above a limit, on one gateway and on four with one Redis.

All rates run at once, each with a key of its own, so that they also show that keys are counted apart. With Redis each
request goes to the next of the four gateways.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import law
from benchmarks.gateways import Gateway, Redis, gateway, services
from benchmarks.heard import Heard, Listening
from benchmarks.load import LoadError
from benchmarks.origin import SMALL, start_origin
from benchmarks.process import NotReadyError
from benchmarks.streams import Stream

SPAN = 60.0
GATEWAYS = 4
RATE, BURST = 50, 50
FACTORS = (0.5, 1.0, 2.0, 10.0)
LINES = 64
"""Connections to each gateway: what is measured is what is let through, not how many can connect."""
HOT_RATE, HOT_BURST, HOT_FACTOR = 1000, 1000, 2.0
WAIT_SHARE = 1 / 3
"""Of the span: how long requests come to a key at just 1,000/s, to see how many of them wait for Redis."""
SLACK = 0.01
"""The share that several gateways may let through above a limit of `EXACT_BELOW` a second or more; else none."""
EXACT_BELOW = 100
ERROR_ALONE, ERROR_TOGETHER = 0.5, 1.0
DECISIONS = "ttagw_limits_shared_decisions_total"
ASKED = "asked"
"""The label of decisions for which Redis was waited for."""
ALONE, TOGETHER = "one gateway, SQLite", f"{GATEWAYS} gateways, one Redis"

POLICIES = f"""
[limits.each]
rate = "{RATE}/s"
burst = {BURST}
key = ["header:x-key"]
[limits.hot]
rate = "{HOT_RATE}/s"
burst = {HOT_BURST}
key = ["header:x-key"]

[[routes]]
name = "each"
path = "/each"
rewrite = "{SMALL}"
service = "origin"
auth = "none"
limits = ["each"]

[[routes]]
name = "hot"
path = "/hot"
rewrite = "{SMALL}"
service = "origin"
auth = "none"
limits = ["hot"]
"""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One key at one rate. `error` is in per cent, `over` in requests above what the law and the slack allow."""

    setup: str
    limit: int
    factor: float
    offered: int
    admitted: int
    expected: int
    """Let through by a limit without any error, if each request had come at the moment at which it was sent."""
    error: float
    bound: float
    over: float
    others: dict[str, int]
    """Ends that were neither 200 nor 429."""
    late: float
    """As in `Heard`."""

    @property
    def holds(self) -> bool:
        """Whether the number is within its bound, and no time had more than it may."""
        return abs(self.error) <= self.bound and self.over <= 0 and not self.others

    def cells(self) -> list[str]:
        """For the table."""
        counts = [f"{self.offered:,}", f"{self.admitted:,}", f"{self.expected:,}"]
        never_over = "never" if self.over <= 0 else f"{self.over:.1f}"
        others = ", ".join(f"{name}: {count}" for name, count in self.others.items()) or "0"
        verdict = "holds" if self.holds else "does not hold"
        return [
            f"{self.setup}, {self.limit:,}/s x {self.factor:g}",
            *counts,
            f"{self.error:+.2f}",
            f"± {self.bound:g}",
            never_over,
            f"{self.late * 1000:.0f}",
            others,
            verdict,
        ]


def slack(rate: float, gateways: int) -> float:
    """The share of a limit that may be let through above it."""
    return SLACK if gateways > 1 and rate >= EXACT_BELOW else 0.0


def judge(setup: str, heard: Heard, rate: int, burst: int, gateways: int) -> Accuracy:
    """What became of one key."""
    codes = heard.codes
    admitted = [(heard.sent[number], heard.ends[number]) for number in heard.all if codes[number] == 200]
    due = law.exact(sorted(at for at in heard.sent if at), rate, burst)
    more = 1 + slack(rate, gateways)
    return Accuracy(
        setup=setup,
        limit=rate,
        factor=heard.stream.rate / rate,
        offered=len(codes),
        admitted=len(admitted),
        expected=due,
        error=law.error(len(admitted), due),
        bound=ERROR_TOGETHER if gateways > 1 else ERROR_ALONE,
        over=law.excess(admitted, rate * more, burst * more),
        others={name: count for name, count in heard.counts(heard.all).items() if name not in ("200", "429")},
        late=heard.late,
    )


def streams(ports: Sequence[int], seconds: float) -> list[Stream]:
    """All keys at all rates."""
    many = [
        Stream(f"x{factor:g}", "/each", ports, RATE * factor, 0.0, seconds, {"X-Key": f"at-{factor:g}"}, lines=LINES)
        for factor in FACTORS
    ]
    return [*many, Stream("hot", "/hot", ports, HOT_RATE * HOT_FACTOR, 0.0, seconds, {"X-Key": "hot"}, lines=LINES)]


def decided(gateways: Sequence[Gateway]) -> tuple[float, float]:
    """How many decisions there were so far, and for how many of them Redis was waited for."""
    found = [entry for each in gateways for entry in each.counters(DECISIONS).items()]
    return sum(value for _, value in found), sum(value for labels, value in found if f'by="{ASKED}"' in labels)


def share_of(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    """Per cent of the decisions between that waited; None where nobody has counted them."""
    decisions, asked = after[0] - before[0], after[1] - before[1]
    return 100 * asked / decisions if decisions else None


def _listen(these: Sequence[Stream], folder: Path) -> dict[str, Heard]:
    folder.mkdir()
    with Listening(these, folder) as listening:
        return listening.heard()


def run(folder: Path, seconds: float, say: Callable[[str], None]) -> Iterator[Accuracy | float | str]:
    """All of it. A number is the share of requests, in per cent, that waited for Redis; a text what went wrong."""
    folder.mkdir()
    with ExitStack() as stack:
        origin = start_origin(folder)
        stack.callback(origin.running.stop)
        policies = services("origin", [origin.port]) + POLICIES
        say(f"limits on one gateway, {seconds:g} s")
        try:
            with gateway(folder / "alone", f"sqlite:{folder}/alone.db", policies) as one:
                heard = _listen(streams([one.port], seconds), folder / "heard-alone")
            yield from _judged(ALONE, heard, 1)
        except (NotReadyError, LoadError, OSError) as fault:
            yield f"{ALONE}: {fault}"
        if not shutil.which("redis-server"):
            yield f"{TOGETHER}: missing; to install: apt-get install redis-server"
            return
        try:
            yield from _together(folder, policies, seconds, say)
        except (NotReadyError, LoadError, OSError) as fault:
            yield f"{TOGETHER}: {fault}"


def _together(
    folder: Path, policies: str, seconds: float, say: Callable[[str], None]
) -> Iterator[Accuracy | float | str]:
    with ExitStack() as stack:
        redis = Redis(folder / "redis")
        stack.callback(redis.stop)
        four = [
            stack.enter_context(gateway(folder / f"of-four-{number}", redis.url, policies, f"bench-{number}"))
            for number in range(GATEWAYS)
        ]
        ports = [each.port for each in four]
        say(f"limits on {GATEWAYS} gateways with one Redis, {seconds:g} s")
        yield from _judged(TOGETHER, _listen(streams(ports, seconds), folder / "heard-together"), GATEWAYS)
        span = seconds * WAIT_SHARE
        say(f"{HOT_RATE:,} requests/s for one key, {span:g} s")
        before = decided(four)
        _listen(
            [Stream("hot", "/hot", ports, HOT_RATE, 0.0, span, {"X-Key": "just"}, lines=LINES)], folder / "heard-waits"
        )
        share = share_of(before, decided(four))
        yield f"nobody has counted {DECISIONS}" if share is None else share


def _judged(setup: str, heard: dict[str, Heard], gateways: int) -> Iterator[Accuracy]:
    for factor in FACTORS:
        yield judge(setup, heard[f"x{factor:g}"], RATE, BURST, gateways)
    yield judge(setup, heard["hot"], HOT_RATE, HOT_BURST, gateways)
