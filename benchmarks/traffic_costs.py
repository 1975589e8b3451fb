"""What limits, classes, admission and the guard cost a request: `python -m benchmarks.traffic_costs`.

In this process, without sockets: each part's own layers on one route, with requests of 1,000 addresses and users in
turns. Rounds alternate; the best of each counts, since whatever else runs here can only add.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from twisted.internet.task import Clock

from benchmarks import jwt_token
from benchmarks.resilience import ROUNDS, Work, service, timed
from ttagw.config import Config
from ttagw.config.loader import load
from ttagw.core.classes import TrafficClass
from ttagw.core.identity import Identity
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Enter, Layer, Leave
from ttagw.registry.events import Events
from ttagw.store.make import make_store
from ttagw.surroundings import Surroundings
from ttagw.testing import exchange, route
from ttagw.traffic import Traffic
from ttagw.traffic.part import Part

PEOPLE = 1000
NONE, ONE, TWO = "none", "one", "two"
CONFIGURATION = """
[gateway]
store = "memory:"
[services.up]
instances = ["http://127.0.0.1:1"]
[limits.per-ip]
rate = "1000000/s"
key = ["ip"]
[limits.per-user]
rate = "1000000/s"
key = ["user"]
[classes.crisis]
reserved = 0.2
[classes.crisis.claims]
crisis_state = ["acute"]
[admission]
in_flight = 1000
[abuse]
threshold = "200/min"
[[auth.issuers]]
issuer = "https://auth.tta.example"
audience = ["tta"]
algorithms = ["RS256"]
jwks_file = "<<keys>>"
""" + "".join(
    f'[[routes]]\nname = "{name}"\npath = "/{name}"\nservice = "up"\nlimits = [{limits}]\n'
    for name, limits in ((NONE, ""), (ONE, '"per-ip"'), (TWO, '"per-ip", "per-user"'))
)


@dataclass(frozen=True, slots=True)
class TrafficCosts:
    """Microseconds of processor time, the best round and the median; None where a part has nothing on the route."""

    one_limit: tuple[float, float] | None
    two_limits: tuple[float, float] | None
    two_limits_said: tuple[float, float] | None
    admission: tuple[float, float] | None
    classify: tuple[float, float] | None
    guard: tuple[float, float] | None

    def rows(self) -> list[list[str]]:
        """For the table."""
        named = [
            ("one limit: checked", self.one_limit),
            ("two limits: checked", self.two_limits),
            ("two limits: checked, and said in the answer", self.two_limits_said),
            ("admission: in and out", self.admission),
            ("class: found", self.classify),
            ("guard of addresses and users: in and out", self.guard),
        ]
        return [
            [name, *(("-", "-") if found is None else (f"{found[0]:.2f}", f"{found[1]:.2f}"))] for name, found in named
        ]


class Bench:
    """What decides about traffic, with people."""

    def __init__(self, folder: Path) -> None:
        path = folder / "ttagw.toml"
        path.write_text(CONFIGURATION.replace("<<keys>>", str(jwt_token.write_key_set(folder))))
        config: Config = load(str(path))
        clock = Clock()
        store = make_store("memory:", clock, time.monotonic, time.time, lambda: 0.5)
        self.traffic = Traffic(config, Surroundings(clock, store, Events(time.time), {"up": service()}))
        self.traffic.start()
        self.made: Exchange = exchange()
        self._people = [(f"10.{number >> 8}.{number & 255}.1", _somebody(f"user-{number}")) for number in range(PEOPLE)]

    def passing(self, layers: Sequence[Layer], name: str = NONE, *, out: bool = True) -> Work | None:
        """Requests through these layers on the route of this name, `out` again too; None where nothing is bound."""
        bound = route(name=name).bind(layers)
        enters = [each for each in bound.enters if each is not None]
        leaves = [each for each in reversed(bound.leaves) if each is not None] if out else []
        if not enters and not leaves:
            return None
        return self._requests(enters, leaves, name)

    def arriving(self) -> Work:
        """What `passing` does beside the layers."""
        return self._requests([], [], NONE)

    def _requests(self, enters: Sequence[Enter], leaves: Sequence[Leave], name: str) -> Work:
        made, people = self.made, self._people
        on = route(name=name)

        def work(calls: int) -> None:
            ends = made.on_end
            for client, identity in islice(cycle(people), calls):
                made.client, made.identity, made.route = client, identity, on
                made.rank, made.bypass, made.notes, made.respite = TrafficClass.NORMAL, "", None, 0.0
                for enter in enters:
                    if enter(made) is not None:
                        raise AssertionError("it has to wait, or is refused")
                reply = Reply(200, [], b"")
                for leave in leaves:
                    leave(made, reply)
                for end in ends:
                    end(made)
                ends.clear()

        return work


def _somebody(name: str) -> Identity:
    return Identity("token", name, ("patient",), ())


def measure(rounds: int = ROUNDS) -> TrafficCosts:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        limits, guard = bench.traffic.limits.layers(), [*_of(bench.traffic.abuse), *bench.traffic.abuse.of_users()]
        works = [
            bench.passing(limits, ONE, out=False),
            bench.passing(limits, TWO, out=False),
            bench.passing(limits, TWO),
            bench.passing(_of(bench.traffic.admission)),
            bench.passing(_of(bench.traffic.classes)),
            bench.passing(guard),
        ]
        there = [work for work in works if work is not None]
        idle, *found = timed([bench.arriving(), *there], rounds)
    taken = iter(found)
    return TrafficCosts(*[None if work is None else _over(next(taken), idle) for work in works])


def _of(part: Part) -> Sequence[Layer]:
    return part.layers()


def _over(times: Sequence[float], idle: Sequence[float]) -> tuple[float, float]:
    return min(times) - min(idle), median(times) - median(idle)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    for name, best, middle in measure(parser.parse_args().rounds).rows():
        print(f"{name:48}{best:>8} us best {middle:>8} us median")


if __name__ == "__main__":
    main()
