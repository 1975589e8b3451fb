"""`ttagw demo` as a new user starts it: the real command, the real gateway, the real services."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = [str(Path(sys.executable).with_name("ttagw")), "demo"]
PATIENCE = 60.0


@dataclass
class Demo:
    """A running demo and what it has printed until it said how to stop it."""

    process: subprocess.Popen[str]
    text: str

    @property
    def port(self) -> int:
        return int(self._find(r"gateway answers on http://127\.0\.0\.1:(\d+)"))

    @property
    def admin(self) -> int:
        return int(self._find(r"http://127\.0\.0\.1:(\d+)/metrics"))

    @property
    def preparation(self) -> str:
        """What is to be pasted first."""
        return self._find(r"in a shell:\n\n((?:  .*\n)+)")

    @property
    def commands(self) -> dict[str, str]:
        """What there is to try, by what it shows."""
        lines = self._find(r"Then try:\n\n((?:  .*\n)+)").replace("\\\n", "")
        return {line[2:24].rstrip(): line[24:] for line in lines.splitlines()}

    @property
    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _find(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[1]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--admin-port", "0", "--log-dir", str(tmp_path / "logs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    try:
        yield Demo(process, "".join(lines))
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def all_gone(pids: list[int]) -> bool:
    limit = time.monotonic() + PATIENCE
    while not all(is_gone(pid) for pid in pids) and time.monotonic() < limit:
        os.sched_yield()
    return all(is_gone(pid) for pid in pids)


STATUS = {
    "nobody: 401": 401,
    "Mira about herself": 200,
    "Dr. Lee about Mira": 200,
    "Mira about Odo: 403": 403,
    "Ada about Mira: 403": 403,
    "Ada about agents": 200,
    "a new session": 201,
    "a problem document": 404,
}
"""What is answered to the printed commands that show the head of the answer."""


def test_what_it_prints_to_paste_does_work(demo: Demo) -> None:
    said: dict[str, str] = {}
    for label, command in demo.commands.items():
        if "kill" not in command:
            done = subprocess.run(
                ["sh", "-c", demo.preparation + command], capture_output=True, text=True, timeout=PATIENCE
            )
            assert done.returncode == 0, (label, done.stderr)
            said[label] = done.stdout
    assert {label: int(said[label].split()[1]) for label in STATUS} == STATUS
    assert '"name": "Mira"' in said["Dr. Lee about Mira"]
    assert '"missing": "care relationship"' in said["Mira about Odo: 403"].replace('":"', '": "')
    assert '"path": "/gameplay/v1/sessions"' in said["a new session"]
    assert said["a streamed story"].startswith("The lantern flickers.")
    assert "application/problem+json" in said["a problem document"]
    assert "# TYPE" in said["the metrics"]
    assert len(demo.commands) == len(said) + 1 == len(STATUS) + 3


def test_the_services_see_who_was_verified_and_no_token(demo: Demo, ask: Callable[..., Any], tmp_path: Path) -> None:
    login = ask(demo.port, "POST", "/api/v1/auth/login", {"username": "mira"})
    assert len(login.headers.get_all("Set-Cookie")) == 2
    fields = {"X-User-ID": "forged", "Authorization": f"Bearer {login.json['access_token']}"}
    player = ask(demo.port, "GET", "/api/v1/players/1", headers=fields)
    seen = {name.lower(): value for name, value in player.json["seen"]["headers"].items()}
    assert seen["x-request-id"] == player.headers["X-Request-ID"]
    assert (seen["x-user-id"], seen["x-user-role"]) == ("1", "patient")
    assert "authorization" not in seen
    fresh = ask(demo.port, "POST", "/api/v1/auth/refresh", {"refresh_token": login.json["refresh_token"]})
    fields = {"Authorization": f"Bearer {fresh.json['access_token']}"}
    assert ask(demo.port, "POST", "/api/v1/auth/logout", {}, fields).json["goodbye"] is True
    fields = {"Authorization": f"Bearer {login.json['refresh_token']}"}
    assert ask(demo.port, "POST", "/api/v1/auth/logout", {}, fields).status == 401
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"access.log", "gateway.log", "core-gameplay.log"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it_calmly(demo: Demo, number: signal.Signals) -> None:
    children = demo.children
    assert len(children) == 5
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE) == 0
    assert all(is_gone(pid) for pid in children)
    assert demo.process.stdout is not None
    assert "all its processes have stopped" in demo.process.stdout.read()


def test_no_child_survives_a_demo_that_is_killed(demo: Demo) -> None:
    children = demo.children
    assert len(children) == 5
    demo.process.kill()
    demo.process.wait(PATIENCE)
    assert all_gone(children)


def test_a_service_that_dies_is_told_and_the_gateway_answers_for_it(demo: Demo, ask: Callable[..., Any]) -> None:
    victim = int(demo._find(r"kill (\d+); curl"))
    os.kill(victim, signal.SIGKILL)
    assert demo.process.stdout is not None
    assert demo.process.stdout.readline().startswith("core-gameplay ended by itself (signal SIGKILL). The gateway goes")
    token = ask(demo.port, "POST", "/api/v1/auth/login", {"username": "mira"}).json["access_token"]
    fields = {"Authorization": f"Bearer {token}"}
    gone = ask(demo.port, "GET", "/api/v1/sessions/1", headers=fields)
    # A request that comes before the next check finds it out by itself.
    assert (gone.status, gone.headers["ttagw-reason"] in ("upstream_unavailable", "no_instance")) == (503, True)
    assert ask(demo.port, "GET", "/api/v1/players/1", headers=fields).status == 200


def test_a_gateway_that_dies_ends_the_demo_with_its_last_lines(demo: Demo) -> None:
    children = demo.children
    os.kill(children[-1], signal.SIGKILL)
    assert demo.process.wait(PATIENCE) == 1
    assert all_gone(children)
    assert demo.process.stdout is not None
    assert "gateway ended by itself (signal SIGKILL)" in demo.process.stdout.read()


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_busy_port_is_one_line_that_names_port_and_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = "--admin-port" if option == "--port" else "--port"
        done = subprocess.run([*COMMAND, option, port, other, "0"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"port {port} is in use; choose another with {option}" in done.stderr
