"""The application log: twisted.logger events as compact JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from constantly import NamedConstant
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

LEVELS = ("debug", "info", "warn", "error", "critical")
_LONGEST = 16 * 1024
"""Characters of a message or traceback that are kept."""

_LOUD = ("EMFILE encountered", "Could not accept new connection")
_PRIVATE = "EMFILE recovery: Closed socket from"
"""One for each client, with its address."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Lines(Protocol):
    """Where lines go."""

    def write(self, lines: bytes) -> None:
        """Append whole lines."""


def level_of(event: LogEvent) -> NamedConstant:
    """The level of an event; higher than Twisted's own where it whispers what an operator has to hear."""
    said = event.get("log_format") or ""
    if said.startswith(_LOUD):
        return LogLevel.error
    if said.startswith(_PRIVATE):
        return LogLevel.debug
    level: NamedConstant = event.get("log_level") or LogLevel.info
    return level


def line_of(event: LogEvent) -> bytes:
    """One event as one line: time, level, namespace, message, and the traceback of a failure."""
    stamp = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    level = level_of(event)
    line: dict[str, Any] = {
        "time": stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.name,
        "namespace": event.get("log_namespace", "-"),
        "message": _sound(formatEvent(event)[:_LONGEST]),
    }
    failure = event.get("log_failure")
    if failure is not None:
        line["failure"] = _sound(failure.getTraceback()[-_LONGEST:])
    return _encode(line) + b"\n"


def _sound(text: str) -> str:
    """The text without lone surrogates, which names of files may hold and JSON cannot."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@implementer(ILogObserver)
class JsonObserver:
    """Writes events of `level` (a name of `LEVELS`) and above."""

    def __init__(self, lines: Lines, level: str, format_line: Callable[[LogEvent], bytes] = line_of) -> None:
        self._lines = lines
        self._least = LEVELS.index(level)
        self._format = format_line

    def __call__(self, event: LogEvent) -> None:
        level = level_of(event)
        if LEVELS.index(level.name) >= self._least:
            self._lines.write(self._format(event))
