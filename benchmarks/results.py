"""What a run has found, by proxy: samples of each row, latency at the fixed rate, memory, and what went wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.accuracy import Accuracy
from benchmarks.load import Sample
from benchmarks.outcome import Outcome
from benchmarks.overload import Overload
from benchmarks.resilience import Costs
from benchmarks.store_faults import StoreFault
from benchmarks.token_costs import TokenCosts
from benchmarks.traffic_costs import TrafficCosts

DIRECT = "direct"


@dataclass(slots=True)
class Results:
    """Filled as the run goes on."""

    environment: dict[str, Any]
    peers: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    latency: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    idle_kib: dict[str, float] = field(default_factory=dict)
    start_seconds: list[float] = field(default_factory=list)
    streams_mib: dict[str, float] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    costs: Costs | None = None
    token_costs: TokenCosts | None = None
    traffic_costs: TrafficCosts | None = None
    versions: dict[str, str] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    """What each proxy that was measured with tokens does with them."""
    chained: list[str] = field(default_factory=list)
    """What each proxy that was measured with the whole chain does."""
    accuracy: list[Accuracy] = field(default_factory=list)
    waited: float | None = None
    """Per cent of requests that waited for Redis."""
    overload: Overload | None = None
    store_faults: list[StoreFault] = field(default_factory=list)
    poller: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def of(self, row: str, peer: str) -> list[Sample]:
        """The samples of a proxy in a row, none when not measured."""
        return self.samples.get(row, {}).get(peer, [])

    def rate(self, row: str, peer: str) -> float | None:
        """Median requests/s, None when not measured."""
        samples = self.of(row, peer)
        return median(sample.rate for sample in samples) if samples else None

    def ratio(self, row: str, peer: str, other: str) -> float | None:
        """How many times `other`'s rate `peer` has: median over the rounds, each round compared with itself."""
        pairs = zip(self.of(row, peer), self.of(row, other), strict=False)
        ratios = [mine.rate / theirs.rate for mine, theirs in pairs if theirs.rate]
        return median(ratios) if ratios else None

    def cpu_over(self, row: str, peer: str, other: str) -> float | None:
        """How many µs of processor time a request costs `peer` more than `other`: median over the rounds."""
        pairs = zip(self.of(row, peer), self.of(row, other), strict=False)
        more = [mine.cpu - theirs.cpu for mine, theirs in pairs]
        return median(more) if more else None

    def percentile(self, peer: str, name: str) -> float | None:
        """Median over the rounds of a latency percentile, in ms."""
        values = [each[name] for each in self.latency.get(peer, [])]
        return median(values) if values else None

    def added(self, peer: str, name: str) -> float | None:
        """Median over the rounds of what `peer` adds to a percentile of going directly, in ms."""
        pairs = zip(self.latency.get(peer, []), self.latency.get(DIRECT, []), strict=False)
        values = [mine[name] - theirs[name] for mine, theirs in pairs]
        return median(values) if values else None

    def as_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "environment": self.environment,
            "versions": self.versions,
            "compared": self.compared,
            "peers": self.peers,
            "absent": self.absent,
            "rows": {
                row: {peer: [asdict(sample) for sample in samples] for peer, samples in peers.items()}
                for row, peers in self.samples.items()
            },
            "latency_ms_at_fixed_rate": dict(self.latency),
            "idle_kib_per_connection": self.idle_kib,
            "start_to_ready_seconds": self.start_seconds,
            "gigabyte_mib_over_idle": self.streams_mib,
            "failures": [asdict(each) for each in self.failures],
            "attempt_microseconds": asdict(self.costs) if self.costs else None,
            "token_microseconds": asdict(self.token_costs) if self.token_costs else None,
            "traffic_microseconds": asdict(self.traffic_costs) if self.traffic_costs else None,
            "chained": self.chained,
            "accuracy": [asdict(each) for each in self.accuracy],
            "waited_for_redis_percent": self.waited,
            "overload": asdict(self.overload) if self.overload else None,
            "store_faults": [asdict(each) for each in self.store_faults],
            "poller": self.poller,
            "faults": self.faults,
        }
