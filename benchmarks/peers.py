"""The proxies that are measured: how to tell whether each is installed, and how to start it in front of the origin.

All run on one core with one worker, keep connections to the origin open, and do what their name says; the gateway
routes by the table of the demo, balances, writes an access log and counts metrics.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import jwt_token, templates
from benchmarks.process import free_port

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is to run: its folder for files, the port to listen on, the port of the origin and another one."""

    folder: Path
    port: int
    origin: int
    second: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy. `missing` says what to install, "" when it is there; `command` writes the files it needs."""

    name: str
    about: str
    missing: Callable[[], str]
    command: Callable[[Place], list[str]]
    headers: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = ""
    refuses_strangers: bool = False
    small_only: bool = False


def needs(program: str, advice: str) -> Callable[[], str]:
    """Return a check for a program on the path."""
    return lambda: "" if shutil.which(program) else advice


def write(place: Place, name: str, template: str, **values: object) -> str:
    """Fill a template into a file of the place; `<<name>>` stands for a value."""
    text = template
    about: dict[str, object] = {"folder": place.folder, "port": place.port, "origin": place.origin}
    about |= {"second": place.second, "others": "", "backend": "", **values}
    for key, value in about.items():
        text = text.replace(f"<<{key}>>", str(value))
    path = place.folder / name
    path.write_text(text)
    return str(path)


def gateway(place: Place, callers: str = templates.EVERYBODY, issuers: str = "", others: str = "") -> list[str]:
    """The gateway, by the command that the README gives; `callers` says who may, `issuers` by whose tokens, `others`
    which instances there are beside the first."""
    admin = free_port()
    (place.folder / "admin-port").write_text(str(admin))
    values = {"admin": admin, "callers": callers, "issuers": issuers, "others": others}
    return twistd(write(place, "ttagw.toml", templates.TTAGW, **values))


def twistd(configuration: str) -> list[str]:
    """The command that starts the gateway with this file."""
    return [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "ttagw", "--config", configuration]


def nginx(place: Place) -> list[str]:
    """Nginx without a log."""
    return ["nginx", "-e", str(place.folder / "error.log"), "-c", write(place, "nginx.conf", templates.NGINX)]


def haproxy(place: Place) -> list[str]:
    """HAProxy with one thread and no log."""
    return ["haproxy", "-db", "-f", write(place, "haproxy.cfg", templates.HAPROXY, checks="")]


def haproxy_jwt(place: Place) -> list[str]:
    """HAProxy doing a gateway's work: token verified, rate tracked for each subject, requests logged to a file."""
    checks = templates.HAPROXY_JWT.replace("<<key>>", str(jwt_token.write_public_key(place.folder)))
    return ["haproxy", "-db", "-f", write(place, "haproxy.cfg", templates.HAPROXY, checks=checks)]


def envoy_binary() -> str:
    """Find Envoy: the wheel's own binary (its command is a Python wrapper), or a program on the path; "" if none."""
    found = importlib.util.find_spec("envoy")
    roots = [Path(found.origin).parent] if found and found.origin else []
    program = shutil.which("envoy")
    if program is not None:
        roots += Path(program).resolve().parent.parent.glob("lib/python3*/site-packages/envoy")
    inside = [str(root / "_bin" / "envoy") for root in roots if (root / "_bin" / "envoy").exists()]
    return inside[0] if inside else program or ""


def envoy(place: Place) -> list[str]:
    """Envoy with one worker and no log."""
    return run_envoy(place, templates.envoy(place.port, place.origin))


def run_envoy(place: Place, bootstrap: dict[str, Any]) -> list[str]:
    """The command that starts Envoy with this."""
    path = write(place, "envoy.json", json.dumps(bootstrap))
    return [envoy_binary(), "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", path]


def caddy(place: Place) -> list[str]:
    """Caddy on one processor, without a log."""
    return ["caddy", "run", "--adapter", "caddyfile", "--config", write(place, "Caddyfile", templates.CADDY)]


def node(script: str) -> Callable[[Place], list[str]]:
    """A Node proxy of `benchmarks/node`."""
    return lambda place: ["node", str(HERE / "node" / script), str(place.port), str(place.origin)]


def needs_node(*packages: str) -> Callable[[], str]:
    """Return a check for Node with packages."""
    advice = "node, and: npm install --prefix benchmarks"
    folders = [HERE / "node_modules" / package for package in packages]
    return lambda: "" if shutil.which("node") and all(folder.is_dir() for folder in folders) else advice


def limit(place: Place) -> list[str]:
    """The hot path alone: what Twisted can give at most, without errors, streaming and limits."""
    return [sys.executable, str(HERE / "limit.py"), str(place.port), str(place.origin)]


GATEWAY = Peer(
    "ttagw",
    "this gateway: routing, balancing, access log to a file, metrics",
    lambda: "" if Path(sys.executable).with_name("twistd").exists() else "pip install -e .",
    gateway,
    ready_path="/health/ready",
)
PEERS = (
    GATEWAY,
    Peer(
        "limit",
        "the hot path alone, see benchmarks/limit.py",
        lambda: "" if (HERE / "limit.py").exists() else "benchmarks/limit.py",
        limit,
        headers={"Authorization": "Bearer x"},
        small_only=True,
    ),
    Peer("haproxy", "plain proxy, no log", needs("haproxy", "apt-get install haproxy"), haproxy),
    Peer(
        "haproxy-jwt",
        "RS256 token verified, rate tracked by subject, log to a file",
        needs("haproxy", "apt-get install haproxy"),
        haproxy_jwt,
        headers={"Authorization": f"Bearer {jwt_token.make()}"},
        refuses_strangers=True,
    ),
    Peer("envoy", "plain proxy, no log", lambda: "" if envoy_binary() else "pip install '.[bench]'", envoy),
    Peer("nginx", "plain proxy, no log", needs("nginx", "apt-get install nginx"), nginx),
    Peer("caddy", "plain proxy, no log", needs("caddy", "apt-get install caddy"), caddy, environ={"GOMAXPROCS": "1"}),
    Peer("http-proxy", "Node", needs_node("http-proxy"), node("http_proxy.js")),
    Peer("fastify", "Node, @fastify/http-proxy", needs_node("fastify", "@fastify/http-proxy"), node("fastify.js")),
)


def admin_port(folder: Path) -> int:
    """The admin port that the gateway in `folder` was given."""
    return int((folder / "admin-port").read_text())
