"""An answer that is read, and not passed on yet."""

from __future__ import annotations

from collections.abc import Callable

from ttagw.model import HELD, BodySource, Reply, Sink


class Aside:
    """Stands between a service and a client's `sink`: passes everything on, but for a body that is put aside."""

    __slots__ = ("_full", "_over", "_parts", "_size", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._parts: list[bytes] | None = None
        self._size = 0
        self._over: Callable[[bytes], None]
        self._full: Callable[[], None]

    @property
    def started(self) -> bool:
        """As in `Sink`: what is put aside has not begun."""
        return self.sink.started

    def put(self, over: Callable[[bytes], None], full: Callable[[], None]) -> None:
        """Put aside the body that comes now. `over` gets all of it; or `full` is called when it is more than `HELD`."""
        self._parts = []
        self._size = 0
        self._over = over
        self._full = full

    def start(self, reply: Reply, source: BodySource | None) -> None:
        """As in `Sink`."""
        self.sink.start(reply, source)

    def let_go(self) -> bytes:
        """What was put aside; what comes from now on is passed on."""
        parts, self._parts = self._parts or [], None
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """As in `Sink`."""
        if self._parts is None:
            self.sink.write(data)
        else:
            self._parts.append(data)
            self._size += len(data)

    def flush(self) -> None:
        """As in `Sink`."""
        if self._parts is None:
            self.sink.flush()
        elif self._size > HELD:
            self._full()

    def finish(self) -> None:
        """As in `Sink`."""
        if self._parts is None:
            self.sink.finish()
        else:
            self._over(self.let_go())

    def abort(self) -> None:
        """As in `Sink`."""
        self.sink.abort()

    def go_on(self) -> None:
        """As in `Sink`."""
        self.sink.go_on()
