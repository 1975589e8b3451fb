"""The head of an answer to a check. llhttp reads it, as it does for requests: what it refuses would not be served."""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD = 16 * 1024
"""Bytes within which the head must end, with all that comes before it."""


class BadAnswerError(Exception):
    """What came is not an answer, or its head does not end."""


class AnswerHead:
    """Status and fields of one answer. What is interim (1xx) is passed over; there is no use for the body."""

    __slots__ = ("_parser", "_size", "fields", "http11", "rest", "status")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._size = 0
        self.status = 0
        """0 until the head is complete."""
        self.http11 = False
        self.fields: list[tuple[bytes, bytes]] = []
        self.rest = b""
        """What followed a 101 in the same read."""

    def feed(self, data: bytes) -> bool:
        """Take what has come, which is not empty. Returns whether the head is complete. Raises `BadAnswerError`."""
        if not self._size and data[:1] != b"H":
            # llhttp would take RTSP and ICE as well.
            raise BadAnswerError
        room = MAX_HEAD - self._size
        self._size += len(data)
        try:
            self._parser.feed_data(data[:room])
        except HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
        except HttpParserError:
            if not self.status:
                raise BadAnswerError from None
        if not self.status and self._size >= MAX_HEAD:
            raise BadAnswerError
        return self.status != 0

    # As what llhttp calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; or a trailer, which is of no interest."""
        if not self.status:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A head is complete: the one that counts, an interim one, or one that nobody asked for."""
        if self.status:
            return
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if status > 599 or version not in ("1.1", "1.0"):
            raise BadAnswerError
        if status >= 200 or status == 101:
            self.status = status
            self.http11 = version == "1.1"
        else:
            self.fields.clear()
