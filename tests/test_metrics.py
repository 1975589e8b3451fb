from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ttagw.metrics import BOUNDS, Histogram, Metrics, exposition


def parsed(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}


def values(metric: Metric) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *[label for _, label in sorted(sample.labels.items())]): sample.value for sample in metric.samples
    }


@given(st.lists(st.floats(0, 1000, allow_nan=False)))
def test_buckets_are_cumulative_and_each_holds_what_is_not_above_its_bound(seconds: list[float]) -> None:
    histogram = Histogram()
    for each in seconds:
        histogram.observe(each)
    rows = histogram.buckets()
    assert [count for _, count in rows[:-1]] == [sum(each <= bound for each in seconds) for bound in BOUNDS]
    assert rows[-1] == ("+Inf", float(len(seconds)))


def test_the_cells_of_a_route_are_made_once() -> None:
    metrics = Metrics()
    assert metrics.route("a") is metrics.route("a")
    assert metrics.route("a") is not metrics.route("b")


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    cells = metrics.route("players")
    cells.requests[b"GET", 200] = 3
    cells.refusals["route_timeout"] = 2
    cells.seconds.observe(0.004)
    cells.upstream_seconds.observe(0.003)
    cells.tries, cells.bytes_in, cells.bytes_out, cells.in_flight = 4, 5, 6, 7
    found = parsed(metrics)
    assert values(found["ttagw_requests"]) == {("ttagw_requests_total", "GET", "players", "200"): 3.0}
    assert values(found["ttagw_refusals"]) == {("ttagw_refusals_total", "route_timeout", "players"): 2.0}
    assert values(found["ttagw_upstream_tries"]) == {("ttagw_upstream_tries_total", "players"): 4.0}
    assert values(found["ttagw_request_bytes"]) == {("ttagw_request_bytes_total", "players"): 5.0}
    assert values(found["ttagw_response_bytes"]) == {("ttagw_response_bytes_total", "players"): 6.0}
    assert values(found["ttagw_requests_in_flight"]) == {("ttagw_requests_in_flight", "players"): 7.0}
    seconds = values(found["ttagw_request_seconds"])
    assert seconds["ttagw_request_seconds_bucket", "0.0025", "players"] == 0.0
    assert seconds["ttagw_request_seconds_bucket", "0.005", "players"] == 1.0
    assert seconds["ttagw_request_seconds_count", "players"] == 1.0
    assert seconds["ttagw_request_seconds_sum", "players"] == 0.004
    assert values(found["ttagw_upstream_seconds"])["ttagw_upstream_seconds_count", "players"] == 1.0


def test_other_parts_add_what_they_have_when_asked() -> None:
    metrics = Metrics()
    asked: list[int] = []

    def source() -> list[Metric]:
        asked.append(1)
        family = GaugeMetricFamily("ttagw_extra", "More.")
        family.add_metric([], 8.0)
        return [family]

    metrics.add(source)
    assert asked == []
    assert values(parsed(metrics)["ttagw_extra"]) == {("ttagw_extra",): 8.0}
    assert asked == [1]


def test_the_text_is_what_prometheus_client_would_write() -> None:
    class Families:
        def collect(self) -> Iterator[Metric]:
            counter = CounterMetricFamily("a", 'With "quotes", a \\ and\na line.', labels=["z", "b"])
            counter.add_metric(["1", 'say "no"\n\\'], 3)
            counter.add_metric(["", "plain"], 2.5)
            gauge = GaugeMetricFamily("g", "No labels.", value=True)
            gauge.add_metric([], 1e21)
            gauge.add_metric([], float("inf"))
            gauge.add_metric([], 12345678)
            gauge.add_metric([], 0.000001)
            histogram = HistogramMetricFamily("h", "Seconds.", labels=["l"])
            histogram.add_metric(["x"], [("0.5", 1.0), ("+Inf", 2.0)], 0.75)
            yield from (counter, gauge, histogram)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families())
    assert b"".join(map(exposition, Families().collect())) == generate_latest(registry)
