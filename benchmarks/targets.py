"""How good the gateway has to be, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.accuracy import ALONE, ERROR_ALONE, ERROR_TOGETHER, SLACK, TOGETHER
from benchmarks.load import CHAIN_ROW, LARGE_ROW, MAIN_ROW, TOKEN_ROWS
from benchmarks.results import Results
from benchmarks.store_faults import CONTROL

SMALL, LARGE = MAIN_ROW.name, LARGE_ROW.name
US = "ttagw"


@dataclass(frozen=True, slots=True)
class Target:
    """A demand: `value` None means that it was not measured; a floor has to be reached, a ceiling kept."""

    name: str
    value: float | None
    bound: float
    unit: str
    floor: bool = False

    @property
    def verdict(self) -> str:
        """For people."""
        if self.value is None:
            return "not measured"
        kept = self.value >= self.bound if self.floor else self.value <= self.bound
        return "holds" if kept else "does not hold"

    def cells(self) -> list[str]:
        """Name, demand, value, verdict."""
        sign = "≥" if self.floor else "≤"
        value = "-" if self.value is None else f"{self.value:.2f} {self.unit}"
        return [self.name, f"{sign} {self.bound:g} {self.unit}", value, self.verdict]


def targets(results: Results) -> list[Target]:
    """The demands with what this run has measured."""
    start = median(results.start_seconds) if results.start_seconds else None
    costs, poller, tokens = results.costs, results.poller, results.token_costs
    twice = [each.posts_twice for each in results.failures if each.proxy == US]
    return [
        Target(f"{SMALL}, of HAProxy plain", results.ratio(SMALL, US, "haproxy"), 0.42, "x", floor=True),
        Target(f"{SMALL}, of Envoy plain", results.ratio(SMALL, US, "envoy"), 1.0, "x", floor=True),
        Target("added latency at half the peak, p50", results.added(US, "p50"), 0.3, "ms"),
        Target("added latency at half the peak, p99", results.added(US, "p99"), 2.0, "ms"),
        Target("1 MiB answers, bytes/s of HAProxy plain", results.ratio(LARGE, US, "haproxy"), 0.5, "x", floor=True),
        Target("1 GiB download, slow reader: memory over idle", results.streams_mib.get("download"), 20.0, "MiB"),
        Target("1 GiB upload, slow reader: memory over idle", results.streams_mib.get("upload"), 20.0, "MiB"),
        Target("10,000 idle connections, each", results.idle_kib.get(US), 6.0, "KiB"),
        Target("start to ready", start, 1.0, "s"),
        Target("breakers, retries and balance, each request", costs.added if costs else None, 3.0, "µs"),
        Target("a breaker: admit and settle", costs.breaker[0] if costs else None, 1.0, "µs"),
        *_with_tokens(results),
        Target("a token seen before: looked up", tokens.seen[0] if tokens else None, 2.0, "µs"),
        Target("a token seen before: all three layers", tokens.layers[0] if tokens else None, 2.0, "µs"),
        Target("2,000 instances checked each 10 s, of a core", poller.get("percent"), 5.0, "%"),
        Target("the latest of those checks", poller.get("latest"), 1.0, "s"),
        Target("POSTs that came twice while instances failed", sum(twice) if twice else None, 0.0, ""),
        *_chain(results),
        *_limits(results),
        *_overload(results),
    ]


def _chain(results: Results) -> Iterator[Target]:
    """With everything on."""
    row = CHAIN_ROW.name
    for other, name, bound in (
        ("haproxy", "HAProxy doing the same", 1.3),
        ("envoy", "Envoy doing the same", 1.0),
        ("haproxy-plain", "HAProxy plain", 0.38),
    ):
        yield Target(f"{row}, of {name}", results.ratio(row, US, other), bound, "x", floor=True)


def _limits(results: Results) -> Iterator[Target]:
    costs = results.traffic_costs
    one = costs.one_limit if costs else None
    yield Target("a limit: checked in this process", one[0] if one else None, 2.0, "µs")
    for setup, bound in ((ALONE, ERROR_ALONE), (TOGETHER, ERROR_TOGETHER)):
        these = [each for each in results.accuracy if each.setup == setup]
        worst = max((abs(each.error) for each in these), default=None)
        yield Target(f"limits, {setup}: off by", worst, bound, "%")
        over = max((max(0.0, each.over) for each in these), default=None)
        slack = f" and its slack of {SLACK:.0%}" if setup == TOGETHER else ""
        yield Target(f"limits, {setup}: requests over the law{slack}", over, 0.0, "")
    yield Target("requests that waited for Redis at 1,000/s for a key", results.waited, 1.0, "%")


def _overload(results: Results) -> Iterator[Target]:
    found = results.overload
    lost = sum(found.crisis_lost.values()) if found else None
    yield Target("crisis p99 at 10 x capacity, of unloaded", found.crisis_ratio if found else None, 2.0, "x")
    yield Target("crisis requests lost", lost, 0.0, "")
    yield Target("goodput at 10 x capacity, of the peak", found.goodput_share if found else None, 90.0, "%", floor=True)
    yield Target("back to normal after overload", found.back if found else None, 5.0, "s")
    share = found.flood_share if found else None
    yield Target("goodput of others in a crisis flood", share, 50.0, "%", floor=True)
    faults = [each for each in results.store_faults if each.fault != CONTROL.name]
    waits = [each.wait for each in faults]
    yield Target("p99.9 with Redis away, more than with it", max(waits, default=None), 50.0, "ms")
    wrong = [each.wrong_5xx for each in faults]
    yield Target("wrong 5xx with Redis away", sum(wrong) if wrong else None, 0.0, "")


def _with_tokens(results: Results) -> Iterator[Target]:
    """In each row of the load with tokens. In a quick run there is but one."""
    for row in TOKEN_ROWS:
        if row.name in results.samples or row is TOKEN_ROWS[0]:
            for other, name, bound in (("haproxy", "HAProxy", 1.3), ("envoy", "Envoy with its cache", 1.0)):
                value = results.ratio(row.name, US, other)
                yield Target(f"{row.name}, of {name}", value, bound, "x", floor=True)
