"""Configurations of the proxies; `<<name>>` is filled in. Each has one worker and keeps connections to the origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TTAGW = """
[gateway]
name = "bench"
listen = ["tcp:<<port>>:backlog=4096:interface=127.0.0.1"]
admin = "tcp:<<admin>>:interface=127.0.0.1"
drain = "1s"

[http]
max_connections = 12000
max_body = "2GiB"
body_timeout = "60s"
keepalive_timeout = "10m"

[upstream]
idle_timeout = "60s"

[log]
access = "<<folder>>/access.log"

[services.player-experience]
instances = ["http://127.0.0.1:<<origin>>"<<others>>]

[services.authentication]
instances = ["http://127.0.0.1:<<origin>>"]

[services.core-gameplay]
instances = ["http://127.0.0.1:<<origin>>"]

[services.agent-orchestration]
instances = ["http://127.0.0.1:<<origin>>"]

[[routes]]
name = "auth"
path = "/api/v1/auth/*"
service = "authentication"
rewrite = "/auth/v1/*"
methods = ["GET", "POST"]
timeout = "10s"
auth = "none"

[[routes]]
name = "players"
path = "/api/v1/players/*"
service = "player-experience"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
timeout = "10m"
<<callers>>

[[routes]]
name = "sessions"
path = "/api/v1/sessions/*"
service = "core-gameplay"
rewrite = "/gameplay/v1/sessions/*"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
timeout = "60s"
auth = "none"

[[routes]]
name = "gameplay"
path = "/api/v1/gameplay/*"
service = "core-gameplay"
rewrite = "/gameplay/v1/*"
methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
timeout = "45s"
auth = "none"

[[routes]]
name = "agents"
path = "/api/v1/agents/*"
service = "agent-orchestration"
methods = ["GET", "POST", "PUT"]
timeout = "120s"
auth = "none"
<<issuers>>
"""

EVERYBODY = 'auth = "none"'
CALLERS = """auth = "required"
roles = ["patient", "therapist"]"""
ISSUERS = """
[auth]
cache = <<cache>>

[[auth.issuers]]
issuer = "<<issuer>>"
audience = ["<<audience>>"]
algorithms = ["<<algorithm>>"]
jwks_file = "<<keys>>"
role_map = { player = "patient" }
"""

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 20000;
error_log <<folder>>/error.log; pid <<folder>>/nginx.pid;
events { worker_connections 19000; }
http {
  access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path <<folder>>/body; proxy_temp_path <<folder>>/proxy;
  fastcgi_temp_path <<folder>>/f; uwsgi_temp_path <<folder>>/u; scgi_temp_path <<folder>>/s;
  upstream origin { server 127.0.0.1:<<origin>>; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:<<port>> backlog=4096;
    location / {
      client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 12000
  no strict-limits
  log stdout format raw local0
defaults
  mode http
  timeout connect 3s
  timeout client 600s
  timeout server 60s
  timeout http-keep-alive 600s
  http-reuse always
frontend public
  bind 127.0.0.1:<<port>> backlog 4096
  option forwardfor
<<checks>>
  default_backend origin
backend origin
<<backend>>
  server one 127.0.0.1:<<origin>> pool-max-conn 256
"""

HAPROXY_JWT = """
  log global
  option httplog
  stick-table type string len 64 size 100k expire 60s store http_req_rate(60s)
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify(txn.alg,"<<key>>") -m int 1 }
  http-request set-var(txn.sub) var(txn.token),jwt_payload_query('$.sub')
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 2000000000 }
"""

HAPROXY_TOKENS = """
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.alg) -m str <<algorithm>> }
  http-request deny deny_status 401 unless { var(txn.iss) -m str <<issuer>> }
  http-request deny deny_status 401 unless { var(txn.aud) -m str <<audience>> }
  http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify(txn.alg,"<<key>>") -m int 1 }
  http-request del-header authorization
"""

CADDY = """
{
  admin off
  auto_https off
}
http://127.0.0.1:<<port>> {
  reverse_proxy 127.0.0.1:<<origin>> {
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
"""

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TOKENS = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def envoy(
    port: int,
    *origins: int,
    filters: Sequence[Mapping[str, Any]] = (),
    public: Mapping[str, Any] | None = None,
    upstream: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Envoy's bootstrap, with `filters` before its router, and more about its listener (`public`) and its cluster
    (`upstream`); its circuit breaker is opened wide enough for 1,000 connections."""
    routes = {
        "name": "all",
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "600s"}}],
            }
        ],
    }
    connections = {
        "@type": MANAGER,
        "stat_prefix": "public",
        "route_config": routes,
        "http_filters": [*filters, {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        **(public or {}),
    }
    listener = {
        "name": "public",
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]}
        ],
    }
    thresholds = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "3s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(origin)}} for origin in origins]}],
        },
        **(upstream or {}),
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def envoy_tokens(issuer: str, audience: str, keys: str, cache: int, **more: object) -> dict[str, Any]:
    """Envoy's filter that lets only good tokens through, with room for `cache` of them in its cache."""
    provider = {
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"filename": keys},
        "require_expiration": True,
        "jwt_cache_config": {"jwt_cache_size": cache},
        **more,
    }
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "tta"}}]
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {"@type": TOKENS, "providers": {"tta": provider}, "rules": rules},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
