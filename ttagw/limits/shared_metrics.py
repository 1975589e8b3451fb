"""Shared limits as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.limits.shared_asking import Asking


def of_shared(asking: Asking, decisions: Mapping[str, int], leases: int, owed: int) -> Iterator[Metric]:
    """How the shared side is, and who has decided."""
    yield GaugeMetricFamily("ttagw_limits_shared", "Whether limits are counted together now.", asking.there)
    yield GaugeMetricFamily("ttagw_limits_shared_gateways", "Gateways that share them, seen lately.", asking.gateways)
    yield GaugeMetricFamily("ttagw_limits_shared_leases", "Keys of which something is lent to this gateway.", leases)
    yield GaugeMetricFamily("ttagw_limits_shared_owed", "Keys that will be told about when it is back.", owed)
    questions = CounterMetricFamily("ttagw_limits_shared_questions", "Questions to Redis.", labels=["outcome"])
    for outcome, count in asking.outcomes.items():
        questions.add_metric([outcome], count)
    decided = CounterMetricFamily("ttagw_limits_shared_decisions", "Requests, by what decided.", labels=["by"])
    for by, count in decisions.items():
        decided.add_metric([by], count)
    seconds = HistogramMetricFamily("ttagw_limits_shared_seconds", "How long questions to Redis take.")
    seconds.add_metric([], asking.seconds.buckets(), asking.seconds.total)
    yield from (questions, decided, seconds)
