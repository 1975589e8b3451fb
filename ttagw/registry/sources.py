"""Where a service's instances come from, apart from the configuration itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ttagw.registry.records import Record

Update = Callable[[Sequence[Record]], None]
"""Is given all records of one source, each time they have changed."""

FAILED = "source_failed"
"""The kind of event when a source cannot be read; what it said last still counts."""
RECOVERED = "source_recovered"


class Tell(Protocol):
    """`Events.tell`."""

    def __call__(
        self, kind: str, service: str, instance: str = "", reason: str = "", severity: str = "info"
    ) -> Any: ...


class Source(Protocol):
    """Something that knows the instances of a service, and notices when they change."""

    def start(self, update: Update) -> None:
        """Begin; `update` may be called before this returns."""

    def stop(self) -> None:
        """`update` is not called any more."""


class State:
    """Whether a source works, told once for each change."""

    def __init__(self, service: str, tell: Tell) -> None:
        self._service = service
        self._tell = tell
        self._wrong: str | None = None

    def bad(self, reason: str, detail: str = "") -> bool:
        """It does not work. Whether that is new, which another `detail` is and another reason is not."""
        if self._wrong == detail:
            return False
        self._wrong = detail
        self._tell(FAILED, self._service, reason=reason, severity="warn")
        return True

    def good(self) -> bool:
        """It works. Whether that is new."""
        if self._wrong is None:
            return False
        self._wrong = None
        self._tell(RECOVERED, self._service)
        return True
