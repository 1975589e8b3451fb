"""What happens to services and instances, told to whoever wants to know: the log, metrics, the admin side, webhooks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

KEPT = 1000
"""Events that somebody who comes late can still have."""

MOST_LISTENERS = 100


class Event(NamedTuple):
    """One change. Nothing in it is about a person."""

    number: int
    """1 for the first of this process; what comes later is larger."""
    time: float
    """Unix time."""
    kind: str
    """What happened: a fixed token such as `instance_down`; all are in docs/registry.rst."""
    service: str
    instance: str
    """The id of the instance; "" when it is about the service."""
    reason: str
    """Why: a fixed token."""
    severity: str
    """`info`, `warn` or `alert`; alerts go to the webhooks."""


Listener = Callable[[Event], None]


class TooManyListenersError(Exception):
    """`MOST_LISTENERS` listen already."""


class Events:
    """Hands each event to everybody who listens, in order. What a listener raises is logged and stops nobody else."""

    log = Logger()

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []
        self._number = 0
        self.counts: dict[tuple[str, str, str], int] = {}
        """By kind, service and reason."""

    def tell(self, kind: str, service: str, instance: str = "", reason: str = "", severity: str = "info") -> Event:
        """Something has happened."""
        self._number += 1
        event = Event(self._number, self._wall(), kind, service, instance, reason, severity)
        self._kept.append(event)
        key = (kind, service, reason)
        self.counts[key] = self.counts.get(key, 0) + 1
        say = self.log.info if severity == "info" else self.log.warn
        say(
            "{service} {instance}: {kind} {reason}",
            service=service,
            instance=instance,
            kind=kind,
            reason=reason,
        )
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                self.log.failure("an event could not be handed on")
        return event

    def after(self, number: int) -> list[Event]:
        """The events that are still kept with a larger number, oldest first."""
        return [event for event in self._kept if event.number > number]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hand every event from now on to `listener`. Returns what ends it. Raises `TooManyListenersError`."""
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyListenersError
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end
