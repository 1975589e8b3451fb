"""Gateways for measurements of limits and overload: a configuration of a few lines, and a store of our own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import twistd
from benchmarks.process import ADDRESS, LOAD_CORE, PROXY_CORE, Running, answers, ask, free_port, start, wait_ready

HEAD = """
[gateway]
name = "{name}"
listen = ["tcp:{port}:backlog=4096:interface=127.0.0.1"]
admin = "tcp:{admin}:interface=127.0.0.1"
store = "{store}"
drain = "1s"

[http]
max_connections = 12000
keepalive_timeout = "10m"

[log]
access = "{folder}/access.log"
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that answers."""

    port: int
    admin: int
    running: Running

    def counters(self, name: str) -> dict[str, float]:
        """What a counter of several has counted, by its labels as they stand in the metrics; {} if it is not there."""
        lines = ask(self.admin, "GET", "/metrics", {})[1].decode().splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return {labels.removeprefix(name): float(value) for labels, _, value in found}


@contextmanager
def gateway(folder: Path, store: str, policies: str, name: str = "bench") -> Iterator[Gateway]:
    """Start one with `policies` (services, routes, limits) and wait until it is ready.

    Raises NotReadyError.
    """
    folder.mkdir(parents=True)
    port, admin = free_port(), free_port()
    path = folder / "ttagw.toml"
    path.write_text(HEAD.format(name=name, port=port, admin=admin, store=store, folder=folder) + policies)
    running = start(name, twistd(str(path)), PROXY_CORE, folder)
    try:
        wait_ready(running, lambda: answers(admin, "/health/ready"))
        yield Gateway(port, admin, running)
    finally:
        running.stop()


class Redis:
    """A server that can fail; its port stays the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.url = f"redis://{ADDRESS}:{self._port}"
        self._running = self._start()

    def _start(self) -> Running:
        command = ["redis-server", "--port", str(self._port), "--bind", ADDRESS, "--save", "", "--appendonly", "no"]
        running = start("redis", [*command, "--dir", str(self._folder)], LOAD_CORE, self._folder)
        wait_ready(running, self._answers)
        return running

    def _answers(self) -> bool:
        try:
            with socket.create_connection((ADDRESS, self._port), 1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """It is gone, with all that it knew."""
        self._running.process.kill()
        self._running.process.wait()

    def restart(self) -> None:
        """It comes back."""
        self.stop()
        self._running = self._start()

    def pause(self) -> None:
        """It accepts, and does not answer."""
        os.kill(self._running.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers."""
        os.kill(self._running.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self._running.stop()


def services(name: str, ports: Sequence[int], more: str = "") -> str:
    """A service in a configuration, without checks: here it never fails by itself."""
    instances = ", ".join(f'"http://{ADDRESS}:{port}"' for port in ports)
    return f'[services.{name}]\ninstances = [{instances}]\n{more}\n[services.{name}.health]\ntype = "none"\n'
