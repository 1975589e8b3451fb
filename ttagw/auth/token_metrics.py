"""Tokens and keys of issuers as Prometheus reads them. Why tokens were refused is in `ttagw_refusals_total`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ttagw.auth.issuers import KeysOfFile, KeySource
from ttagw.auth.jwks import PublishedKeys


def of_tokens(kept: int, hits: int, misses: int, failures: int) -> Iterator[Metric]:
    """Counts of a gateway's tokens."""
    yield GaugeMetricFamily("ttagw_tokens_kept", "Verified tokens that are remembered.", kept)
    looked = CounterMetricFamily("ttagw_token_lookups", "Tokens looked up among those.", labels=["result"])
    looked.add_metric(["hit"], hits)
    looked.add_metric(["miss"], misses)
    yield looked
    yield CounterMetricFamily("ttagw_token_failures", "Tokens refused because checking them failed.", value=failures)


def of_issuers(sources: Mapping[str, KeySource], now: float) -> Iterator[Metric]:
    """Keys of issuers, by name of the issuer; `now` is what the fetches were timed by."""
    keys = GaugeMetricFamily("ttagw_issuer_keys", "Public keys of an issuer that are in use.", labels=["issuer"])
    age = GaugeMetricFamily(
        "ttagw_issuer_keys_age_seconds", "Seconds since the keys in use were fetched.", labels=["issuer"]
    )
    waiting = GaugeMetricFamily("ttagw_issuer_waiting", "Tokens that wait for a key.", labels=["issuer"])
    fetches = CounterMetricFamily("ttagw_issuer_fetches", "Fetches of an issuer's keys.", labels=["issuer", "outcome"])
    for name, source in sources.items():
        if isinstance(source, KeysOfFile):
            keys.add_metric([name], len(source.keys))
        elif isinstance(source, PublishedKeys):
            keys.add_metric([name], len(source.keys or ()))
            waiting.add_metric([name], source.waiting)
            if source.keys is not None:
                age.add_metric([name], now - source.fetched)
            for outcome, count in source.outcomes.items():
                fetches.add_metric([name, outcome], count)
    yield from (keys, age, waiting, fetches)
