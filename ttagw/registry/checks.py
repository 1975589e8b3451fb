"""What a check is, for those who make checks and those who have them made."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred


class Verdict(NamedTuple):
    """What one check has found."""

    good: bool
    reason: str
    """Why not: a fixed token such as `connection_refused`, `timeout`, `status_503`; "" when it is good."""
    seconds: float
    """How long it took."""


class Probe(Protocol):
    """Checks one instance, as often as it is asked to, one check at a time."""

    def check(self) -> Deferred[Verdict]:
        """Check now. Never fails: what goes wrong is a verdict. Ends within the timeout; cancelling leaves nothing."""

    def close(self) -> None:
        """Let go of whatever is kept between checks. A check under way is cancelled first by whoever asked for it."""


Told = Callable[[Verdict], bool]
"""Takes a verdict; returns whether it casts doubt on what was believed, so that the next check should come soon."""
