"""The gateway's configuration for the demo: the public routes of TTA over wherever the four services listen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ttagw.demo.issuer import ALGORITHM, AUDIENCE, ISSUER

ROUTES = """\
[[routes]]
name = "login"
path = "/api/v1/auth/login"
methods = ["POST"]
service = "authentication"
rewrite = "/auth/v1/login"
auth = "none"
login = "username"
class = "high"
limits = ["per-ip"]
timeout = "10s"

[[routes]]
name = "refresh"
path = "/api/v1/auth/refresh"
methods = ["POST"]
service = "authentication"
rewrite = "/auth/v1/refresh"
auth = "none"
class = "high"
limits = ["per-ip"]
timeout = "10s"

[[routes]]
name = "auth"
path = "/api/v1/auth/*"
methods = ["GET", "POST"]
service = "authentication"
rewrite = "/auth/v1/*"
class = "high"
limits = ["per-user", "per-ip"]
timeout = "10s"

[[routes]]
name = "players"
path = "/api/v1/players/*"
methods = ["GET"]
service = "player-experience"
roles = ["therapist", "admin"]
mfa = true
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "players-new"
path = "/api/v1/players/*"
methods = ["POST"]
service = "player-experience"
roles = ["admin"]
permissions = ["manage_users"]
mfa = true
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "player"
path = "/api/v1/players/{player_id}/*"
methods = ["GET", "POST", "PUT", "PATCH"]
service = "player-experience"
roles = ["patient", "therapist"]
owner = "player_id"
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "player-delete"
path = "/api/v1/players/{player_id}/*"
methods = ["DELETE"]
service = "player-experience"
roles = ["patient"]
permissions = ["delete_own_data"]
owner = "player_id"
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "characters"
path = "/api/v1/characters/*"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
service = "player-experience"
roles = ["patient"]
permissions = ["manage_own_characters"]
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "worlds"
path = "/api/v1/worlds/*"
methods = ["GET"]
service = "player-experience"
roles = ["patient", "therapist", "moderator"]
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "worlds-change"
path = "/api/v1/worlds/*"
methods = ["POST", "PUT", "PATCH", "DELETE"]
service = "player-experience"
roles = ["therapist"]
permissions = ["manage_therapeutic_content"]
mfa = true
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "30s"

[[routes]]
name = "sessions"
path = "/api/v1/sessions/*"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
service = "core-gameplay"
rewrite = "/gameplay/v1/sessions/*"
roles = ["patient", "therapist"]
permissions = ["access_therapeutic_content"]
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "60s"

[[routes]]
name = "gameplay"
path = "/api/v1/gameplay/*"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
service = "core-gameplay"
rewrite = "/gameplay/v1/*"
roles = ["patient", "therapist"]
permissions = ["access_therapeutic_content"]
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "45s"

[[routes]]
name = "agents"
path = "/api/v1/agents/*"
methods = ["GET"]
service = "agent-orchestration"
roles = ["admin", "therapist"]
mfa = true
class = "therapeutic"
limits = ["per-user", "per-ip"]
timeout = "120s"

[[routes]]
name = "agents-change"
path = "/api/v1/agents/*"
methods = ["POST", "PUT"]
service = "agent-orchestration"
roles = ["admin"]
permissions = ["manage_system_config"]
mfa = true
class = "low"
limits = ["per-user", "per-ip"]
timeout = "120s"
"""
"""The routes as etc/ttagw.toml has them."""

LIMITS = """\
[limits.per-user]
rate = "100/min"
burst = 200
key = ["user"]
roles = { therapist = 2.0, admin = 3.0, researcher = 3.0 }
classes = { therapeutic = 2.0 }

[limits.per-ip]
rate = "50/s"
burst = 100
key = ["ip"]

[classes.crisis]
reserved = 0.2
ceiling = 0.5
rate = "600/min"
"""
"""And its limits and classes."""


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
        "[[auth.issuers]]",
        f'issuer = "{ISSUER}"',
        f'audience = ["{AUDIENCE}"]',
        f'algorithms = ["{ALGORITHM}"]',
        f'jwks_url = "http://127.0.0.1:{services["authentication"]}/.well-known/jwks.json"',
        'role_map = { player = "patient", clinician = "therapist" }',
        "",
    ]
    for name, port in services.items():
        parts += [f"[services.{name}]", f'instances = ["http://127.0.0.1:{port}"]', ""]
    return "\n".join([*parts, ROUTES, LIMITS])


def _text(value: str) -> str:
    """Quote for TOML: a JSON string is one, but for a literal DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
