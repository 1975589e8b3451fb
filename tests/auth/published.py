"""Published keys of which time, chance and the network are in our hands."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as Timers
from twisted.python.failure import Failure

from tests.issuing import ISSUER, Signer, key_set
from ttagw.auth.jwks import PublishedKeys
from ttagw.config.auth import Issuer
from ttagw.errors import GatewayError

URL = "https://auth.tta.example/keys?secret=hush"
OLD, NEW = Signer("RS256", "old"), Signer("RS256", "new")


class Fetches:
    """Fetches that the test answers. More than one under way at once is a fault."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.open: Deferred[bytes] | None = None
        self.cancelled = 0

    async def __call__(self, url: str) -> bytes:
        self.urls.append(url)
        assert self.open is None, "two fetches at once"
        self.open = Deferred(self._cancel)
        return await self.open

    def _cancel(self, _: Deferred[bytes]) -> None:
        self.cancelled += 1
        self.open = None

    def answer(self, *keys: Any) -> None:
        self.say(key_set(*keys))

    def say(self, document: bytes) -> None:
        fetch, self.open = self.open, None
        assert fetch is not None
        fetch.callback(document)

    def fail(self, error: Exception) -> None:
        fetch, self.open = self.open, None
        assert fetch is not None
        fetch.errback(error)


class Asked:
    """A token that wants its key."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.found: list[Any] = []
        answer.addCallbacks(self.found.append, self._failed)

    def _failed(self, failure: Failure) -> None:
        self.found.append(failure.value)

    @property
    def outcome(self) -> str:
        """`waits`, `key`, or the reason of a refusal."""
        if not self.found:
            return "waits"
        return self.found[0].reason if isinstance(self.found[0], GatewayError) else "key"


class Here:
    """Keys that are published at `URL`."""

    def __init__(self, *keys: Any, refresh: float = 600.0) -> None:
        """With `keys` these have been fetched already."""
        self.timers, self.fetches = Timers(), Fetches()
        self.changes = 0
        self.refusals: list[GatewayError] = []
        self.chance = 0.5
        issuer = Issuer(issuer=ISSUER, jwks_url=URL, jwks_refresh=refresh)
        self.keys = PublishedKeys(issuer, self._changed, self.timers, self.fetches, random=lambda: self.chance)
        self.keys.start()
        if keys:
            self.fetches.answer(*keys)

    def _changed(self) -> None:
        self.changes += 1

    def ask(self, kid: str | None = "new", algorithm: str = "RS256") -> str | Asked:
        """`key`, the reason of a refusal, or somebody who waits."""
        try:
            found = self.keys.find(kid, algorithm)
        except GatewayError as error:
            self.refusals.append(error)
            return error.reason
        return Asked(found) if isinstance(found, Deferred) else "key"

    def waits(self, kid: str | None = "new") -> Asked:
        """Somebody who has to wait."""
        asked = self.ask(kid)
        assert isinstance(asked, Asked)
        assert asked.outcome == "waits"
        return asked

    @property
    def count(self) -> int:
        """Fetches so far."""
        return len(self.fetches.urls)

    def pass_by(self, seconds: float) -> None:
        """Let time pass, a little at a time."""
        self.timers.pump([0.25] * round(seconds * 4))

    def next_fetch(self) -> float:
        """Let time pass until a fetch begins; for how long that was."""
        began = self.timers.seconds()
        while self.fetches.open is None:
            self.timers.advance(0.25)
            assert self.timers.seconds() - began < 601, "no fetch is to come"
        return self.timers.seconds() - began

    def stop(self) -> None:
        self.keys.stop()
        assert {each.status for each in self.refusals} <= {401, 503}
        assert all((each.status == 503) == bool(each.retry_after) for each in self.refusals)
        assert not self.timers.getDelayedCalls()
        assert self.fetches.open is None
        assert self.keys.waiting == 0
