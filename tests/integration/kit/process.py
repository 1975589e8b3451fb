"""Child processes that cannot outlive the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType


def program(name: str) -> str:
    """Where a program is that `make test` installs."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    assert path is not None, f"{name} is not installed; tests/install.sh does it"
    return path


_kept: deque[socket.socket] = deque(maxlen=256)
"""What keeps the ports that were given out last."""


def free_port() -> int:
    """A port that nobody listens on, and that is given to nobody else who asks the kernel for one: neither to another
    run of these tests, which would answer in place of a program that is only starting, nor to a connection.

    Whoever is told its number can listen there, with `SO_REUSEADDR`, which is what servers do.
    """
    keeping = socket.socket()
    keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeping.bind(("127.0.0.1", 0))
    _kept.append(keeping)
    port: int = keeping.getsockname()[1]
    return port


class Child:
    """A program under our eyes; `errors` and `output` are files with what it said."""

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        open_files: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`open_files`: how many it may have; 0: as many as we."""
        self.errors = folder / "stderr"
        self.output = folder / "stdout"
        around = ["setpriv", "--pdeathsig", "KILL"]
        if open_files:
            around += ["prlimit", f"--nofile={open_files}:{open_files}"]
        with self.errors.open("wb") as errors, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*around, *map(str, command)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, within: float = 20.0) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(within)

    def stop(self) -> None:
        """End it, whatever it is doing, and wait for that."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def resident(self) -> int:
        """Bytes of memory it has in use."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("it has ended")

    def descriptors(self) -> int:
        """Files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
