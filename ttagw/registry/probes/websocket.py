"""A check over WebSocket (RFC 6455): the opening handshake, and a ping that is answered.

Autobahn would do it with a factory, a transport and some forty attributes for each check; what a client needs for one
ping is less than what it takes to set that up.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1

from ttagw.core.headers import connection_options
from ttagw.registry.probes.answer import AnswerHead, BadAnswerError
from ttagw.registry.probes.talks import get

MAX_FRAMES = 1 << 20
"""Bytes of frames before the pong: services may greet whoever comes, with all they have to say."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_KNOWN = frozenset((0x0, 0x1, 0x2, _CLOSE, _PING, _PONG))
_NORMAL = (1000).to_bytes(2, "big")


class WebSocketTalk:
    """Handshake, ping, pong, goodbye."""

    __slots__ = ("_accept", "_buffer", "_head", "_masks", "_payload", "_seen", "_skip", "late", "opening", "result")

    def __init__(self, path: str, authority: str, agent: str, entropy: Callable[[int], bytes]) -> None:
        """`entropy`: so many random bytes, of the kind that nobody can guess (RFC 6455 §10.3)."""
        chance = entropy(32)
        key = b64encode(chance[:16])
        self.opening = get(
            path,
            authority,
            agent,
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {key.decode('ascii')}",
        )
        self.late = "timeout"
        self.result: str | None = None
        self._accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        self._payload = chance[16:24]
        self._masks = [chance[24:28], chance[28:]]
        self._head: AnswerHead | None = AnswerHead()
        self._buffer = b""
        self._skip = 0
        self._seen = 0

    def read(self, data: bytes) -> bytes:
        """First the answer to the handshake, then frames."""
        try:
            if self._head is None:
                return self._frames(data)
            if not self._head.feed(data):
                return b""
            self.result = self._refusal(self._head)
            if self.result is not None:
                return b""
            rest, self._head = self._head.rest, None
            self.late = "no_pong"
            return self._frame(_PING, self._payload) + self._frames(rest)
        except BadAnswerError:
            self.result = "bad_answer"
            return b""

    def _refusal(self, head: AnswerHead) -> str | None:
        """What is wrong with the answer to the handshake (RFC 6455 §4.1)."""
        if head.status != 101:
            return f"status_{head.status}"
        found: dict[bytes, list[bytes]] = {}
        for name, value in head.fields:
            found.setdefault(name, []).append(value.strip(b" \t"))
        good = (
            head.http11
            and [each.lower() for each in found.get(b"upgrade", ())] == [b"websocket"]
            and b"upgrade" in connection_options(found.get(b"connection", []))
            and found.get(b"sec-websocket-accept") == [self._accept]
            # Neither was asked for.
            and b"sec-websocket-extensions" not in found
            and b"sec-websocket-protocol" not in found
        )
        return None if good else "bad_handshake"

    def _frames(self, data: bytes) -> bytes:
        self._seen += len(data)
        if self._seen > MAX_FRAMES:
            raise BadAnswerError
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while self.result is None and self._one():
            pass
        return self._frame(_CLOSE, _NORMAL) if self.result == "" else b""

    def _one(self) -> bool:
        """Take one frame from the buffer. Returns False when there is none to take. Raises `BadAnswerError`."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        kind, length = buffer[0] & 0x0F, buffer[1]
        control = kind >= _CLOSE
        if (
            buffer[0] & 0x70
            or kind not in _KNOWN
            or length > 127
            or (control and not (buffer[0] & 0x80 and length < 126))
        ):
            raise BadAnswerError
        start = 2 if length < 126 else 4 if length == 126 else 10
        if len(buffer) < start:
            return False
        if start > 2:
            length = int.from_bytes(buffer[2:start], "big")
        if control and len(buffer) < start + length:
            return False
        if kind == _CLOSE:
            self.result = "closed"
        elif kind == _PONG and buffer[start : start + length] == self._payload:
            self.result = ""
        self._buffer = buffer[start + length :]
        self._skip = max(0, start + length - len(buffer))
        return True

    def _frame(self, kind: int, payload: bytes) -> bytes:
        """A whole control frame, masked as a client must (RFC 6455 §5.3)."""
        mask = self._masks.pop()
        masked = bytes([byte ^ mask[place % 4] for place, byte in enumerate(payload)])
        return bytes((0x80 | kind, 0x80 | len(payload))) + mask + masked
