"""Around every store: what is asked of it is checked, counted and timed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import CancelledError

from ttagw.metrics import Histogram
from ttagw.store.base import (
    LEAST_TTL,
    MOST_BYTES,
    MOST_KEY,
    MOST_TTL,
    Notice,
    Store,
    StoreAwayError,
    StoreRefusedError,
    StoreState,
)

T = TypeVar("T")

_PREFIX = re.compile(rf"[!-~]{{0,{MOST_KEY}}}")


def _check_prefix(prefix: str) -> None:
    if _PREFIX.fullmatch(prefix) is None:
        raise StoreRefusedError("bad_key", f"more than {MOST_KEY} characters, or some that are not printable ASCII")


def _check_key(key: str) -> None:
    if not key:
        raise StoreRefusedError("bad_key", "it is empty")
    _check_prefix(key)


def _check_value(value: bytes) -> None:
    if len(value) > MOST_BYTES:
        raise StoreRefusedError("too_large", f"{len(value)} bytes, and {MOST_BYTES} are the most")


def _bounded(ttl: float | None) -> float | None:
    return None if ttl is None else min(max(ttl, LEAST_TTL), MOST_TTL)


class Counted:
    """A `Store` around a store. Refuses a key, value or prefix that no store takes, the same way for all of them."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self.kind = store.kind
        self.shared = store.shared
        self.durable = store.durable
        self._store = store
        self._monotonic = monotonic
        self.operations: dict[tuple[str, str], int] = {}
        """By operation and outcome: `ok`, `away`, `refused`, `cut` for one whose caller gave up, `failed` for a bug."""
        self.seconds: dict[str, Histogram] = {}
        """By operation, whatever the outcome."""
        self.start = store.start
        self.stop = store.stop
        self.on_state = store.on_state

    @property
    def state(self) -> StoreState:
        """How it is doing now."""
        return self._store.state

    async def get(self, key: str) -> bytes | None:
        """As in `Store`."""
        _check_key(key)
        return await self._count("get", self._store.get(key))

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        """As in `Store`."""
        _check_prefix(prefix)
        return await self._count("scan", self._store.scan(prefix))

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As in `Store`."""
        _check_key(key)
        _check_value(value)
        await self._count("put", self._store.put(key, value, _bounded(ttl)))

    async def delete(self, key: str) -> bool:
        """As in `Store`."""
        _check_key(key)
        return await self._count("delete", self._store.delete(key))

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        """As in `Store`."""
        _check_key(key)
        _check_value(value)
        return await self._count("swap", self._store.swap(key, expected, value, _bounded(ttl)))

    def watch(self, prefix: str, notice: Notice) -> Callable[[], None]:
        """As in `Store`."""
        _check_prefix(prefix)
        return self._store.watch(prefix, notice)

    async def _count(self, operation: str, work: Awaitable[T]) -> T:
        began = self._monotonic()
        outcome = "cut"
        try:
            result = await work
            outcome = "ok"
        except StoreAwayError:
            outcome = "away"
            raise
        except StoreRefusedError:
            outcome = "refused"
            raise
        except CancelledError:
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            key = (operation, outcome)
            self.operations[key] = self.operations.get(key, 0) + 1
            self.seconds.setdefault(operation, Histogram()).observe(self._monotonic() - began)
        return result

    def collect(self) -> Iterator[Metric]:
        """What `Metrics.add` takes."""
        up = GaugeMetricFamily("ttagw_store_up", "Whether the store can be used.", labels=["store"])
        up.add_metric([self.kind], float(self.state.up))
        done = CounterMetricFamily(
            "ttagw_store_operations", "Operations on the store.", labels=["store", "operation", "outcome"]
        )
        seconds = HistogramMetricFamily(
            "ttagw_store_seconds", "How long operations on the store take.", labels=["store", "operation"]
        )
        for (operation, outcome), count in self.operations.items():
            done.add_metric([self.kind, operation, outcome], count)
        for operation, histogram in self.seconds.items():
            seconds.add_metric([self.kind, operation], histogram.buckets(), histogram.total)
        yield from (up, done, seconds)
