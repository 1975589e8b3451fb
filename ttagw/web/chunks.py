"""Following the framing of a chunked request body beside llhttp (RFC 9112 §7.1).

llhttp takes chunk extensions that are none, and does not say where a body ends or how long its trailers are. This
follows the lines between the data, refuses what is not strict, and knows where the next request begins.
"""

from __future__ import annotations

import re

from ttagw.errors import HeadersTooLargeError, MalformedRequestError

LONGEST_LINE = 256
"""Bytes of a chunk's size and extensions."""

_LONGEST_SIZE = 15
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_EXTENSIONS = re.compile(rb'(?:;%b(?:=(?:%b|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*' % (_TOKEN, _TOKEN))
_HEX = b"0123456789abcdefABCDEF"


class ChunkLines:
    """One chunked body; `read` is given everything that llhttp is given."""

    __slots__ = ("_left", "_line", "_most", "_trailers")

    def __init__(self, most: int) -> None:
        """`most`: bytes that all trailers together may have."""
        self._most = most
        self._line = b""
        self._left = 0
        """Bytes of data, with the line end after it, that are still to come."""
        self._trailers = -1
        """Bytes of trailers so far; -1: the last chunk has not come."""

    def read(self, data: bytes, at: int) -> int:
        """Follow the body through `data` from `at` on.

        The place after its end, or -1 if it goes on. Raises `GatewayError`.
        """
        size = len(data)
        while at < size:
            if self._left:
                at += (step := min(self._left, size - at))
                self._left -= step
                continue
            end = data.find(b"\n", at)
            self._line += data[at : size if end < 0 else end + 1]
            if len(self._line) > (LONGEST_LINE if self._trailers < 0 else self._most):
                raise MalformedRequestError("chunk_line") if self._trailers < 0 else HeadersTooLargeError("trailers")
            if end < 0:
                return -1
            at = end + 1
            line, self._line = self._line, b""
            if self._trailers < 0:
                self._size(line)
            elif self._trailer(line):
                return at
        return -1

    def _size(self, line: bytes) -> None:
        digits, semicolon, extensions = line.removesuffix(b"\r\n").partition(b";")
        if not line.endswith(b"\r\n") or not digits or len(digits) > _LONGEST_SIZE or digits.translate(None, _HEX):
            raise MalformedRequestError("chunk_size")
        if semicolon and not _EXTENSIONS.fullmatch(b";" + extensions):
            raise MalformedRequestError("chunk_extension")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _trailer(self, line: bytes) -> bool:
        """Whether this line is the empty one at the end. What trailers must look like is llhttp's to say."""
        if line == b"\r\n":
            return True
        self._trailers += len(line)
        if self._trailers > self._most:
            raise HeadersTooLargeError("trailers")
        return False
