"""A Redis of our own, that can be killed, stopped, filled and slowed down."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.integration.kit.process import Child, free_port, program
from tests.integration.kit.waiting import until


class Redis:
    """A server on a port that stays the same, whatever happens to the process."""

    def __init__(self, folder: Path, *options: str, saved: bool = False) -> None:
        """`saved`: what has been answered survives the process."""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if saved else ["--appendonly", "no"]
        self._options = ["--bind", "127.0.0.1", "--save", "", *keeping, *options]
        self.start()

    @property
    def url(self) -> str:
        """For `gateway.store`."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [program("redis-server"), "--port", str(self.port), "--dir", str(self.folder), *self._options]
        self.child = Child(command, self.folder)
        until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        assert self.child.running(), self.child.output.read_text()
        try:
            return self.ask("PING") == b"PONG"
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.child.signal(signal.SIGKILL)
        self.child.ended()

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self.child.running():
            self.child.signal(signal.SIGCONT)
        self.child.stop()

    def ask(self, *command: str) -> bytes:
        """The first line of the answer to a command, without its mark. Raises `OSError`."""
        with self.connected() as connection:
            return ask(connection, *command)

    def connected(self) -> socket.socket:
        """A connection of our own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def set(self, name: str, value: str | int) -> None:
        """`CONFIG SET`."""
        assert self.ask("CONFIG", "SET", name, str(value)) == b"OK"

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def ask(connection: socket.socket, *command: str) -> bytes:
    """The first line of the answer to a command, without its mark. Raises `OSError`."""
    parts = [b"$%d\r\n%b\r\n" % (len(each), each.encode()) for each in command]
    connection.sendall(b"*%d\r\n%b" % (len(parts), b"".join(parts)))
    data = b""
    while b"\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            raise ConnectionResetError
        data += more
    return data.partition(b"\r\n")[0][1:]


@contextmanager
def killed(redis: Redis) -> Iterator[None]:
    """It is gone at once, and comes back."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def paused(redis: Redis) -> Iterator[None]:
    """It takes connections and says nothing."""
    redis.child.signal(signal.SIGSTOP)
    yield
    redis.child.signal(signal.SIGCONT)
