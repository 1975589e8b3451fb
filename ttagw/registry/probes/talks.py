"""What is said in a check, and what its answer means. Knows no socket and no time."""

from __future__ import annotations

from typing import Protocol

from ttagw.registry.probes.answer import AnswerHead, BadAnswerError


class Talk(Protocol):
    """One side of one conversation."""

    @property
    def opening(self) -> bytes:
        """What is said as soon as somebody is there."""

    @property
    def result(self) -> str | None:
        """None while it is not known; then "" for good, or the reason."""

    @property
    def late(self) -> str:
        """The reason when the time is over now."""

    def read(self, data: bytes) -> bytes:
        """Take what the other side has said, which is not empty; returns what to answer. Not called once it is over."""


class TcpTalk:
    """That somebody is there is enough."""

    opening = b""
    result = ""
    late = "timeout"

    def read(self, data: bytes) -> bytes:  # noqa: ARG002 - there is nothing to understand
        """Not called: it was over before."""
        return b""


class HttpTalk:
    """A request, and the status of its answer."""

    late = "timeout"

    __slots__ = ("_expected", "_head", "opening", "result")

    def __init__(self, opening: bytes, expected: frozenset[int]) -> None:
        self.opening = opening
        self.result: str | None = None
        self._expected = expected
        self._head = AnswerHead()

    def read(self, data: bytes) -> bytes:
        """The answer, piece by piece; there is nothing to say to it."""
        try:
            if self._head.feed(data):
                status = self._head.status
                self.result = "" if status in self._expected else f"status_{status}"
        except BadAnswerError:
            self.result = "bad_answer"
        return b""


def get(path: str, authority: str, agent: str, *more: str) -> bytes:
    """A GET request; `more`: header lines. Without any, the connection is for this request only."""
    lines = (f"GET {path} HTTP/1.1", f"host: {authority}", f"user-agent: {agent}", *(more or _ONCE), "", "")
    return "\r\n".join(lines).encode("ascii")


_ONCE = ("accept: */*", "connection: close")
