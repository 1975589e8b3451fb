"""Keys that an issuer publishes at a URL: fetched before they are needed, and when a token names one that is not known.

A key that is known never waits for the network. What was fetched last stays in use for as long as nothing better comes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as LateError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.auth.fetch import TIMEOUT, Fetch, FetchError
from ttagw.auth.issuers import Changed, Keys, warn_skipped
from ttagw.auth.keyset import KeySet, KeySetError, Skipped, parse
from ttagw.config.auth import Issuer
from ttagw.errors import IdentityUnknownError, TokenRefusedError

ASK_EVERY = 10.0
"""Seconds between two fetches because of a name that is not known."""
ABSENT_FOR = 10.0
MOST_ABSENT = 1000
"""Names that are remembered as not there, and for how many seconds."""
MOST_WAITING = 1000
"""Tokens that wait for keys."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries after a failure, at the most: after the first, and after many."""
EARLY = 0.8
"""The part of `jwks_refresh` after which keys are fetched again, at the earliest."""

SOONEST = 0.1
"""Seconds between two fetches, at the least, however small `jwks_refresh` is."""

Name = tuple[str | None, str]
"""What a token says about its key: `kid` and algorithm."""


class _Waiter(NamedTuple):
    """A token whose key is not known yet."""

    name: Name
    since: float
    """Monotonic seconds."""
    answer: Deferred[Any]


