"""Where in what was read a request begins, and whether its first line is strict.

llhttp tells neither where a message begins nor what stood between the words of its first line: it takes two spaces,
HTTP/2.0 and other protocols' names. So the line that it says it has read is looked for in the bytes, at the place where
it must be.
"""

from __future__ import annotations

from ttagw.errors import MalformedRequestError


class RequestLine:
    """Follows one connection's bytes from request to request."""

    __slots__ = ("_partial", "at", "chunk", "end")

    def __init__(self) -> None:
        self.chunk = b""
        """The bytes of the present read, and of earlier ones from the beginning of a head that they hold in part."""
        self.end = 0
        """Place in the chunk after the ` HTTP/1.` of the last line."""
        self.at = 0
        """Place in the chunk where the next head begins; after a head, where its body does."""
        self._partial: tuple[bytes, ...] = ()

    def read(self, data: bytes) -> None:
        """The next read."""
        self.chunk = data
        self.at = 0

    def unfinished(self) -> None:
        """The read ends within a head: it is needed when the rest comes."""
        self._partial = (*self._partial, self.chunk[self.at :])

    def done(self) -> None:
        """What was read is needed no more."""
        self.chunk = b""

    def minor_version(self, method: bytes, target: bytes) -> int:
        """The minor version of HTTP/1 in the line of this request, whose head is complete.

        Raises `MalformedRequestError`.
        """
        line = b"%b %b HTTP/1." % (method, target)
        if self._partial:
            self.chunk = b"".join(self._partial) + self.chunk
            self._partial = ()
            self.at = 0
        chunk = self.chunk
        at = self.at if chunk.startswith(line, self.at) else self._find(line)
        self.end = end = at + len(line)
        self.at = chunk.find(b"\r\n\r\n", end) + 4
        return 0 if chunk[end : end + 1] == b"0" else 1

    def _find(self, line: bytes) -> int:
        """After empty lines."""
        at = len(self.chunk) - len(self.chunk[self.at :].lstrip(b"\r\n"))
        if not self.chunk.startswith(line, at):
            raise MalformedRequestError("request_line")
        return at
