"""A store from its URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ttagw.store.base import Store
from ttagw.store.counted import Counted
from ttagw.store.memory import MemoryStore
from ttagw.store.redis import RedisStore
from ttagw.store.redis_counters import Counters
from ttagw.store.redis_url import parse
from ttagw.store.sqlite import SqliteStore
from ttagw.store.sqlite_file import prepare


def make_store(
    url: str,
    reactor: Any,
    monotonic: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[], float],
) -> Counted:
    """The store that a URL names, not started yet. Its `collect` is for `Metrics.add`.

    `monotonic` and `wall` give seconds, `random` floats in [0, 1). Raises `ValueError`, with a sentence that holds
    nothing of the URL, for one that cannot be used.
    """
    return Counted(_inner(url, reactor, monotonic, wall, random), monotonic)


def make_counters(
    url: str, reactor: Any, monotonic: Callable[[], float], random: Callable[[], float]
) -> Counters | None:
    """What several gateways count by together, not started yet; None where the store is not shared.

    Raises `ValueError` as `make_store` does.
    """
    if url.partition(":")[0] not in ("redis", "rediss", "redis+sentinel"):
        return None
    return Counters(parse(url), reactor, monotonic, random)


def check_url(url: str) -> None:
    """Raises `ValueError`, with a sentence that holds nothing of the URL, for one that cannot be used."""
    if url.startswith("redis"):
        parse(url)
    elif "\0" in url:
        raise ValueError("the path in a sqlite: URL holds a NUL")


def located(url: str) -> str:
    """The same store, wherever the process goes."""
    scheme, _, path = url.partition(":")
    return f"sqlite:{os.path.abspath(path)}" if scheme == "sqlite" else url


def check_store(url: str) -> None:
    """Whether a store that is a file can be used; others are waited for. Blocks. Raises `StoreFileError`."""
    scheme, _, path = url.partition(":")
    if scheme == "sqlite":
        prepare(os.path.abspath(path))


def _inner(
    url: str,
    reactor: Any,
    monotonic: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[], float],
) -> Store:
    scheme, colon, rest = url.partition(":")
    if url == "memory:":
        return MemoryStore(reactor, monotonic)
    if scheme == "sqlite" and rest:
        if "\0" in rest:
            raise ValueError("the path in a sqlite: URL holds a NUL")
        return SqliteStore(rest, reactor, monotonic, wall)
    if scheme in ("redis", "rediss", "redis+sentinel") and colon:
        return RedisStore(parse(url), reactor, monotonic, random)
    raise ValueError("a store is memory:, sqlite:PATH, redis://…, rediss://… or redis+sentinel://…/NAME")
