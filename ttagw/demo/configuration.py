"""The gateway's configuration for the demo: the public routes of TTA over wherever the four services listen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ALL = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Public:
    """A public route: `rewrite` "" leaves the path as it is, `timeout` is a duration of the configuration."""

    name: str
    path: str
    service: str
    methods: tuple[str, ...]
    timeout: str
    rewrite: str = ""


ROUTES = (
    Public("auth", "/api/v1/auth/*", "authentication", ("GET", "POST"), "10s", "/auth/v1/*"),
    Public("players", "/api/v1/players/*", "player-experience", ALL, "30s"),
    Public("characters", "/api/v1/characters/*", "player-experience", ALL, "30s"),
    Public("worlds", "/api/v1/worlds/*", "player-experience", ALL, "30s"),
    Public("sessions", "/api/v1/sessions/*", "core-gameplay", ALL, "60s", "/gameplay/v1/sessions/*"),
    Public("gameplay", "/api/v1/gameplay/*", "core-gameplay", ALL, "45s", "/gameplay/v1/*"),
    Public("agents", "/api/v1/agents/*", "agent-orchestration", ("GET", "POST", "PUT"), "120s"),
)


def render(listen: int, admin: int, services: Mapping[str, int], access_log: Path) -> str:
    """Return the TOML: ports of the gateway and its admin side, the port of each service by name, the access log."""
    parts = [
        "[gateway]",
        'name = "demo"',
        f'listen = ["tcp:{listen}:interface=127.0.0.1"]',
        f'admin = "tcp:{admin}:interface=127.0.0.1"',
        'drain = "2s"',
        "",
        "[log]",
        f"access = {_text(str(access_log))}",
        "",
    ]
    for name, port in services.items():
        parts += [f"[services.{name}]", f'instances = ["http://127.0.0.1:{port}"]', ""]
    for route in ROUTES:
        parts += _table(route)
    return "\n".join(parts)


def _table(route: Public) -> list[str]:
    lines = [
        "[[routes]]",
        f"name = {_text(route.name)}",
        f"path = {_text(route.path)}",
        f"service = {_text(route.service)}",
        f"methods = [{', '.join(_text(method) for method in route.methods)}]",
        f"timeout = {_text(route.timeout)}",
        'auth = "none"',
    ]
    return [*lines, f"rewrite = {_text(route.rewrite)}", ""] if route.rewrite else [*lines, ""]


def _text(value: str) -> str:
    """Quote for TOML: a JSON string is one, but for a literal DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
