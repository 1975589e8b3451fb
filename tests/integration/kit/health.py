"""Services whose health a test switches."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import Any

from tests.integration.kit.origin import Origin, Request, Talk

OFTEN: dict[str, Any] = {"interval": "200ms", "timeout": "2s", "unhealthy_after": 2, "healthy_after": 2}
"""Checks that find out soon what has changed."""


class Switch:
    """What a service answers at `/health`, over HTTP or WebSocket, until told otherwise."""

    def __init__(self, origin: Origin, path: bytes = b"/health") -> None:
        self.good = True
        self.flapping = False
        """Each answer is another than the one before."""
        self.asked = 0
        origin.on(path, self._answer)

    def _answer(self, talk: Talk, request: Request) -> None:
        self.asked += 1
        good = self.asked % 2 == 0 if self.flapping else self.good
        key = request.value(b"sec-websocket-key")
        if not key:
            talk.reply(b"", status=b"200 OK" if good else b"500 Broken")
            return
        accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        fields = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept]
        talk.send(b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *fields, b"", b""]))
        if good:
            frame = talk.exactly(14)
            mask, payload = frame[2:6], frame[6:]
            talk.send(b"\x8a\x08" + bytes([byte ^ mask[at % 4] for at, byte in enumerate(payload)]))
        talk.wait_gone()
