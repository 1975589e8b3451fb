"""The application log: twisted.logger events as compact JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

LEVELS = ("debug", "info", "warn", "error", "critical")
_LONGEST = 16 * 1024
"""Characters of a message or traceback that are kept."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Lines(Protocol):
    """Where lines go."""

    def write(self, lines: bytes) -> None:
        """Append whole lines."""


def line_of(event: LogEvent) -> bytes:
    """One event as one line: time, level, namespace, message, and the traceback of a failure."""
    stamp = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    level = event.get("log_level") or LogLevel.info
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
        level = event.get("log_level") or LogLevel.info
        if LEVELS.index(level.name) >= self._least:
            self._lines.write(self._format(event))
