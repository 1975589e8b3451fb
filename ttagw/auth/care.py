"""Who cares for whom, when a token does not say so: asked of a service, and remembered for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred

from ttagw.auth.shared import Shared
from ttagw.errors import AccessUnknownError

MOST_KNOWN = 10_000
"""Answers that are remembered; beyond them the one that came first is forgotten."""

MOST_ASKING = 100
"""Questions under way at once."""

MOST_OF_ONE = 10
"""Of those, questions about one caller: whoever tries many people leaves room for others."""

NO_FOR = 10.0
"""Seconds for which a "no" is remembered, at the most: who has just been given somebody to care for should not wait."""

Question = Callable[[str, str, bytes], "Deferred[int]"]
"""Caller, person, and the id of the request that it is for; gives the status of the service's answer, 0 for none."""


class _Answer(NamedTuple):
    yes: bool
    until: float
    """Monotonic seconds."""


class Care:
    """What the service says, as far as it can be asked."""

    def __init__(self, question: Question, cache: float, monotonic: Callable[[], float]) -> None:
        """`cache`: seconds for which an answer is good."""
        self._question = question
        self._cache = cache
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], _Answer] = {}
        self._asking: Shared[bool] = Shared(MOST_ASKING)
        self._by_caller: dict[str, int] = {}
        """Questions under way."""
        self.outcomes: dict[str, int] = {}
        """What became of questions: `yes`, `no`, `unknown`, `busy`; `remembered`: it was known already."""

    def cares(self, caller: str, person: str, request_id: bytes) -> bool | Deferred[bool]:
        """Whether the caller cares for this person. Raises, or fails with, `AccessUnknownError`."""
        known = self._known.get((caller, person))
        if known is not None and self._monotonic() < known.until:
            self._count("remembered")
            return known.yes
        if not (caller.strip(".") and person.strip(".")):
            # In a path these would lead elsewhere, and whatever is there might say yes.
            return False
        return self._asking.ask((caller, person), lambda: self._ask(caller, person, request_id)) or self._busy()

    def _busy(self) -> NoReturn:
        self._count("busy")
        raise AccessUnknownError("care_busy", retry_after=1)

    async def _ask(self, caller: str, person: str, request_id: bytes) -> bool:
        of_one = self._by_caller.get(caller, 0)
        if of_one >= MOST_OF_ONE:
            self._busy()
        self._by_caller[caller] = of_one + 1
        try:
            status = await self._question(caller, person, request_id)
        finally:
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]
        yes = 200 <= status <= 299
        if not yes and status not in (403, 404):
            self._count("unknown")
            raise AccessUnknownError("care_unknown", retry_after=1)
        self._count("yes" if yes else "no")
        self._remember((caller, person), yes)
        return yes

    def _remember(self, pair: tuple[str, str], yes: bool) -> None:
        lasts = self._cache if yes else min(self._cache, NO_FOR)
        self._known.pop(pair, None)
        if lasts > 0.0:
            self._known[pair] = _Answer(yes, self._monotonic() + lasts)
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def stop(self) -> None:
        """End the questions that are under way."""
        self._asking.stop()

    @property
    def under_way(self) -> int:
        """Questions that are not answered yet."""
        return self._asking.under_way


def care_metrics(care: Care | None) -> Iterator[Metric]:
    """What there is to tell Prometheus."""
    asked = CounterMetricFamily("ttagw_care_questions", "Who cares for whom, by answer.", labels=["outcome"])
    for outcome, count in ({} if care is None else care.outcomes).items():
        asked.add_metric([outcome], count)
    under_way = 0 if care is None else care.under_way
    yield from (asked, GaugeMetricFamily("ttagw_care_asking", "Questions under way.", value=under_way))
