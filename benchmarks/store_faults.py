"""What requests notice of a Redis that is killed, restarted or paused while the load is on, below capacity and above.

Every request but those of crisis is counted in Redis by two limits that are never reached: one of its address, for
which the gateway may hold a share ready, and one of its own key, small enough that Redis is asked each time. What
is slower than in a run in which nothing happened to Redis, at the same time since its start, is the fault's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateways import Redis, gateway
from benchmarks.heard import Heard, Listening
from benchmarks.load import LoadError
from benchmarks.overload import CAPACITY, OVER, UNDER, counted, crisis, others, policies, service, together, warm_up
from benchmarks.process import NotReadyError

LIMITS = """
[limits.per-key]
rate = "99/s"
burst = 400
key = ["header:x-key"]
[limits.per-ip]
rate = "100000/s"
key = ["ip"]
"""
KEYS = 32
"""For each class, so that ten times the capacity is less for each key than it may have."""
SHED = "503 overloaded"
"""How one that is not crisis may end where there is more than can be done."""
RESTART = 0.3
"""Seconds that a restarted Redis is away."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to Redis, and what ends it after the phase; None: it has ended at once."""

    name: str
    begin: Callable[[Redis], None]
    end: Callable[[Redis], None] | None


def _restart(redis: Redis) -> None:
    redis.kill()
    time.sleep(RESTART)
    redis.restart()


def _nothing(_: Redis) -> None:
    """It stays well."""


CONTROL = Fault("well", _nothing, None)
FAULTS = (
    Fault("killed", Redis.kill, Redis.restart),
    Fault("restarted", _restart, None),
    Fault("paused", Redis.pause, Redis.go_on),
)


@dataclass(frozen=True, slots=True)
class StoreFault:
    """One fault under one load. Latencies are ms, p99.9; each phase is as long as the one before the fault."""

    fault: str
    load: float
    """Times the capacity."""
    before: float
    during: float
    after: float
    longest: float
    """In the fault and after it: the longest of all."""
    well: tuple[float, float]
    """As `during` and `after`, with a Redis that is well."""
    requests: int
    wrong: dict[str, int]
    """Ends from the fault on that were neither a 200 nor, with more than can be done and without a crisis, shed."""
    late: float
    """As in `Heard`."""

    @property
    def wait(self) -> float:
        """By how many ms it was longer than with a Redis that is well, in the fault or after it; 0 if it was not."""
        return max(0.0, self.during - self.well[0], self.after - self.well[1])

    @property
    def wrong_5xx(self) -> int:
        """Of those that ended wrongly, answers with 5xx, cut ones and none at all."""
        return sum(count for name, count in self.wrong.items() if not name.startswith("4"))

    def cells(self) -> list[str]:
        """For the table."""
        numbers = [self.before, self.during, self.after, *self.well, self.longest]
        cells = [
            f"{self.requests:,}",
            *(f"{number:.1f}" for number in numbers),
            f"{self.wait:.1f}",
            f"{self.late * 1000:.0f}",
        ]
        return [f"{self.fault}, {self.load:g} x capacity", *cells, counted(self.wrong)]


def outcome(
    fault: str, load: float, heard: Mapping[str, Heard], phase: float, well: tuple[float, float] | None = None
) -> StoreFault:
    """Put it together: before the fault, in it, and after it. `well`: None where nothing happens to Redis."""

    def between(first: float, last: float) -> list[tuple[Heard, range]]:
        return [(each, each.between(first, last)) for each in heard.values()]

    before, during, after = (between(number * phase, (number + 1) * phase) for number in range(3))
    concerned = between(phase, 3 * phase)
    later = (_percentile(during, 0.999), _percentile(after, 0.999))
    return StoreFault(
        fault=fault,
        load=load,
        before=_percentile(before, 0.999),
        during=later[0],
        after=later[1],
        longest=_percentile(concerned, 1.0),
        well=well or later,
        requests=sum(len(numbers) for _, numbers in concerned),
        wrong=together([_wrong(each, numbers, load) for each, numbers in concerned]),
        late=max(each.late for each in heard.values()),
    )


def _percentile(these: Sequence[tuple[Heard, range]], share: float) -> float:
    """Of all streams together, in ms."""
    ordered = sorted(each.seconds(number) for each, numbers in these for number in numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def _wrong(heard: Heard, numbers: range, load: float) -> dict[str, int]:
    may_be_shed = load > 1 and heard.stream.name != "crisis"
    right = {"200", SHED} if may_be_shed else {"200"}
    return {name: count for name, count in heard.counts(numbers).items() if name not in right}


def run(folder: Path, phase: float, in_flight: int, say: Callable[[str], None]) -> Iterator[StoreFault | str]:
    """Each fault under each load, everything started anew; a text says what could not be measured."""
    folder.mkdir()
    for load in (UNDER, OVER):
        well: tuple[float, float] | None = None
        for fault in (CONTROL, *FAULTS):
            say(f"Redis {fault.name}, {load:g} x capacity, {3 * phase:g} s")
            try:
                found = _one(fault, load, folder / f"{fault.name}-{load:g}", phase, in_flight, well)
            except (NotReadyError, LoadError, OSError) as wrong:
                yield f"Redis {fault.name}, {load:g} x capacity: {wrong}"
                if fault is CONTROL:
                    break
                continue
            if fault is CONTROL:
                well = (found.during, found.after)
            yield found


def _one(
    fault: Fault, load: float, folder: Path, phase: float, in_flight: int, well: tuple[float, float] | None
) -> StoreFault:
    folder.mkdir()
    with ExitStack() as stack:
        redis = Redis(folder / "redis")
        stack.callback(redis.stop)
        port = stack.enter_context(service(folder))
        told = policies(port, in_flight, '"per-key", "per-ip"') + LIMITS
        one = stack.enter_context(gateway(folder / "gateway", redis.url, told))
        ports = [one.port]
        warm_up(ports, folder / "warm-up")
        streams = [crisis(0, 3 * phase, ports), *others("all", load * CAPACITY, 0, 3 * phase, ports, KEYS)]
        listening = stack.enter_context(Listening(streams, folder))
        listening.sleep_until(phase)
        fault.begin(redis)
        if fault.end is not None:
            listening.sleep_until(2 * phase)
            fault.end(redis)
        return outcome(fault.name, load, listening.heard(), phase, well)
