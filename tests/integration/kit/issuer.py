"""An issuer that publishes its keys, well or badly, and counts who asks."""

from __future__ import annotations

import ssl
import time
from threading import Lock
from typing import Any

from tests.integration.kit.origin import Behaviour, Origin, Request, Talk
from tests.issuing import ISSUER, Signer, key_set


class Publisher:
    """Answers at `/keys`; what it does there can be changed at any time."""

    def __init__(self, *keys: Signer, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.origin = Origin(context, port=port)
        self.url = f"http{'' if context is None else 's'}://127.0.0.1:{self.origin.port}/keys"
        self._lock = Lock()
        self._now = 0
        self.asked = 0
        self.most_at_once = 0
        """Fetches that were under way at one time, at the most."""
        self.times: list[float] = []
        """When they began, in monotonic seconds."""
        self.publish(*keys)
        self.origin.on(b"/keys", self._answer)

    def publish(self, *keys: Any) -> None:
        """Answer with these keys from now on."""
        document = key_set(*keys)
        self.behaviour: Behaviour = lambda talk, request: talk.reply(document, b"Content-Type: application/json")

    def section(self, **more: Any) -> dict[str, Any]:
        """It as an entry of `[[auth.issuers]]`."""
        return {"issuer": ISSUER, "audience": ["tta"], "jwks_url": self.url, **more}

    def _answer(self, talk: Talk, request: Request) -> None:
        with self._lock:
            self._now += 1
            self.asked += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.times.append(time.monotonic())
        try:
            self.behaviour(talk, request)
        finally:
            with self._lock:
                self._now -= 1

    def stop(self) -> None:
        """Go away: nobody listens at its port any more."""
        self.origin.stop()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()
