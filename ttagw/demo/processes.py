"""Child processes that end with their parent, each with a log file of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
PR_SET_PDEATHSIG = 1  # prctl(2)
POLL = 0.05
TAIL_LINES = 8


class ChildDiedError(Exception):
    """A child process ended by itself."""

    def __init__(self, child: Child, code: int) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        super().__init__(f"{child.name} ended by itself ({how})")
        self.child = child


class TooSlowError(Exception):
    """A child did not become ready in time."""

    def __init__(self, child: Child, seconds: float) -> None:
        super().__init__(f"{child.name} was not ready after {seconds:g} s")
        self.child = child


class StoppedError(Exception):
    """The parent was asked to stop while it waited."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child and the file with all it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = TAIL_LINES) -> list[str]:
        """Return the last lines of the log."""
        return self.log.read_text("utf-8", "replace").splitlines()[-lines:]


class Family:
    """The children of one parent: started in order, ended in reverse order, all ended when the block ends."""

    def __init__(self, folder: Path, logs: Path, asked_to_stop: Callable[[], bool]) -> None:
        """Children run in `folder` and log to `logs`; `asked_to_stop` is looked at while waiting."""
        self._folder = folder
        self._logs = logs
        self._asked_to_stop = asked_to_stop
        self._children: list[Child] = []
        self._end_with_parent = _death_pact()

    def __enter__(self) -> Family:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None) -> Child:
        """Start a child in a session of its own, so that a Ctrl-C in the terminal reaches only the parent."""
        path = self._logs / f"{name}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the commands are our own
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=environ,
                start_new_session=True,
                preexec_fn=self._end_with_parent,
            )
        child = Child(name, process, path)
        self._children.append(child)
        return child

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return next(each.process.pid for each in self._children if each.name == name)

    def wait_until(self, child: Child, ready: Callable[[], T | None], seconds: float) -> T:
        """Poll `ready` until it returns something, and return that.

        Raises ChildDiedError when any child ends, TooSlowError after `seconds`, StoppedError when asked to stop.
        """
        limit = time.monotonic() + seconds
        while (found := ready()) is None:
            self.check()
            if time.monotonic() > limit:
                raise TooSlowError(child, seconds)
            time.sleep(POLL)
        return found

    def check(self) -> None:
        """Raise ChildDiedError when a child has ended, StoppedError when asked to stop."""
        if self._asked_to_stop():
            raise StoppedError
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise ChildDiedError(child, code)

    def lost(self) -> list[ChildDiedError]:
        """The children that have ended by themselves since the last time; they are not looked at any more."""
        found = [ChildDiedError(each, code) for each in self._children if (code := each.process.poll()) is not None]
        self._children = [each for each in self._children if each.process.returncode is None]
        return found

    def stop(self, grace: float = 8.0) -> None:
        """End the children one by one, last started first: SIGTERM, and SIGKILL after `grace` seconds."""
        while self._children:
            process = self._children.pop().process
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _death_pact() -> Callable[[], None]:
    """Return what a new child calls so that the kernel kills it when its parent is gone, even by SIGKILL.

    It takes signals, too, whatever its parent ignores.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def agree() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Whoever was started in the background may have been told to ignore this, and would hand that on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if os.getppid() != parent:  # the parent was gone before the pact held
            os._exit(1)

    return agree
