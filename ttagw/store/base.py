"""What a store is: keys with values that may end by themselves, and word of what changed.

Keys are short printable ASCII with `/` between their parts, up to `MOST_KEY`; values are bytes that the caller makes
sense of, up to `MOST_BYTES`. Times to live are seconds; one that is over already counts as `LEAST_TTL`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

MOST_BYTES = 256 * 1024
"""Bytes of one value, at the most."""

MOST_KEY = 512
"""Characters of one key, at the most."""

LEAST_TTL = 0.001
"""Seconds that a value stays, at the least."""

MOST_TTL = 10 * 366 * 86400.0
"""Seconds that a value with an end stays, at the most: ten years."""

DEADLINE = 1.0
"""Seconds within which every operation ends, one way or the other; a scan ends when so long nothing has come."""

LONGEST_SCAN = 30.0
"""Seconds within which a scan ends, whatever comes: it takes the longer the more there is, of other keys, too."""


class StoreError(Exception):
    """An operation was not done. `reason` is a short fixed token for logs and metrics."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class StoreAwayError(StoreError):
    """The store cannot be reached, or did not answer by the deadline: what was asked may or may not have been done."""


class StoreRefusedError(StoreError):
    """The store answered that it will not: full, read-only, or not for what was asked. Nothing was done."""


class StoreFileError(StoreError):
    """A store that is a file cannot be used at all; said at the start, in one line that names the file."""


class StoreState(NamedTuple):
    """How a store is doing."""

    up: bool
    reason: str
    """Why not; "" while it is up."""
    since: float
    """Monotonic seconds of the last change."""


Notice = Callable[[str, "bytes | None"], None]
"""Told of a key and its new value, None when it is gone."""


class Store(Protocol):
    """Somewhere to keep state. Coroutines end within `DEADLINE` and raise `StoreError` where nothing else is said."""

    kind: str
    """`memory`, `sqlite` or `redis`."""
    shared: bool
    """Whether other gateways see it."""
    durable: bool
    """Whether what it has said to have done outlives this process."""

    @property
    def state(self) -> StoreState:
        """How it is doing now. While it is not up every operation fails at once, with this reason."""

    async def start(self) -> None:
        """Begin. Raises `StoreFileError` for a file that cannot be used; a Redis that is away is awaited instead."""

    async def stop(self) -> None:
        """Finish what was begun, let everything go. Raises nothing."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""

    async def scan(self, prefix: str) -> Mapping[str, bytes]:
        """Every key that begins with `prefix`, with its value. It ends within `LONGEST_SCAN`."""

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value. With `ttl` it is gone after so many seconds, without one it stays."""

    async def delete(self, key: str) -> bool:
        """Whether there was something to remove."""

    async def swap(self, key: str, expected: bytes | None, value: bytes, ttl: float | None = None) -> bool:
        """Set a value if the present one is `expected` (None: there is none), in one step. Returns whether it was."""

    def watch(self, prefix: str, notice: Notice) -> Callable[[], None]:
        """Call `notice` after each change to a key that begins with `prefix`, made by anybody, also by ourselves.

        Word can get lost (a connection was down), and the end of a value's time is not told: whoever must not miss
        anything looks with `scan` now and then, and whenever `on_state` says that the store is up again. What `notice`
        raises is logged. Returns what ends it.
        """

    def on_state(self, told: Callable[[StoreState], None]) -> Callable[[], None]:
        """Call `told` after each change of `state`. Returns what ends it."""
