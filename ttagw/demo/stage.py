"""The demo on its stage: four services and the gateway in front, as children of one parent."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from ttagw.demo.configuration import render
from ttagw.demo.ports import ADDRESS, DOMAIN_PORTS, HeldPort, is_free
from ttagw.demo.processes import Child, Family

PATIENCE = 20.0


class NotInstalledError(Exception):
    """The `twistd` command is not beside this Python."""


def start_services(family: Family, not_these: Collection[int], say: Callable[[str], None]) -> dict[str, int]:
    """Start the four services, each on its own port or on a free one; return their ports once all listen."""
    children: dict[str, Child] = {}
    for name, wanted in DOMAIN_PORTS.items():
        port = wanted if wanted not in not_these and is_free(wanted) else 0
        # What is free now may be another demo's by the time that the service listens.
        children[name] = family.start(name, [sys.executable, "-m", "ttagw.demo.services", name, str(port), "--or-any"])
    ports: dict[str, int] = {}
    for name, child in children.items():
        ports[name] = family.wait_until(child, partial(_announced, child.log), PATIENCE)
        say(f"  {name:<20} http://{ADDRESS}:{ports[name]}")
    return ports


def start_gateway(
    family: Family, folder: Path, logs: Path, held: tuple[HeldPort, HeldPort], services: dict[str, int]
) -> None:
    """Start the gateway on the two held ports (public, admin) and return when it says that it is ready."""
    public, admin = held
    path = folder / "ttagw.toml"
    path.write_text(render(public.number, admin.number, services, logs / "access.log"), "utf-8")
    public.release()
    admin.release()
    gateway = family.start("gateway", [twistd(), "-n", "--pidfile=", "ttagw", "--config", str(path)])
    family.wait_until(gateway, lambda: _ready(admin.number), PATIENCE)


def twistd() -> str:
    """Return the `twistd` that belongs to this Python.

    Raises NotInstalledError.
    """
    beside = Path(sys.executable).with_name("twistd")
    found = str(beside) if beside.exists() else shutil.which("twistd")
    if found is None:
        raise NotInstalledError("twistd is not installed beside this Python; install ttagw with pip first")
    return found


def _announced(log: Path) -> int | None:
    """Find the port in the one JSON line that a service prints when it listens."""
    for line in log.read_text("utf-8", "replace").splitlines(keepends=True):
        if line.startswith('{"service"') and line.endswith("\n"):
            return int(json.loads(line)["port"])
    return None


def _ready(port: int) -> bool | None:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=1.0)
    try:
        connection.request("GET", "/health/ready")
        return True if connection.getresponse().status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
