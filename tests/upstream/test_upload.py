"""A body on its way to a service: framed, held back while it is not taken, and let go at its end."""

from __future__ import annotations

from ttagw.model import UNKNOWN, Body, Exchange
from ttagw.testing import RecordingSource, exchange
from ttagw.upstream.upload import Upload
from ttagw.wire.writer import HIGH_WATER


class FullWriter:
    """Takes everything, and has it all queued."""

    def __init__(self) -> None:
        self.written = b""
        self.progress = 0.0

    @property
    def queued(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None: ...
    def half_close(self) -> None: ...
    def lost(self) -> None: ...
    def abort(self) -> None: ...


def posted(source: RecordingSource, length: int) -> Exchange:
    made = exchange()
    made.length = length
    made.body = Body(source)
    return made


def test_a_client_that_was_held_back_is_listened_to_again_when_its_body_is_complete() -> None:
    source = RecordingSource()
    asked = posted(source, UNKNOWN)
    writer = FullWriter()
    done: list[bool] = []
    Upload(asked, writer, lambda: done.append(True)).begin(b"head;")
    asked.body.feed(b"x" * HIGH_WATER)
    assert source.paused
    asked.body.end()
    assert not source.paused
    assert done == [True]
    assert writer.written == b"head;10000\r\n" + b"x" * HIGH_WATER + b"\r\n0\r\n\r\n"
