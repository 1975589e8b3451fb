"""The access log: one line for each exchange, made from values that need no escaping.

Nothing of what a client sent is in it but the method: the path is the route's template, so neither ids nor query values
appear.
"""

from __future__ import annotations

from collections.abc import Callable
from time import gmtime, strftime
from typing import Protocol

from ttagw.core.classes import TrafficClass
from ttagw.model import NO_BODY, Exchange
from ttagw.pipeline import Route

_CLASSES = tuple([each.text.encode("ascii") for each in TrafficClass])

MOST_LINES = 1000
"""Lines that are collected before they are handed on at once."""

_JSON = (
    b'{"time":"%b%03dZ","request_id":"%b","client":"%b%b"status":%d,"bytes_in":%d,"bytes_out":%d,"ms":%.3f,'
    b'"upstream_ms":%.3f,"instance":"%b%b'
)
_ASKED = b'","route":"%b","method":"%b","path":"%b","class":"%b",'
"""What was asked for; made once for each route, method and class."""
_ANSWERED = b'","tries":1,"failed":[],"reason":""}\n'
"""How nearly every line ends."""
_REST = b'","tries":%d,"failed":%b,"reason":"%b"%b%b%b}\n'
_MOST_ASKED = 4096
_COMBINED = b'%b - - [%b] "%b %b HTTP/1.%d" %d %d "-" "-"\n'


def _failed(tries: tuple[tuple[bytes, str, float], ...]) -> bytes:
    """The tries that failed, as JSON: labels and reasons are of our own making and need no escaping."""
    one = b'{"instance":"%b","reason":"%b","ms":%.3f}'
    return b"[" + b",".join([one % (label, why.encode("ascii"), took * 1000.0) for label, why, took in tries]) + b"]"


def _access(access: tuple[str, str]) -> bytes:
    """By what somebody else was reached, as JSON; the id of a record is one of ours."""
    by, record = access
    more = f',"record":"{record}"' if record else ""
    return f',"access":"{by}"{more}'.encode("ascii")


def _rest(exchange: Exchange) -> bytes:
    """The end of a line that has something to tell."""
    return _REST % (
        exchange.tries,
        _failed(exchange.failed) if exchange.failed else b"[]",
        exchange.reason.encode("ascii"),
        b',"dry_run":"%b"' % exchange.dry_run.encode("ascii") if exchange.dry_run else b"",
        b"" if exchange.access is None else _access(exchange.access),
        b',"bypass":"%b"' % exchange.bypass.encode("ascii") if exchange.bypass else b"",
    )


class Lines(Protocol):
    """Where lines go."""

    def write(self, lines: bytes) -> None:
        """Append whole lines."""


class AccessLog:
    """Formats exchanges and hands the lines on in batches."""

    def __init__(self, lines: Lines, style: str, wall: Callable[[], float]) -> None:
        """`style` is `json` or `combined`; `wall` gives Unix time."""
        self._lines = lines
        self._wall = wall
        self._collected: list[bytes] = []
        self._format = self._json if style == "json" else self._combined
        self._pattern = "%Y-%m-%dT%H:%M:%S." if style == "json" else "%d/%b/%Y:%H:%M:%S +0000"
        self._second = -1
        self._stamp = b""
        self._asked: dict[tuple[Route, bytes, TrafficClass], bytes] = {}

    def record(self, exchange: Exchange, seconds: float) -> None:
        """An exchange is over, `seconds` after its first byte."""
        wall = self._wall
        now = wall()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = strftime(self._pattern, gmtime(second)).encode("ascii")
        collected = self._collected
        format_line = self._format
        collected.append(format_line(exchange, seconds, now - second))
        if len(collected) >= MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Hand on what was collected."""
        if self._collected:
            lines = b"".join(self._collected)
            self._collected.clear()
            self._lines.write(lines)

    def _json(self, exchange: Exchange, seconds: float, fraction: float) -> bytes:
        route = exchange.route
        body = exchange.body
        key = (route, exchange.method, exchange.rank)
        usual = exchange.tries == 1 and not (exchange.failed or exchange.reason or exchange.dry_run or exchange.bypass)
        return _JSON % (
            self._stamp,
            fraction * 1000,
            exchange.id,
            exchange.client.encode("ascii"),
            self._asked.get(key) or self._ask(key),
            exchange.status,
            0 if body is NO_BODY else body.received,
            exchange.bytes_out,
            seconds * 1000.0,
            exchange.upstream_seconds * 1000.0,
            exchange.instance,
            _ANSWERED if usual and exchange.access is None else _rest(exchange),
        )

    def _ask(self, key: tuple[Route, bytes, TrafficClass]) -> bytes:
        route, method, rank = key
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        text = self._asked[key] = _ASKED % (route.label, method, route.path_label, _CLASSES[rank])
        return text

    def _combined(self, exchange: Exchange, seconds: float, fraction: float) -> bytes:  # noqa: ARG002 - as `_json`
        return _COMBINED % (
            exchange.client.encode("ascii"),
            self._stamp,
            exchange.method,
            exchange.route.path_label,
            exchange.version,
            exchange.status,
            exchange.bytes_out,
        )
