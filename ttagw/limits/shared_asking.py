"""Asking the ledger, and knowing whether it answers in time. Nobody waits for one that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.core.lease import Answer, Item
from ttagw.metrics import Histogram

DEADLINE: Final = 0.04
"""Seconds for an answer."""
BUSY: Final = 0.005
"""Seconds by which our own timer is late when it is us who are slow; then an answer has `GRACE` seconds more."""
GRACE: Final = 0.01
PROBE: Final = 0.25
"""Seconds between two looks whether it answers in time again."""
HELLO: Final = 1.0
"""Seconds between two of our hellos while it does."""
CALM: Final = 1.0
"""Seconds that it must be there to be back: one that comes and goes gives no alert each time."""
MOST_QUESTIONS: Final = 2000
"""Under way at once. Beyond that nobody waits either."""
BATCH: Final = 200
"""Buckets in one question, where many are told about."""


class Ledger(Protocol):
    """What is needed of it; see `ttagw.store.redis_counters.Counters`."""

    reason: str
    """Why it cannot be asked; "" while it can."""
    generation: int
    """Larger with each connection: what was lent over another one is not ours any more."""
    told: Callable[[], None]
    """To be set: called when `reason` changes from or to ""."""

    def start(self) -> None:
        """Begin to connect."""

    async def stop(self) -> None:
        """Let everything go."""

    def count(self, items: Sequence[Item]) -> Deferred[Answer]:
        """Ask."""

    def hello(self) -> Deferred[int]:
        """How many gateways there are."""


class _Question:
    __slots__ = ("late", "sent", "told")

    def __init__(
        self, sent: float, told: Callable[[Answer | None], None] | None, late: Callable[[Answer], None] | None
    ) -> None:
        self.sent = sent
        self.told = told
        self.late = late


class Asking:
    """Questions to the ledger, each answered by the deadline, one way or the other."""

    log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        reactor: Any,
        monotonic: Callable[[], float],
        owed: Callable[[int], list[Item]],
        tell: Callable[[bool, str], None],
    ) -> None:
        """`owed`: what the ledger must be told before it is back, at most so many items. `tell`: it is there, or why
        not, each for those who are alerted.
        """
        self._ledger = ledger
        self._reactor = reactor
        self._monotonic = monotonic
        self._owed = owed
        self._tell = tell
        self._pending: dict[_Question, None] = {}
        self._timer: Any = None
        self._due = 0.0
        """When it should fire."""
        self._probing = False
        self._said = monotonic()
        """When a hello was said last."""
        self._told = True
        """What those who are alerted believe."""
        self.there = False
        self.since = monotonic()
        """When that changed."""
        self.reason = "starting"
        """Why it is not there."""
        self.gateways = 1
        """Seen lately, with us."""
        self.outcomes = {"answered": 0, "refused": 0, "timeout": 0, "away": 0}
        self.seconds = Histogram()
        ledger.told = self._changed

    @property
    def generation(self) -> int:
        """As of the ledger."""
        return self._ledger.generation

    @property
    def free(self) -> bool:
        """Whether there is room for another question."""
        return len(self._pending) < MOST_QUESTIONS

    def ask(
        self,
        items: Sequence[Item],
        told: Callable[[Answer | None], None],
        late: Callable[[Answer], None],
    ) -> None:
        """Ask. `told` is called once, within `DEADLINE`; with None where there was no answer. An answer that comes
        after that goes to `late`.
        """
        question = _Question(self._monotonic(), told, late)
        self._wait(question)
        self._ledger.count(items).addCallbacks(
            self._answered, self._failed, callbackArgs=(question,), errbackArgs=(question,)
        ).addErrback(self._wrong)

    def beat(self) -> None:
        """To be called each `PROBE` seconds."""
        now = self._monotonic()
        if not self.there:
            self._probe()
        elif now - self._said >= HELLO - PROBE / 2:
            self._hello()
        if self._told != self.there and now - self.since >= CALM:
            self._told = self.there
            self._tell(self.there, self.reason)

    def stop(self) -> None:
        """Nobody waits any more."""
        self._told = False
        self._lose("stopped")

    # Those who wait

    def _wait(self, question: _Question) -> None:
        self._pending[question] = None
        if self._timer is None:
            self._look_in(DEADLINE)

    def _look_in(self, seconds: float) -> None:
        self._due = self._monotonic() + seconds
        self._timer = self._reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        now = self._monotonic()
        if now - self._due > BUSY:
            # It was us who were busy: what was asked may not be sent yet, and what was answered may not be read. Who is
            # busy all the time sends in the next turn of the reactor, reads in the one after, and looks then.
            self._timer = self._reactor.callLater(GRACE, self._look_once_more, now)
        else:
            self._timer = self._reactor.callLater(0, self._over, now)

    def _look_once_more(self, began: float) -> None:
        self._timer = self._reactor.callLater(0, self._over, began)

    def _over(self, began: float) -> None:
        """Whoever had waited long enough when this `began` is told that there is no answer."""
        self._timer = None
        if not self._pending:
            return
        due = next(iter(self._pending)).sent + DEADLINE
        if due - began > 1e-6:
            self._look_in(max(due - self._monotonic(), 0.0))
        else:
            self._lose("timeout")

    def _answered(self, answer: Answer, question: _Question) -> None:
        self.seconds.observe(self._monotonic() - question.sent)
        if question.told is None:
            if question.late is not None:
                question.late(answer)
            return
        self.outcomes["refused" if answer.refused else "answered"] += 1
        self._end(question, answer)

    def _failed(self, failure: Failure, question: _Question) -> None:
        reason = getattr(failure.value, "reason", None)
        if reason is None and not failure.check(CancelledError):
            self.log.failure("a question about limits has failed", failure)
        if question.told is not None:
            self._lose(reason or "failed")

    def _wrong(self, failure: Failure) -> None:
        self.log.failure("what was asked about limits could not be taken up", failure)

    def _end(self, question: _Question, answer: Answer | None) -> None:
        self._pending.pop(question, None)
        told, question.told = question.told, None
        if told is not None:
            told(answer)

    # Whether it is there

    def _changed(self) -> None:
        if self._ledger.reason:
            self._lose(self._ledger.reason)
        else:
            self._probe()

    def _lose(self, reason: str) -> None:
        """Nobody waits from now on, and those who do are told."""
        self.reason = reason
        if self.there:
            self.there = False
            self.since = self._monotonic()
            if self._told:
                self._told = False
                self._tell(False, reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, {}
        for question in pending:
            self.outcomes["timeout" if reason == "timeout" else "away"] += 1
            try:
                self._end(question, None)
            except Exception:
                self.log.failure("a request could not be told that nobody answers")

    def _hello(self) -> None:
        self._said = self._monotonic()
        question = _Question(self._said, lambda _: None, None)
        self._wait(question)

        def said(gateways: int) -> None:
            self.gateways = gateways
            if question.told is not None:
                self._end(question, None)

        self._ledger.hello().addCallbacks(said, self._failed, errbackArgs=(question,)).addErrback(self._wrong)

    def _probe(self) -> None:
        if not self._probing and not self._ledger.reason:
            self._probing = True
            Deferred.fromCoroutine(self._come_back()).addErrback(self._wrong)

    async def _come_back(self) -> None:
        """See whether it answers in time. Then it is told what it does not know, and after that it is there."""
        began = self._monotonic()
        question = _Question(began, lambda _: None, None)
        self._wait(question)
        try:
            self.gateways = await self._ledger.hello()
            if question.told is None:
                return
            while len(items := self._owed(BATCH)) == BATCH:
                await self._ledger.count(items)
            if items:
                # Whatever is asked next is answered after it.
                self._ledger.count(items).addErrback(lambda _: None)
            if not self._ledger.reason:
                self._said = began
                self.there, self.since, self.reason = True, self._monotonic(), ""
        except Exception as error:
            if (reason := getattr(error, "reason", None)) is None:
                raise
            self.reason = reason
        finally:
            self._pending.pop(question, None)
            self._probing = False
