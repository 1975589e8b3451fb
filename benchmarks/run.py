"""One run: starts what is installed, checks each with a request, measures in turns A B A B, ends everything."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import MAIN_ROW, LoadError, Row, Sample, run_fixed_rate, run_wrk
from benchmarks.memory import SLOW_RATE, MeasureError, download, idle_cost, upload
from benchmarks.origin import SIZES, SMALL, UPLOAD, Origin
from benchmarks.peers import GATEWAY, HERE, Peer, Place, admin_port
from benchmarks.process import (
    LOAD_CORE,
    PROXY_CORE,
    NotReadyError,
    Running,
    accepts,
    answers,
    ask,
    free_port,
    start,
    wait_ready,
)
from benchmarks.results import DIRECT, Results

WARM_UP_SECONDS = 1.0
FALLBACK_RATE = 5000.0
IDLE_CONNECTIONS = 10_000
STARTS = 3
WINDOWS = 7
"""Windows of the latency run, at the least: on a shared machine some are spoilt, and the median of few is too."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A proxy that answers, or the origin itself."""

    peer: Peer
    port: int
    running: Running

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Run it for the block, and freeze it after: the timers of those that wait would disturb who is measured."""
        self.running.wake()
        try:
            yield
        finally:
            if self.peer.name != DIRECT:
                self.running.rest()


def direct(origin: Origin) -> Standing:
    """The origin as if it were a proxy: the measure of all others."""
    return Standing(Peer(DIRECT, "the service itself", str, lambda _place: []), origin.port, origin.running)


@contextmanager
def standing(peer: Peer, folder: Path, origin_port: int, second: int = 0) -> Iterator[Standing]:
    """Start a proxy and wait until it is ready; it ends with the block.

    Raises NotReadyError.
    """
    folder.mkdir(parents=True)
    place = Place(folder, free_port(), origin_port, second)
    running = start(peer.name, peer.command(place), PROXY_CORE, folder, dict(peer.environ))
    try:
        if peer.ready_path:
            wait_ready(running, lambda: answers(admin_port(folder), peer.ready_path), 0.005)
        else:
            wait_ready(running, lambda: accepts(place.port))
        yield Standing(peer, place.port, running)
    finally:
        running.stop()


def verify(it: Standing) -> None:
    """Ask for what will be measured: the small answer, and an upload.

    Raises NotReadyError.
    """
    headers = dict(it.peer.headers)
    try:
        status, body = ask(it.port, "GET", SMALL, headers)
        if (status, len(body)) != (200, SIZES[SMALL]):
            raise NotReadyError(f"GET was answered with {status} and {len(body)} bytes")
        if it.peer.refuses_strangers and ask(it.port, "GET", SMALL, {})[0] != 401:
            raise NotReadyError("a request without a token was not refused")
        if not it.peer.small_only and (status := ask(it.port, "POST", UPLOAD, headers, bytes(1 << 20))[0]) != 204:
            raise NotReadyError(f"an upload was answered with {status}")
    except (OSError, http.client.HTTPException) as fault:
        raise NotReadyError(f"it did not answer: {fault}") from fault


def raise_every_one(
    stack: ExitStack,
    peers: Sequence[Peer],
    folder: Path,
    origin: Origin,
    results: Results,
    say: Callable[[str], None],
    check: Callable[[Standing], None] = verify,
) -> list[Standing]:
    """Start and check each proxy that is installed; note the others."""
    these = []
    for peer in peers:
        if missing := peer.missing():
            results.absent[peer.name] = missing
            continue
        try:
            it = stack.enter_context(standing(peer, folder / peer.name, origin.port, origin.second))
            check(it)
        except (NotReadyError, OSError) as fault:
            results.faults.append(f"{peer.name} was not measured: {fault}")
            continue
        these.append(it)
        say(f"{peer.name} answers ({peer.about})")
        it.running.rest()
    return these


class Run:
    """The measurements on what stands; says what it does as it goes."""

    def __init__(self, results: Results, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self._results = results
        self._rounds = rounds
        self._seconds = seconds
        self._say = say

    def rates(self, these: Sequence[Standing], rows: Sequence[Row], warm_up: Row = MAIN_ROW) -> None:
        """The highest rate of each in each row, in turns."""
        for it in these:
            self._guarded(it, partial(self._wrk, it, warm_up, WARM_UP_SECONDS))
        for row in rows:
            able = [it for it in these if not it.peer.small_only or (row.kind == "get" and row.size == SIZES[SMALL])]
            for number in range(1, self._rounds + 1):
                self._say(f"{row.name}, round {number} of {self._rounds}")
                for it in able:
                    self._guarded(it, partial(self._rate, it, row))

    def _wrk(self, it: Standing, row: Row, seconds: float) -> Sample:
        return run_wrk(row, it.port, it.running.process.pid, it.peer.headers, seconds)

    def _rate(self, it: Standing, row: Row) -> None:
        sample = self._wrk(it, row, self._seconds)
        self._results.samples[row.name][it.peer.name].append(sample)
        if sample.errors:
            self._results.faults.append(f"{it.peer.name}, {row.name}: wrk counted errors {sample.errors}")

    def latency(self, these: Sequence[Standing]) -> None:
        """Latency of each at half of the gateway's peak, in turns."""
        peak = self._results.rate(MAIN_ROW.name, GATEWAY.name)
        if peak is None:
            self._results.faults.append(f"the gateway's peak is not known: latency at {FALLBACK_RATE:,.0f} requests/s")
        rate = round(peak / 2, -2) if peak else FALLBACK_RATE
        windows = max(self._rounds, WINDOWS)
        for number in range(1, windows + 1):
            self._say(f"latency at {rate:,.0f} requests/s, window {number} of {windows}")
            for it in these:
                self._guarded(it, partial(self._latency, it, rate))

    def _latency(self, it: Standing, rate: float) -> None:
        self._results.latency[it.peer.name].append(run_fixed_rate(it.port, it.peer.headers, rate, self._seconds))

    def idle(self, these: Sequence[Standing], folder: Path, origin: Origin) -> None:
        """Memory of an idle connection at each, started anew: what earlier load has left free would hide the cost."""
        for peer in [it.peer for it in these if not it.peer.small_only]:
            self._say(f"{IDLE_CONNECTIONS:,} idle connections at {peer.name}")
            try:
                with standing(peer, folder / f"{peer.name}-idle", origin.port) as it:
                    pid = it.running.process.pid
                    self._results.idle_kib[peer.name] = idle_cost(it.port, pid, dict(peer.headers), IDLE_CONNECTIONS)
            except (NotReadyError, MeasureError) as fault:
                self._results.faults.append(f"{peer.name}, idle connections: {fault}")

    def starts(self, folder: Path, origin: Origin) -> None:
        """Seconds from the start of the gateway to the first 200 of its readiness."""
        self._say("start to ready")
        for number in range(STARTS):
            began = time.monotonic()
            try:
                with standing(GATEWAY, folder / f"start-{number}", origin.port):
                    self._results.start_seconds.append(time.monotonic() - began)
            except NotReadyError as fault:
                self._results.faults.append(f"start: {fault}")
                return

    def streams(self, folder: Path, origin: Origin) -> None:
        """Memory of a fresh gateway while a gigabyte goes through it slowly, down and up."""
        self._say("1 GiB download to a slow reader")
        self._stream("download", folder / "download", origin.port, download)
        self._say("1 GiB upload to a slow reader")
        port = free_port()
        sink = start("sink", [sys.executable, str(HERE / "slow_sink.py"), str(port), str(SLOW_RATE)], LOAD_CORE, folder)
        try:
            wait_ready(sink, lambda: accepts(port))
            self._stream("upload", folder / "upload", port, upload)
        except NotReadyError as fault:
            self._results.faults.append(f"the slow sink: {fault}")
        finally:
            sink.stop()

    def _stream(self, name: str, folder: Path, origin_port: int, measure: Callable[[int, int], float]) -> None:
        try:
            with standing(GATEWAY, folder, origin_port) as it:
                self._results.streams_mib[name] = measure(it.port, it.running.process.pid)
        except (NotReadyError, MeasureError) as fault:
            self._results.faults.append(f"{name}: {fault}")

    def _guarded(self, it: Standing, measure: Callable[[], object]) -> None:
        """One proxy's failure is a note, the others go on."""
        try:
            with it.awake():
                measure()
        except (LoadError, OSError) as fault:
            self._results.faults.append(f"{it.peer.name}: {fault}")
