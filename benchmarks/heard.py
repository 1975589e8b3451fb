"""What the streams of streams.py have heard."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixed_rate import percentile
from benchmarks.load import LoadError
from benchmarks.peers import HERE
from benchmarks.process import LOAD_CORE
from benchmarks.streams import CUT, PATIENCE, REASON, TIMEOUT, UNSENT, Stream, began_file, write_plan

NAMES = {UNSENT: "not sent", CUT: "cut", TIMEOUT: "no answer"}


@dataclass(frozen=True, slots=True)
class Heard:
    """One stream: when each request was sent, ended, and how. `began`: when its first was due, in monotonic seconds."""

    stream: Stream
    began: float
    sent: Sequence[float]
    ends: Sequence[float]
    codes: Sequence[int]
    reasons: Sequence[str] = ()

    def due(self, number: int) -> float:
        """When this one was to be sent."""
        return self.began + number / self.stream.rate

    def seconds(self, number: int) -> float:
        """How long it took from when it was due; without an answer, for as long as a client waits."""
        answered = self.codes[number] > TIMEOUT
        return self.ends[number] - self.due(number) if answered else PATIENCE

    def between(self, first: float, last: float) -> range:
        """The numbers of those that were due in `[first, last)`, seconds after the stream began."""
        rate, total = self.stream.rate, len(self.codes)
        low, high = (min(total, max(0, -int(-each * rate // 1))) for each in (first, last))
        return range(low, max(low, high))

    @property
    def all(self) -> range:
        """All numbers."""
        return range(len(self.codes))

    @property
    def late(self) -> float:
        """Seconds that a request was sent after it was due, at the most: with much of it the machine had more to do."""
        return max((sent - self.due(number) for number, sent in enumerate(self.sent) if sent), default=0.0)

    def good(self, numbers: Iterable[int]) -> int:
        """How many of these were answered with 200."""
        return sum(1 for number in numbers if self.codes[number] == 200)

    def percentile(self, share: float, numbers: Iterable[int]) -> float:
        """Of how long these took, in ms, answered or not; 0 without any."""
        ordered = array("d", sorted(self.seconds(number) for number in numbers))
        return percentile(ordered, share) * 1000 if ordered else 0.0

    def name(self, code: int) -> str:
        """A code in words."""
        if code >= REASON:
            return self.reasons[code - REASON]
        return NAMES.get(code, str(code))

    def counts(self, numbers: Iterable[int]) -> dict[str, int]:
        """How these ended."""
        return {self.name(code): count for code, count in Counter(self.codes[number] for number in numbers).items()}


def read(path: Path, streams: Sequence[Stream]) -> dict[str, Heard]:
    """From the file that streams.py writes, by the name of the stream."""
    found = {}
    with path.open("rb") as file:
        head = json.loads(file.readline())
        for stream, total in zip(streams, head["totals"], strict=True):
            sent, ends, codes = array("d"), array("d"), array("H")
            for each in (sent, ends, codes):
                each.fromfile(file, total)
            found[stream.name] = Heard(stream, head["began"] + stream.at, sent, ends, codes, head["reasons"])
    return found


class Listening(AbstractContextManager["Listening"]):
    """The generator, on the core of the load, until all streams have ended."""

    def __init__(self, streams: Sequence[Stream], folder: Path) -> None:
        self._streams = streams
        self._file = folder / "heard"
        self._began = began_file(self._file)
        plan = folder / "plan"
        write_plan(streams, plan)
        command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.streams", str(plan)]
        self._process = subprocess.Popen([*command, str(self._file)], stderr=subprocess.PIPE, cwd=HERE.parent)

    def sleep_until(self, seconds: float) -> None:
        """Until so many seconds after its beginning. Raises LoadError when it ends before."""
        while not self._began.exists() or time.monotonic() < float(self._began.read_text()) + seconds:
            if self._process.poll() is not None:
                raise LoadError("the generator ended too early")
            time.sleep(0.01)

    def heard(self) -> dict[str, Heard]:
        """Wait for the end. Raises LoadError."""
        longest = max(each.at + each.seconds for each in self._streams)
        try:
            _, said = self._process.communicate(timeout=longest + 60)
        except subprocess.TimeoutExpired as fault:
            raise LoadError("the generator did not end") from fault
        if self._process.returncode:
            raise LoadError(said.decode(errors="replace").strip()[-200:])
        return read(self._file, self._streams)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
