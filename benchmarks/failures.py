"""What clients notice when one of four instances fails: the gateway beside HAProxy and Envoy, one failure at a time.

Each run begins with everything started anew, so that nothing is left over from the run before; proxies take turns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outcome import Outcome, Story, outcome, read_records
from benchmarks.peers import HERE
from benchmarks.process import (
    LOAD_CORE,
    PROXY_CORE,
    NotReadyError,
    Running,
    accepts,
    answers,
    free_port,
    start,
    wait_ready,
)
from benchmarks.rivals import Ground, Rival, Timing

INSTANCES = 4
SETTLE = 1.5
"""Seconds in which a proxy gets to know its instances."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to fail: what is sent to the instance, and what ends it; None: it is started anew."""

    name: str
    begin: signal.Signals
    end: signal.Signals | None

    @property
    def kills(self) -> bool:
        """Whether nothing is left that could count."""
        return self.end is None


FAILURES = (
    Failure("killed", signal.SIGKILL, None),
    Failure("stopped", signal.SIGSTOP, signal.SIGCONT),
    Failure("500", signal.SIGUSR1, signal.SIGHUP),
    Failure("cut in the body", signal.SIGUSR2, signal.SIGHUP),
)


class Instances:
    """Four services; each failure has one of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ports = tuple(free_port() for _ in range(INSTANCES))
        self._running: list[Running] = []

    def start(self) -> None:
        """Start all. Raises NotReadyError."""
        for place in range(INSTANCES):
            self._running.append(self._start(place))
        for place in range(INSTANCES):
            self._wait(place)

    def _start(self, place: int) -> Running:
        command = [sys.executable, "-m", "benchmarks.instance", str(self.ports[place]), str(self.records(place))]
        environ = {"PYTHONPATH": str(HERE.parent)}
        return start(f"instance-{place}", command, LOAD_CORE, self._folder, environ)

    def _wait(self, place: int) -> None:
        wait_ready(self._running[place], lambda: accepts(self.ports[place]), 0.005)

    def records(self, place: int) -> Path:
        """The file in which an instance writes what it is asked."""
        return self._folder / f"records-{place}"

    def fail(self, place: int, failure: Failure) -> float:
        """Returns when, in monotonic seconds."""
        now = time.monotonic()
        process = self._running[place].process
        os.kill(process.pid, failure.begin)
        if failure.kills:
            process.wait()
        return now

    def heal(self, place: int, failure: Failure) -> float:
        """Returns when it was well again."""
        if failure.end is None:
            self._running[place] = self._start(place)
            self._wait(place)
            return time.monotonic()
        os.kill(self._running[place].process.pid, failure.end)
        return time.monotonic()

    def stop(self) -> None:
        """End all that run."""
        for each in self._running:
            each.stop()


@contextmanager
def proxy(rival: Rival, ground: Ground) -> Iterator[Running]:
    """Start a proxy and wait until a request gets through it. Raises NotReadyError."""
    running = start(rival.name, rival.command(ground), PROXY_CORE, ground.folder)
    try:
        wait_ready(running, lambda: answers(ground.port, "/f/0"))
        time.sleep(SETTLE)
        yield running
    finally:
        running.stop()


def one(rival: Rival, failure: Failure, folder: Path, timing: Timing, rate: float) -> Outcome:
    """One failure behind one proxy.

    Raises NotReadyError.
    """
    folder.mkdir(parents=True)
    place = FAILURES.index(failure) % INSTANCES
    with ExitStack() as stack:
        instances = Instances(folder)
        stack.callback(instances.stop)
        instances.start()
        ground = Ground(folder, free_port(), free_port(), instances.ports, timing)
        stack.enter_context(proxy(rival, ground))
        for each in range(INSTANCES):
            # What was asked to see whether anything answers does not belong to it.
            os.truncate(instances.records(each), 0)
        story = folder / "story"
        command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.numbered", str(ground.port)]
        command += [str(story), "--rate", str(rate), "--seconds", str(timing.whole)]
        load = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=HERE.parent)
        stack.callback(load.kill)
        time.sleep(timing.before)
        tries = rival.tries(ground, instances.ports[place]) if failure.kills else 0
        began = instances.fail(place, failure)
        time.sleep(timing.fault)
        dead = rival.tries(ground, instances.ports[place]) - tries if failure.kills else None
        ended = instances.heal(place, failure)
        _, said = load.communicate(timeout=timing.after + 60)
        if load.returncode:
            raise NotReadyError(f"the load ended: {said.decode(errors='replace').strip()[-200:]}")
        records = [read_records(instances.records(each)) for each in range(INSTANCES)]
        return outcome(rival.name, failure.name, Story.read(story), records, place, (began, ended), dead)


def run(
    rivals: Sequence[Rival], folder: Path, timing: Timing, rounds: int, rate: float, say: Callable[[str], None]
) -> Iterator[Outcome | str]:
    """Each failure behind each proxy, in turns; a text says what could not be measured."""
    for number in range(1, rounds + 1):
        for failure in FAILURES:
            for rival in rivals:
                say(f"an instance fails ({failure.name}) behind {rival.name}, round {number} of {rounds}")
                place = folder / f"{number}-{rival.name}-{FAILURES.index(failure)}"
                try:
                    yield one(rival, failure, place, timing, rate)
                except (NotReadyError, OSError, subprocess.TimeoutExpired) as fault:
                    yield f"{rival.name}, {failure.name}: {fault}"
