"""What a failure did, from what clients and instances have written down."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixed_rate import percentile
from benchmarks.instance import RECORD
from benchmarks.numbered import CUT_BEGUN, LOST, PATIENCE, TIMEOUT_BEGUN, is_post

LATE = 0.5
"""Seconds after which an answer is late."""
WINDOW, STRIDE = 1.0, 0.25
"""Seconds over which an instance's share is taken, and between two looks."""

Record = tuple[float, int, int]
"""When an instance was asked, for which number, and whether by POST."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a client saw: when each request ended, with a status or one of the codes of numbered.py."""

    began: float
    rate: float
    ends: Sequence[float]
    codes: Sequence[int]

    @classmethod
    def read(cls, path: Path) -> Story:
        """From the file that numbered.py writes."""
        with path.open("rb") as file:
            head = json.loads(file.readline())
            ends, codes = array("d"), array("H")
            ends.fromfile(file, head["total"])
            codes.fromfile(file, head["total"])
        return cls(head["began"], head["rate"], ends, codes)

    def due(self, number: int) -> float:
        """When this one was to be sent."""
        return self.began + number / self.rate

    def between(self, first: float, last: float) -> range:
        """The numbers of those that were due then."""
        low = max(0, -int(-(first - self.began) * self.rate // 1))
        high = min(len(self.codes), -int(-(last - self.began) * self.rate // 1))
        return range(low, max(low, high))

    def failed(self, number: int) -> bool:
        """Whether the client got nothing of use."""
        return not 200 <= self.codes[number] < 500

    def seconds(self, number: int) -> float:
        """How long it took; without an answer, for as long as a client waits."""
        return self.ends[number] - self.due(number) if self.codes[number] != LOST else PATIENCE

    def p99(self, numbers: Iterable[int]) -> float:
        """Of how long these took, in ms; 0 without any."""
        ordered = array("d", sorted(self.seconds(number) for number in numbers))
        return percentile(ordered, 0.99) * 1000 if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One failure of one instance behind one proxy. Durations are seconds, latencies ms; -1: it did not happen."""

    proxy: str
    fault: str
    gets: int
    gets_failed: int
    posts: int
    posts_failed: int
    begun: int
    """Of those that failed, answers that had begun."""
    tries: int
    """That went to the instance while it was bad."""
    posts_twice: int
    until_quiet: float
    """From the failure to the last request that failed or was late because of it."""
    until_back: float
    """From its end until the instance had half of its fair share."""
    p99_before: float
    p99: float
    rate: float
    """Requests that were answered or failed, per second."""
    codes: dict[int, int]
    """How those that failed ended."""


def read_records(path: Path) -> list[Record]:
    """What an instance was asked."""
    data = path.read_bytes() if path.exists() else b""
    return list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))


def twice(records: Iterable[Record]) -> int:
    """How many POSTs came to a service more than once."""
    seen = Counter(number for _, number, post in records if post)
    return sum(1 for count in seen.values() if count > 1)


def back(story: Story, bad: Sequence[Record], everyone: int, recovered: float, end: float) -> float:
    """Seconds until the instance gets half of a fair share again, -1 if it does not before `end`."""
    times = sorted(when for when, number, _ in bad if when >= recovered and story.due(number) >= recovered)
    fair = story.rate * WINDOW / everyone
    at = recovered
    while at + WINDOW <= end:
        if sum(1 for when in times if at <= when < at + WINDOW) >= fair / 2:
            return at - recovered
        at += STRIDE
    return -1.0


def outcome(
    proxy: str,
    fault: str,
    story: Story,
    records: Sequence[Sequence[Record]],
    bad: int,
    times: tuple[float, float],
    dead_tries: int | None,
) -> Outcome:
    """Put it together. `times`: when the failure began and ended; `dead_tries`: of an instance that cannot count."""
    began, ended = times
    last = story.due(len(story.codes))
    concerned = story.between(began, last)
    failed = [number for number in concerned if story.failed(number)]
    during = story.between(began, ended)
    bothered = [number for number in during if story.failed(number) or story.seconds(number) > LATE]
    posts_failed = sum(1 for number in failed if is_post(number))
    posts = sum(1 for number in concerned if is_post(number))
    tries = sum(1 for _, number, _ in records[bad] if began <= story.due(number) < ended)
    finished = [end for end in story.ends if end]
    span = max(finished) - story.began if finished else 1.0
    return Outcome(
        proxy=proxy,
        fault=fault,
        gets=len(concerned) - posts,
        gets_failed=len(failed) - posts_failed,
        posts=posts,
        posts_failed=posts_failed,
        begun=sum(1 for number in failed if story.codes[number] in (CUT_BEGUN, TIMEOUT_BEGUN)),
        tries=tries if dead_tries is None else dead_tries,
        posts_twice=twice(record for each in records for record in each),
        until_quiet=max((story.due(number) - began for number in bothered), default=0.0),
        until_back=back(story, records[bad], len(records), ended, last),
        p99_before=story.p99(story.between(began - 1.5, began)),
        p99=story.p99(during),
        rate=len(finished) / span,
        codes=dict(Counter(story.codes[number] for number in failed)),
    )
