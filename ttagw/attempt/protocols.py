"""What an attempt needs of connections and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ttagw.errors import GatewayError
from ttagw.model import Exchange

if TYPE_CHECKING:
    from ttagw.attempt.attempt import Attempt


class Connection(Protocol):
    """A connection to an instance, taken from its pool for one exchange."""

    fresh: bool
    """Nothing has been sent on it yet, so it cannot have been closed for being idle."""
    waited: float
    """Seconds of the answer under way for which its client, not the service, was waited for."""

    def send(self, attempt: Attempt, exchange: Exchange, target: bytes, now: float) -> None:
        """Send the request; what happens comes back through the attempt."""

    def abandon(self) -> None:
        """The exchange is over before its answer is: the connection cannot be used again."""


class Waiter(Protocol):
    """Somebody who asked a pool for a connection."""

    def connected(self, connection: Connection) -> None:
        """Here it is."""

    def refused(self, error: GatewayError) -> None:
        """There is none, and nothing was sent."""

    def passes(self, reason: str) -> bool:
        """Whether it goes on, and before others, although it would have to wait for this reason."""


class Pool(Protocol):
    """The bounded connections to one instance."""

    opened_count: int
    errors: dict[str, int]
    """What went wrong, by kind."""

    @property
    def size(self) -> int:
        """Connections that are open or being opened."""

    @property
    def idle(self) -> int:
        """Connections that wait for work."""

    @property
    def waiting(self) -> int:
        """Exchanges that wait for a connection."""

    def move(self) -> None:
        """The instance is down: whoever waits for its answer may ask somebody else instead."""

    def stop(self) -> None:
        """Close what is idle now, and what is in use when it is done."""

    def abort(self) -> None:
        """Cut every connection now."""

    def acquire(self, waiter: Waiter, *, fresh: bool) -> Connection | None:
        """A connection now, or None and the waiter is told later. `fresh`: not one that was idle."""

    def give_up(self, waiter: Waiter) -> None:
        """The waiter does not want one any more."""
