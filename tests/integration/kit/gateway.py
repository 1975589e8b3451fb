"""A gateway as a child process, and what it says about itself."""

from __future__ import annotations

import http.client
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.kit.process import Child, free_port
from tests.integration.kit.toml import dump
from tests.integration.kit.waiting import until

TWISTD = Path(sys.executable).with_name("twistd")
HTTP = {"header_timeout": "3s", "body_timeout": "2s", "keepalive_timeout": "20s"}
UPSTREAM = {"connect_timeout": "1s", "response_timeout": "1s", "idle_timeout": "1s", "queue_timeout": "500ms"}

OWN_SECTIONS = ("gateway", "http", "upstream", "log")

Line = dict[str, Any]


def route(path: str = "/*", service: str = "s", name: str = "all", **more: Any) -> dict[str, Any]:
    """A route that asks for no token."""
    return {"name": name, "path": path, "auth": "none", **({} if "split" in more else {"service": service}), **more}


UNCHECKED: dict[str, Any] = {
    "health": {"type": "none"},
    "breaker": {"consecutive_failures": 1_000_000, "minimum_calls": 1_000_000},
}
"""Nobody looks at how it is, and no failure has consequences: for tests of single exchanges."""


def service(*ports: int, host: str = "127.0.0.1", scheme: str = "http", **more: Any) -> dict[str, Any]:
    """A service with an instance on each of these ports, `UNCHECKED` unless `more` says otherwise."""
    return {"instances": [f"{scheme}://{host}:{port}" for port in ports], **UNCHECKED, **more}


class Gateway:
    """A running gateway. `port` speaks plain HTTP/1.1, `secure_port` TLS (0 without a certificate)."""

    def __init__(
        self,
        folder: Path,
        services: Mapping[str, Any],
        routes: Sequence[Mapping[str, Any]] = (),
        *,
        certificate: tuple[Path, Path] | None = None,
        open_files: int = 0,
        access: str = "",
        around: Sequence[str | Path] = (),
        **sections: Mapping[str, Any],
    ) -> None:
        """`sections` are added to, and win over, what tests usually need; `access` names the access log; `around` is a
        command that runs the one it is given.
        """
        self.folder = folder
        self.access = Path(access) if access else folder / "access.log"
        self._document = {"services": dict(services), "routes": [dict(each) for each in routes or [route()]]}
        self._sections = sections
        self._certificate = certificate
        self._open_files = open_files
        self._around = around
        self._start()

    # Life

    def _start(self) -> None:
        """Somebody may have been told to listen at the same port, so a start may need more than one try."""
        for _ in range(5):
            self.spawn()
            until(lambda: self.ready() or not self.child.running(), "the gateway is ready or has ended")
            if self.child.running():
                self._settle()
                return
            if b"in use" not in self.child.errors.read_bytes():
                break
        raise AssertionError(self.child.errors.read_text())

    def _settle(self) -> None:
        """On a busy machine an embedded store can take longer than a gateway waits before it is ready."""
        store = self._sections.get("gateway", {}).get("store", "sqlite:")
        seen = self._sections.get("metrics", {}).get("enabled", True)
        if seen and store.startswith(("sqlite:", "memory:")):
            until(
                lambda: not self.child.running() or self.metric("ttagw_revocations_state", state="current"),
                "what is revoked is known",
            )

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        self._write()
        self.child = Child(
            [*self._around, TWISTD, "-n", "--pidfile=", "ttagw", "--config", self.folder / "ttagw.toml"],
            self.folder,
            open_files=self._open_files,
        )

    def _write(self) -> None:
        self.port, self.admin_port, self.secure_port = free_port(), free_port(), 0
        listen = [f"tcp:{self.port}:interface=127.0.0.1"]
        if self._certificate is not None:
            self.secure_port = free_port()
            cert, key = self._certificate
            listen.append(f"ssl:{self.secure_port}:interface=127.0.0.1:privateKey={key}:certKey={cert}")
        sections = self._sections
        document = {
            "gateway": {
                "listen": listen,
                "admin": f"tcp:{self.admin_port}:interface=127.0.0.1",
                "drain": "300ms",
                **sections.get("gateway", {}),
            },
            "http": {**HTTP, **sections.get("http", {})},
            "upstream": {**UPSTREAM, **sections.get("upstream", {})},
            "log": {"access": str(self.access), **sections.get("log", {})},
            **{name: table for name, table in sections.items() if name not in OWN_SECTIONS},
            **self._document,
        }
        (self.folder / "ttagw.toml").write_text(dump(document))

    def stop(self) -> None:
        """End it."""
        self.child.stop()

    def kill(self) -> None:
        """End it with no chance to say or write anything."""
        self.child.signal(signal.SIGKILL)
        self.child.ended()

    def restart(self) -> None:
        """Start it again in the same folder, on other ports."""
        self.stop()
        self._start()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # What the admin port says

    def admin(self, path: str) -> tuple[int, bytes]:
        """Status and body of an admin resource."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether `/health/ready` says so."""
        try:
            return self.admin("/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have (at least) these labels."""
        families = text_string_to_metric_families(self.admin("/metrics")[1].decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum([each.value for each in samples if labels.items() <= each.labels.items()])

    # What it writes

    def lines(self) -> list[Line]:
        """Every complete line of the access log (JSON)."""
        text = self.access.read_bytes()
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def line(self, fact: Callable[[Line], bool] | str) -> Line:
        """The first line, once it is written, with this request id or for which `fact` is true."""
        wanted = (lambda line: line["request_id"] == fact) if isinstance(fact, str) else fact
        found = until(lambda: [line for line in self.lines() if wanted(line)], "a line in the access log")
        return found[0]

    def said(self) -> list[Line]:
        """The application log."""
        text = self.child.errors.read_bytes()
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines() if line.startswith(b"{")]

    def failures(self) -> list[Line]:
        """What the application log says about things that nobody foresaw."""
        return [line for line in self.said() if line["level"] in ("error", "critical") or "failure" in line]
