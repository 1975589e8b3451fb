"""Processes under measurement: pinned to a core, with a log, ended when the run ends; what /proc knows of them."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
PROXY_CORE = 0
LOAD_CORE = 1
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 20.0


class NotReadyError(Exception):
    """A process ended or did not answer in time."""


@dataclass(slots=True)
class Running:
    """A started process and the file with what it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def rest(self) -> None:
        """Freeze it and all that came from it."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            for each in family(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, number)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 10 s."""
        if self.process.poll() is None:
            self.process.terminate()
            self.wake()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def reason(self) -> str:
        """Return the last line it printed, for people."""
        lines = [line for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "it printed nothing"


def start(name: str, command: Sequence[str], core: int, folder: Path, environ: dict[str, str] | None = None) -> Running:
    """Start `command` on one core (util-linux' taskset becomes the command: the pid stays)."""
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environ or {})},
        )
    return Running(name, process, path)


def wait_ready(running: Running, ready: Callable[[], bool], pause: float = 0.02) -> None:
    """Poll `ready`.

    Raises NotReadyError when the process ends or 20 s have passed.
    """
    limit = time.monotonic() + PATIENCE
    while not ready():
        if running.process.poll() is not None:
            raise NotReadyError(f"it ended: {running.reason()}")
        if time.monotonic() > limit:
            raise NotReadyError(f"no answer after {PATIENCE:g} s: {running.reason()}")
        time.sleep(pause)


def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    """Ask once over a new connection; returns status and body.

    Raises OSError, http.client.HTTPException.
    """
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answers(port: int, path: str, status: int = 200) -> bool:
    """Tell whether `path` is answered with `status` now."""
    try:
        return ask(port, "GET", path, {})[0] == status
    except (OSError, http.client.HTTPException):
        return False


def accepts(port: int) -> bool:
    """Tell whether something listens."""
    try:
        socket.create_connection((ADDRESS, port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sample:
        sample.bind((ADDRESS, 0))
        return int(sample.getsockname()[1])


def family(pid: int) -> list[int]:
    """Return `pid` and all that came from it and still run."""
    found = [pid]
    for each in found:
        for thread in Path(f"/proc/{each}/task").glob("*/children"):
            # A thread may have ended since it was listed.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(word) for word in thread.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time used so far, children included (/proc/PID/stat: 10 ms steps)."""
    total = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return total / TICKS


def resident_kib(pid: int) -> int:
    """Resident memory in KiB, children included (/proc/PID/status: shared pages count in each)."""
    total = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total
