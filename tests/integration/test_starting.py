"""What cannot start says so in one line and leaves nothing behind, in the foreground and as a daemon."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kit.gateway import TWISTD
from tests.integration.kit.process import free_port
from tests.integration.kit.toml import dump
from tests.integration.kit.waiting import until


@pytest.fixture
def busy() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether somebody else may listen there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("mode", [["-n"], ["--logfile=daemon.log"]], ids=["foreground", "daemon"])
def test_a_busy_port_ends_it(tmp_path: Path, busy: int, mode: list[str]) -> None:
    free = free_port()
    listen = [f"tcp:{port}:interface=127.0.0.1" for port in (free, busy)]
    (tmp_path / "ttagw.toml").write_text(dump({"gateway": {"listen": listen, "admin": ""}}))
    command = [TWISTD, *mode, "--pidfile=daemon.pid", "ttagw", "--config=ttagw.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    # twistd wraps what its child tells it, and prints it itself.
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "ttagw: " in line]
    assert f"tcp:{busy}:interface=127.0.0.1" in line
    assert "in use" in line
    assert not (tmp_path / "daemon.pid").exists()
    until(lambda: is_free(free), "the other port is free again")
