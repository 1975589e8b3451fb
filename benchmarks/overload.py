"""What happens to people in a crisis, and to all others, when ten times as many requests come as a service can do.

A service with a fixed capacity, the gateway in front of it, and open loops: a few crisis requests all the time, and
beside them nothing, as much as there is room for, ten times that, and half of it; then a flood on the crisis path
itself, from one address.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateways import gateway, services
from benchmarks.heard import Heard, Listening
from benchmarks.peers import HERE
from benchmarks.process import LOAD_CORE, accepts, free_port, start, wait_ready
from benchmarks.streams import Stream

SLOTS, TAKES = 6, 0.04
CAPACITY = SLOTS / TAKES
"""Requests a second, at best."""
IN_FLIGHT = 64
"""Requests that the gateway is told to have under way: about ten times as many as the service works on at once, as
the default of 1,000 is for services of a usual size. The rest is found out by latency."""
CRISIS = 20.0
OVER, UNDER, STEADY = 10.0, 0.5, 0.9
"""Times the capacity: overload, what is left when it stops, and what comes beside the flood."""
SHARES: Mapping[str, float] = {"therapeutic": 0.3, "normal": 0.4, "low": 0.3}
"""Of what is not crisis, by class."""
GOOD = 1.0
"""Seconds within which an answer is of use."""
WARM_UP = 1.0
REST = 8.0
"""Seconds that are watched after overload, at the least: fewer could not show that it took longer than it may."""
WINDOW = 0.5
SLOW = 2.0
"""Times the unloaded p99: slower than that is not back to normal."""
SOMEBODY, CROWD, FLOOD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""Addresses: one in a crisis, all others, and the one that floods the crisis path."""

ROUTE = """
[[routes]]
name = "{name}"
path = "/{name}"
rewrite = "/work"
service = "work"
auth = "none"
class = "{name}"
timeout = "10s"
limits = [{limits}]
"""
POLICIES = """
[admission]
in_flight = {in_flight}
[classes.crisis]
reserved = 0.2
[fallbacks.help.regions.US]
text = "You are not alone. Call or text 988."
hotline = "988"
"""


@dataclass(frozen=True, slots=True)
class Overload:
    """Latencies are ms, rates requests/s; `back` is in seconds, infinite where it did not come back."""

    unloaded_p99: float
    loaded_p99: float
    crisis: int
    crisis_lost: dict[str, int]
    peak: float
    goodput: float
    shares: dict[str, float]
    """By class, the share in per cent that got a good answer under overload."""
    back: float
    before_flood: float
    in_flood: float
    """Of other classes."""
    beside_flood_lost: dict[str, int]
    """Of crisis requests from another address."""
    flood: dict[str, int]
    """How the flood was answered."""
    others: dict[str, int]
    """How those that are not crisis ended under overload."""
    late: float
    """As in `Heard`."""

    @property
    def crisis_ratio(self) -> float:
        """How many times the unloaded p99 the loaded one is."""
        return self.loaded_p99 / self.unloaded_p99 if self.unloaded_p99 else float("inf")

    @property
    def goodput_share(self) -> float:
        """Per cent of the peak."""
        return 100 * self.goodput / self.peak if self.peak else 0.0

    @property
    def flood_share(self) -> float:
        """Per cent of what other classes had before the flood."""
        return 100 * self.in_flood / self.before_flood if self.before_flood else 0.0

    def rows(self) -> list[list[str]]:
        """For the table."""
        return [
            ["crisis p99, nothing else", f"{self.unloaded_p99:.1f} ms"],
            [f"crisis p99, {OVER:g} x capacity", f"{self.loaded_p99:.1f} ms"],
            ["crisis requests lost", f"{counted(self.crisis_lost)} of {self.crisis:,}"],
            ["goodput at capacity", f"{self.peak:.1f}/s"],
            [f"goodput at {OVER:g} x capacity", f"{self.goodput:.1f}/s"],
            *[[f"good answers to {name}", f"{share:.1f} %"] for name, share in self.shares.items()],
            ["how others ended", counted(self.others)],
            ["back to normal after", f"{self.back:.2f} s"],
            ["goodput of other classes before a crisis flood", f"{self.before_flood:.1f}/s"],
            ["goodput of other classes in it", f"{self.in_flood:.1f}/s"],
            ["crisis requests of another address lost in it", counted(self.beside_flood_lost)],
            ["how the flood was answered", counted(self.flood)],
            ["a request was sent late by, at the most", f"{self.late * 1000:.0f} ms"],
        ]


def counted(counts: Mapping[str, int]) -> str:
    """Such as "503 overloaded: 7", the most frequent first; 0 for nothing."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name}: {count:,}" for name, count in ordered) or "0"


def crisis(at: float, seconds: float, ports: Sequence[int]) -> Stream:
    """A few requests in a crisis."""
    return Stream("crisis", "/crisis", ports, CRISIS, at, seconds, source=SOMEBODY)


def others(phase: str, rate: float, at: float, seconds: float, ports: Sequence[int], keys: int = 0) -> list[Stream]:
    """All other classes together at this rate."""
    return [
        Stream(f"{phase} {name}", f"/{name}", ports, rate * share, at, seconds, source=CROWD, keys=keys)
        for name, share in SHARES.items()
    ]


def good(heard: Heard, numbers: Sequence[int]) -> int:
    """How many of these got an answer that is of use."""
    return sum(1 for number in numbers if heard.codes[number] == 200 and heard.seconds(number) <= GOOD)


def done(heard: Heard, first: float, last: float) -> int:
    """How many answers that are of use came in `[first, last)`, seconds after the streams began."""
    began = heard.began - heard.stream.at
    in_time = (number for number in heard.all if began + first <= heard.ends[number] < began + last)
    return sum(1 for number in in_time if heard.codes[number] == 200 and heard.seconds(number) <= GOOD)


def lost(heard: Heard, numbers: Sequence[int]) -> dict[str, int]:
    """How these ended, where not with a 200."""
    return {name: count for name, count in heard.counts(numbers).items() if name != "200"}


def together(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sum."""
    names = {name for each in counts for name in each}
    return {name: sum(each.get(name, 0) for each in counts) for name in sorted(names)}


