"""Tells other systems about alerts: each is sent to every URL, in order, until it is taken.

An answer of 2xx takes it. Anything else (an error, a redirect, silence) is tried again after a while, with the same
`Idempotency-Key`, so a receiver can tell what it has already.
"""

from __future__ import annotations

import hmac
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as LateError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers

from ttagw.core.backoff import full_jitter
from ttagw.registry.events import Event, Events

TIMEOUT = 5.0
"""Seconds for one try."""
MOST_WAITING = 1000
"""Alerts that wait for one URL; beyond them the oldest is dropped."""
GIVE_UP = 3600.0
"""Seconds after which an alert is tried no more."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries, at the most: after the first, and after many."""

ALERT = "alert"

Post = Callable[[str, bytes, Mapping[str, str]], Coroutine[Any, Any, int]]
"""Sends a body with header fields to a URL; returns the status of the answer."""


class _Alert(NamedTuple):
    key: str
    body: bytes
    since: float
    """Monotonic seconds."""


class Webhooks(Service):
    """Sends every event of severity `alert` to some URLs, from the start of the service to its end."""

    def __init__(
        self,
        gateway: str,
        urls: Sequence[str],
        events: Events,
        reactor: Any,
        *,
        secret: bytes = b"",
        chance: Callable[[], float] = random.random,
        post: Post | None = None,
    ) -> None:
        """With a `secret` bodies are signed with HMAC-SHA-256. `reactor` counts time, and connects without a `post`."""
        self._gateway = gateway
        self._events = events
        self._reactor = reactor
        self._secret = secret
        self._last = 0
        self._unlisten: Callable[[], None] = lambda: None
        self.targets = [Target(url, reactor, chance, post or posting(reactor), self._fields) for url in urls]

    def startService(self) -> None:
        """Begin, with what has been told before."""
        super().startService()
        for target in self.targets:
            target.start()
        for event in self._events.after(self._last):
            self._told(event)
        if self.targets:
            self._unlisten = self._events.listen(self._told)

    def stopService(self) -> Deferred[Any]:
        """End, whatever is under way; alerts that nobody has taken are lost."""
        super().stopService()
        self._unlisten()
        return gatherResults([target.stop() for target in self.targets])

    def _told(self, event: Event) -> None:
        self._last = event.number
        if event.severity != ALERT:
            return
        body = msgspec.json.encode({"gateway": self._gateway, **event._asdict()})
        # Numbers begin again with each process, so the time belongs to it.
        key = f"{self._gateway}-{event.number}-{round(event.time * 1000)}"
        alert = _Alert(key, body, self._reactor.seconds())
        for target in self.targets:
            target.add(alert)

    def _fields(self, alert: _Alert) -> dict[str, str]:
        fields = {"Content-Type": "application/json", "Idempotency-Key": alert.key, "User-Agent": "ttagw"}
        if self._secret:
            fields["X-TTA-Signature"] = f"sha256={hmac.digest(self._secret, alert.body, 'sha256').hex()}"
        return fields


class Target:
    """One URL and what it has not taken yet."""

    log = Logger()

    def __init__(
        self,
        url: str,
        reactor: Any,
        chance: Callable[[], float],
        post: Post,
        fields: Callable[[_Alert], dict[str, str]],
    ) -> None:
        self._url = url
        self._host = urlsplit(url).netloc
        """What of the URL is said: the rest may hold a secret."""
        self._reactor = reactor
        self._chance = chance
        self._post = post
        self._fields = fields
        self._waiting: deque[_Alert] = deque()
        self._idle: Deferred[None] | None = None
        self._work: Deferred[None] | None = None
        self._stopping = False
        self._failing = False
        self._dropping = False
        self.delivered = 0
        self.dropped = 0
        """Alerts that there was no room for."""
        self.given_up = 0
        """Alerts that were never taken."""

    @property
    def waiting(self) -> int:
        """Alerts that wait, besides the one that is being sent."""
        return len(self._waiting)

    def start(self) -> None:
        """Send what is added."""
        self._stopping = False
        self._work = Deferred.fromCoroutine(self._run())
        self._work.addErrback(self._ended)

    def stop(self) -> Deferred[None]:
        """Send nothing any more."""
        self._stopping = True
        work, self._work = self._work, None
        if work is None:
            work = Deferred()
            work.callback(None)
        work.cancel()
        if self._waiting:
            self.log.warn("{count} alerts for {host} were not sent", count=len(self._waiting), host=self._host)
        return work

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("alerts for {host} can no longer be sent", failure=failure, host=self._host)

    def add(self, alert: _Alert) -> None:
        """Send it when its turn comes."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
            if not self._dropping:
                self._dropping = True
                self.log.error("alerts for {host} are being dropped: {most} wait", host=self._host, most=MOST_WAITING)
        self._waiting.append(alert)
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.callback(None)

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                self._idle = Deferred()
                await self._idle
            await self._deliver(self._waiting.popleft())

    async def _deliver(self, alert: _Alert) -> None:
        tries = 0
        while self._reactor.seconds() - alert.since < GIVE_UP:
            tries += 1
            reason = await self._try(alert)
            if not reason:
                self._works()
                return
            if not self._failing:
                self._failing = True
                self.log.warn("alerts for {host} wait: {reason}", host=self._host, reason=reason)
            await deferLater(self._reactor, full_jitter(tries, FIRST_PAUSE, LONGEST_PAUSE, self._chance))
        self.given_up += 1
        self.log.error("{host} has not taken the alert {key} for an hour", host=self._host, key=alert.key)

    def _works(self) -> None:
        self.delivered += 1
        if not self._waiting:
            self._dropping = False
        if self._failing:
            self._failing = False
            self.log.info(
                "alerts for {host} are taken again; {dropped} were dropped", host=self._host, dropped=self.dropped
            )

    async def _try(self, alert: _Alert) -> str:
        """Send it once; why it was not taken, "" if it was."""
        trying = Deferred.fromCoroutine(self._post(self._url, alert.body, self._fields(alert)))
        trying.addTimeout(TIMEOUT, self._reactor)
        try:
            status = await trying
        except CancelledError:
            raise
        except LateError:
            return "timeout"
        except Exception as error:
            if self._stopping:
                raise CancelledError from None
            return f"connection_failed ({type(error).__name__})"
        return "" if 200 <= status <= 299 else f"status_{status}"


class _Unread(Protocol):
    """Takes no body: only the status counts, and what comes after it may be of any size."""

    def connectionMade(self) -> None:
        """The body begins."""
        transport: Any = self.transport
        transport.loseConnection()


def posting(reactor: Any) -> Post:
    """Posts over the network: a connection for each, no redirects, no cookies, nothing read but the head."""
    agent = Agent(reactor, connectTimeout=TIMEOUT, pool=HTTPConnectionPool(reactor, persistent=False))

    async def post(url: str, body: bytes, fields: Mapping[str, str]) -> int:
        headers = Headers({name: [value] for name, value in fields.items()})
        try:
            response = await HTTPClient(agent).post(
                url, data=body, headers=headers, allow_redirects=False, unbuffered=True, reactor=reactor
            )
        except ResponseFailed as error:
            # What was cancelled fails with whatever had become of it.
            if any(reason.check(CancelledError) for reason in error.reasons):
                raise CancelledError from None
            raise
        response.deliverBody(_Unread())
        status: int = response.code
        return status

    return post
