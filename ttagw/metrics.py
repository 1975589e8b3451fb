"""What is counted, and how Prometheus reads it.

On the request path a metric is an integer in a cell that the route keeps; nothing is looked up by label. The text for
Prometheus is made from the cells when it is asked for. All labels come from the configuration or from short fixed
lists, so their number is bounded and no label can hold anything about a person.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency buckets, in seconds."""

METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"))
"""Methods with a label of their own; all others share `other`."""


class Histogram:
    """Counts of seconds by bucket."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        running = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            running += count
            rows.append((bound, float(running)))
        return rows


class RouteCells:
    """What is counted for one route."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "dry_runs",
        "in_flight",
        "refusals",
        "requests",
        "seconds",
        "tries",
        "upstream_seconds",
    )

    def __init__(self) -> None:
        self.requests: dict[tuple[bytes, int], int] = {}
        """By method and status."""
        self.refusals: dict[str, int] = {}
        """By reason: answers that the gateway gave itself, and exchanges that were cut."""
        self.dry_runs: dict[str, int] = {}
        """By reason: requests that were let through, and would not be without `dry_run`."""
        self.seconds = Histogram()
        self.upstream_seconds = Histogram()
        self.in_flight = 0
        self.tries = 0
        self.bytes_in = 0
        self.bytes_out = 0


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(family: Metric) -> bytes:
    """A family in the text format 0.0.4.

    As `prometheus_client.generate_latest`, but twice as fast, and one at a time: with thousands of instances everybody
    would wait for a whole scrape.
    """
    name = family.name + ("_total" if family.type == "counter" else "")
    text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    lines = [f"# HELP {name} {text}\n# TYPE {name} {family.type}\n"]
    for sample in family.samples:
        value = sample.value
        number = f"{value}.0" if value.__class__ is int and 0 <= value < 1_000_000 else floatToGoString(value)
        labels = sample.labels
        if labels:
            pairs = ",".join([f'{key}="{_escaped(labels[key])}"' for key in sorted(labels)])
            lines.append(f"{sample.name}{{{pairs}}} {number}\n")
        else:
            lines.append(f"{sample.name} {number}\n")
    return "".join(lines).encode()


def _escaped(value: str) -> str:
    return value if value.isalnum() else value.translate(_ESCAPES)


Source = Callable[[], Iterable[Metric]]


class Metrics:
    """Everything that is counted in this process; `text` is the Prometheus exposition format 0.0.4."""

    def __init__(self) -> None:
        self.routes: dict[str, RouteCells] = {}
        self._sources: list[Source] = []

    def route(self, name: str) -> RouteCells:
        """The cells of a route, made when they are first asked for."""
        return self.routes.setdefault(name, RouteCells())

    def add(self, source: Source) -> None:
        """Something else that has metrics to give when asked."""
        self._sources.append(source)

    def text(self) -> bytes:
        """All metrics, for a scrape."""
        return b"".join(map(exposition, self.collect()))

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._of_routes()
        for source in self._sources:
            yield from source()

    def _of_routes(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("ttagw_requests", "Finished requests.", labels=["route", "method", "status"])
        refusals = CounterMetricFamily(
            "ttagw_refusals", "Requests not answered by a service.", labels=["route", "reason"]
        )
        shadows = CounterMetricFamily(
            "ttagw_dry_run_refusals", "Requests let through by dry_run.", labels=["route", "reason"]
        )
        tries = CounterMetricFamily(
            "ttagw_upstream_tries", "Requests sent, or meant to be, to an instance.", labels=["route"]
        )
        taken = CounterMetricFamily("ttagw_request_bytes", "Request body bytes taken.", labels=["route"])
        given = CounterMetricFamily("ttagw_response_bytes", "Answer body bytes given.", labels=["route"])
        flying = GaugeMetricFamily("ttagw_requests_in_flight", "Requests under way.", labels=["route"])
        whole = HistogramMetricFamily("ttagw_request_seconds", "First byte to last byte.", labels=["route"])
        upstream = HistogramMetricFamily(
            "ttagw_upstream_seconds", "Request sent to head of the answer.", labels=["route"]
        )
        for name, cells in self.routes.items():
            for (method, status), count in list(cells.requests.items()):
                requests.add_metric([name, method.decode("ascii"), str(status)], count)
            for reason, count in list(cells.refusals.items()):
                refusals.add_metric([name, reason], count)
            for reason, count in list(cells.dry_runs.items()):
                shadows.add_metric([name, reason], count)
            tries.add_metric([name], cells.tries)
            taken.add_metric([name], cells.bytes_in)
            given.add_metric([name], cells.bytes_out)
            flying.add_metric([name], cells.in_flight)
            whole.add_metric([name], cells.seconds.buckets(), cells.seconds.total)
            upstream.add_metric([name], cells.upstream_seconds.buckets(), cells.upstream_seconds.total)
        yield from (requests, refusals, shadows, tries, taken, given, flying, whole, upstream)
