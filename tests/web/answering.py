"""One answer to one request, and what becomes of it."""

from __future__ import annotations

from ttagw.model import Exchange, Reply
from ttagw.testing import RecordingSource, exchange
from ttagw.web.answer import Answer


class Pen:
    """A writer that takes everything, or says that it does not."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.queued = 0
        self.progress = 0.0

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        raise AssertionError("an answer does not close")

    half_close = lost = abort = close


class Host:
    """The client's connection."""

    def __init__(self, *, last: bool = False) -> None:
        self.last = last
        self.ends: list[str] = []

    def closes_after(self) -> bool:
        return self.last

    def answered(self, *, close: bool) -> None:
        self.ends.append("close" if close else "keep")

    def cut(self) -> None:
        self.ends.append("cut")


class Run:
    """One answer to one request."""

    def __init__(self, method: bytes = b"GET", version: int = 1, *, last: bool = False) -> None:
        self.pen = Pen()
        self.host = Host(last=last)
        self.exchange: Exchange = exchange(method)
        self.exchange.version = version
        self.source = RecordingSource()
        self.answer = Answer(self.host, self.pen)
        self.answer.begin(self.exchange)

    def stream(self, reply: Reply, *chunks: bytes, flush: bool = True) -> Run:
        self.answer.start(reply, self.source)
        for chunk in chunks:
            self.answer.write(chunk)
            if flush:
                self.answer.flush()
        self.answer.finish()
        return self

    @property
    def head(self) -> bytes:
        return b"".join(self.pen.writes).partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return b"".join(self.pen.writes).partition(b"\r\n\r\n")[2]

    def says(self, line: bytes) -> bool:
        return line in self.head.split(b"\r\n")