class PublishedKeys:
    """The keys of one issuer, from `start` to `stop`."""

    log = Logger()

    def __init__(
        self, issuer: Issuer, changed: Changed, reactor: Any, fetch: Fetch, *, random: Callable[[], float]
    ) -> None:
        """`reactor` counts time; `fetch` gets the document. `changed` is called when keys are gone."""
        self._issuer = issuer
        self._changed = changed
        self._reactor = reactor
        self._fetch = fetch
        self._random = random
        self._began: float | None = None
        """When the fetch began that is under way; None: none is."""
        self._fetching: Deferred[Any] | None = None
        self._asked = float("-inf")
        """When a fetch last began because of a name."""
        self._failures = 0
        """In a row."""
        self._due: Any = None
        self._permitted: Any = None
        """Calls to come: the next fetch by age or after a failure, and the next that a name may cause."""
        self._waiting: dict[_Waiter, None] = {}
        self._absent: dict[Name, float] = {}
        self._skipped: list[Skipped] = []
        self._running = False
        self.keys: KeySet | None = None
        self.fetched = 0.0
        """When the fetch began that these keys are from."""
        self.outcomes: dict[str, int] = {}
        """Fetches, by what became of them."""

    # What is asked

    def find(self, kid: str | None, algorithm: str) -> Keys | Deferred[Keys]:
        """The key that a token names, or those that it may mean. Raises, or fails with, `TokenRefusedError` or
        `IdentityUnknownError`.
        """
        if self.keys is not None:
            found = self.keys.find(kid, algorithm)
            if found:
                return found
            if self.keys.refuses(kid, algorithm):
                raise TokenRefusedError("token_key")
        return self._wait((kid, algorithm))

    def look(self) -> None:
        """Nothing is on disk."""

    @property
    def waiting(self) -> int:
        """Tokens that wait for their keys."""
        return len(self._waiting)

    def _wait(self, name: Name) -> Deferred[Any]:
        now = self._reactor.seconds()
        if now < self._absent.get(name, now):
            raise TokenRefusedError("token_key")
        if not self._running:
            raise IdentityUnknownError("keys_unavailable", retry_after=1)
        if len(self._waiting) >= MOST_WAITING:
            raise IdentityUnknownError("keys_busy", retry_after=self._seconds_left(now))
        if self._began is None and self._failures and now - self._asked < ASK_EVERY:
            raise IdentityUnknownError("keys_unavailable", retry_after=self._seconds_left(now))
        answer: Deferred[Any] = Deferred(lambda _: self._waiting.pop(waiter, None))
        waiter = _Waiter(name, now, answer)
        self._waiting[waiter] = None
        self._ask()
        return answer

    def _seconds_left(self, now: float) -> int:
        """Until something may be known that is not known now."""
        ends = [each.getTime() for each in (self._due, self._permitted) if each is not None]
        return max(1, ceil(min([each - now for each in ends], default=TIMEOUT)))

    def _ask(self) -> None:
        """Fetch for those who wait, now or as soon as that is permitted."""
        if self._began is not None or self._permitted is not None:
            return
        left = self._asked + ASK_EVERY - self._reactor.seconds()
        if left <= 0:
            self._ask_now()
        else:
            self._permitted = self._reactor.callLater(left, self._ask_now)

    def _ask_now(self) -> None:
        self._permitted = None
        if self._began is None and self._waiting:
            self._asked = self._reactor.seconds()
            self._begin()

    # Fetches

    def start(self) -> None:
        """Fetch now, and from now on before the keys are too old."""
        self._running = True
        self._begin()

    def stop(self) -> None:
        """Fetch no more; nobody waits any longer."""
        self._running = False
        for call in (self._due, self._permitted):
            if call is not None:
                call.cancel()
        self._due = self._permitted = None
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
        self._refuse_all()

    def _begin(self) -> None:
        """Fetch, if no fetch is under way."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        if self._began is not None:
            return
        began = self._began = self._reactor.seconds()
        trying: Deferred[Any] = Deferred.fromCoroutine(self._load())
        trying.addTimeout(TIMEOUT, self._reactor)
        self._fetching = trying
        trying.addBoth(self._over, began).addErrback(self._lost)

    async def _load(self) -> tuple[KeySet, list[Skipped]]:
        return parse(await self._fetch(self._issuer.jwks_url), self._issuer.algorithms)

    def _over(self, result: tuple[KeySet, list[Skipped]] | Failure, began: float) -> None:
        """A fetch has ended, in whatever way."""
        self._began = self._fetching = None
        if not self._running:
            return
        try:
            if isinstance(result, Failure):
                self._failed(result)
            else:
                self._take(*result, began)
        except Exception:
            self.log.failure("{issuer}: its keys could not be taken", issuer=self._issuer.issuer)
        # Before anybody is told, so that there is a next time whatever they make of it.
        self._due = self._reactor.callLater(self._pause(), self._begin)
        if isinstance(result, Failure):
            self._refuse_all()
        else:
            self._answer(began)

    def _pause(self) -> float:
        """Seconds until the next fetch that nobody has asked for."""
        refresh = self._issuer.jwks_refresh
        if not self._failures:
            return max(SOONEST, refresh * (EARLY + (1 - EARLY) * 0.9 * self._random()))
        most = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), max(refresh, FIRST_PAUSE))
        return most * (0.5 + 0.5 * self._random())

    def _take(self, keys: KeySet, skipped: list[Skipped], began: float) -> None:
        self._count("good")
        before, self.keys, self.fetched = self.keys, keys, began
        if self._failures:
            self._failures = 0
            self.log.info("{issuer}: its keys can be fetched again", issuer=self._issuer.issuer)
        for each in skipped:
            if each not in self._skipped:
                warn_skipped(self.log, self._issuer.issuer, each)
        self._skipped = skipped
        if before is None or before.facts() != keys.facts():
            self.log.info("{issuer}: {count} keys, not the same as before", issuer=self._issuer.issuer, count=len(keys))
        if before is not None and not before.facts() <= keys.facts():
            try:
                self._changed()
            except Exception:
                self.log.failure("{issuer}: what its old keys had signed was not forgotten", issuer=self._issuer.issuer)

    def _failed(self, failure: Failure) -> None:
        reason = _reason(failure)
        self._count(reason.partition(" ")[0])
        self._failures += 1
        if self._failures == 1:
            self.log.warn(
                "{issuer}: its keys cannot be fetched: {reason}; those that are known stay in use",
                issuer=self._issuer.issuer,
                reason=reason,
            )

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def _lost(self, failure: Failure) -> None:
        self.log.failure("{issuer}: those who wait could not be told", failure=failure, issuer=self._issuer.issuer)

    # Those who wait

    def _answer(self, began: float) -> None:
        """The fetch that began then has brought keys."""
        for waiter in list(self._waiting):
            found, refused = (), False
            if self.keys is not None:
                found, refused = self.keys.find(*waiter.name), self.keys.refuses(*waiter.name)
            if found:
                self._tell(waiter, found)
            elif refused or waiter.since <= began:
                self._remember_absent(waiter.name)
                self._tell(waiter, Failure(TokenRefusedError("token_key")))
        if self._waiting:
            self._ask()

    def _refuse_all(self) -> None:
        now = self._reactor.seconds()
        for waiter in list(self._waiting):
            self._tell(waiter, Failure(IdentityUnknownError("keys_unavailable", retry_after=self._seconds_left(now))))

    def _tell(self, waiter: _Waiter, result: Any) -> None:
        # Who was told before may have made this one leave.
        if waiter in self._waiting:
            del self._waiting[waiter]
            waiter.answer.callback(result)

    def _remember_absent(self, name: Name) -> None:
        self._absent.pop(name, None)
        if len(self._absent) >= MOST_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[name] = self._reactor.seconds() + ABSENT_FOR


def _reason(failure: Failure) -> str:
    """Why a fetch failed: a fixed token, for some with the name of an error behind it."""
    error = failure.value
    if isinstance(error, KeySetError):
        return error.reason
    if isinstance(error, FetchError):
        return str(error)
    if failure.check(LateError, CancelledError):
        return "timeout"
    return f"connection_failed ({type(error).__name__})"