def back(these: Sequence[Heard], since: float, until: float, slow: float) -> float:
    """Seconds from `since` to the window after which all are well: every request has its 200, nine of ten within
    `slow` ms. Infinite if the last one is not.
    """
    windows = int((until - since) / WINDOW)
    unwell = [number for number in range(windows) if not _well(these, since + number * WINDOW, slow)]
    if not unwell:
        return 0.0
    return (unwell[-1] + 1) * WINDOW if unwell[-1] + 1 < windows else float("inf")


def _well(these: Sequence[Heard], first: float, slow: float) -> bool:
    for each in these:
        numbers = each.between(first - each.stream.at, first + WINDOW - each.stream.at)
        if each.good(numbers) < len(numbers) or each.percentile(0.9, numbers) > slow:
            return False
    return True


def outcome(load: Mapping[str, Heard], flood: Mapping[str, Heard], phase: float, rest: float) -> Overload:
    """Put it together from the two runs; each phase took `phase` seconds, but `rest` after overload."""
    one = load["crisis"]
    unloaded = one.percentile(0.99, one.between(0, phase))
    over = {name: load[f"over {name}"] for name in SHARES}
    after = [one, *(load[f"after {name}"] for name in SHARES)]

    def goodput(name: str, first: float) -> float:
        # What is answered when the phase is over was done after it, not in it.
        streams = [one, *(load[f"{name} {each}"] for each in SHARES)]
        return sum(done(each, first, first + phase) for each in streams) / phase

    def steady(first: float) -> float:
        return sum(done(flood[f"steady {each}"], first, first + phase) for each in SHARES) / phase

    beside = flood["crisis"]
    return Overload(
        unloaded_p99=unloaded,
        loaded_p99=one.percentile(0.99, one.between(2 * phase, 3 * phase)),
        crisis=len(one.all),
        crisis_lost=lost(one, one.all),
        peak=goodput("peak", phase),
        goodput=goodput("over", 2 * phase),
        shares={name: 100 * good(each, each.all) / len(each.all) for name, each in over.items()},
        back=back(after, 3 * phase, 3 * phase + rest, SLOW * unloaded),
        before_flood=steady(0),
        in_flood=steady(phase),
        beside_flood_lost=lost(beside, beside.between(phase, 2 * phase)),
        flood=flood["flood"].counts(flood["flood"].all),
        others=together([each.counts(each.all) for each in over.values()]),
        late=max(each.late for each in (*load.values(), *flood.values())),
    )


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """The service with a capacity; gives its port. Raises NotReadyError."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.capacity", str(port), str(SLOTS), str(TAKES)]
    running = start("service", command, LOAD_CORE, folder, {"PYTHONPATH": str(HERE.parent)})
    try:
        wait_ready(running, lambda: accepts(port))
        yield port
    finally:
        running.stop()


def policies(port: int, in_flight: int, limits: str = "") -> str:
    """What the gateway is told: a route for each class, all to the one service; `limits`: of those but crisis."""
    routes = [ROUTE.format(name=name, limits=limits if name in SHARES else "") for name in ("crisis", *SHARES)]
    return services("work", [port], 'fallback = "help"') + POLICIES.format(in_flight=in_flight) + "".join(routes)


def listen(streams: Sequence[Stream], folder: Path) -> dict[str, Heard]:
    """Run them to their end. Raises LoadError."""
    folder.mkdir()
    with Listening(streams, folder) as listening:
        return listening.heard()


def warm_up(ports: Sequence[int], folder: Path) -> None:
    """Let everything be opened and looked up once. Raises LoadError."""
    listen([crisis(0, WARM_UP, ports), *others("warm-up", UNDER * CAPACITY, 0, WARM_UP, ports, 1)], folder)


def run(folder: Path, phase: float, in_flight: int, say: Callable[[str], None]) -> Overload:
    """All of it, six phases. Raises NotReadyError, LoadError, OSError."""
    folder.mkdir()
    room = CAPACITY - CRISIS
    with ExitStack() as stack:
        port = stack.enter_context(service(folder))
        one = stack.enter_context(gateway(folder / "gateway", f"sqlite:{folder}/state.db", policies(port, in_flight)))
        ports = [one.port]
        warm_up(ports, folder / "warm-up")
        rest = max(phase, REST)
        say(f"crisis alone, {CAPACITY:g}/s, {OVER:g} times that, {UNDER:g} times that; {phase:g} s each")
        streams = [crisis(0, 3 * phase + rest, ports), *others("peak", room, phase, phase, ports)]
        streams += others("over", OVER * CAPACITY, 2 * phase, phase, ports)
        streams += others("after", UNDER * CAPACITY, 3 * phase, rest, ports)
        load = listen(streams, folder / "load")
        say(f"a flood of {OVER * CAPACITY:,.0f}/s on the crisis path")
        streams = [crisis(0, 2 * phase, ports), *others("steady", STEADY * room, 0, 2 * phase, ports)]
        streams += [Stream("flood", "/crisis", ports, OVER * CAPACITY, phase, phase, source=FLOOD)]
        return outcome(load, listen(streams, folder / "flood"), phase, rest)
