"""Every key that was promised is known to the model, with the default that was promised."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from pydantic import BaseModel

from ttagw.config.model import Config
from ttagw.config.schema import fields, model_of, written_default

KEYS = """
gateway: name listen admin store workers trusted_proxies proxy_protocol drain
http: max_connections max_uri max_headers max_header_bytes max_body header_timeout body_timeout keepalive_timeout
upstream: connect_timeout response_timeout idle_timeout max_connections queue_timeout keepalive retries retry_budget
upstream: retry_statuses
services: require_dependencies
services: instances balance hash_key dependencies fallback slow_start tls health breaker
services.instances: url weight zone
services.tls: ca cert key server_name
services.health: type path interval timeout unhealthy_after healthy_after expect
services.breaker: consecutive_failures failure_ratio minimum_calls window slow_call slow_ratio open_for half_open_calls
routes: name path hosts methods headers service split mirror rewrite auth roles permissions mfa owner class limits
routes: timeout max_body websocket screen validate cache cors set_request_headers set_response_headers
routes: remove_response_headers compress hedge
routes: dry_run login
routes.cors: origins credentials max_age
routes: cost
limits: rate burst key roles classes on_store_failure dry_run
limits: concurrent bandwidth
classes: reserved rate
classes: ceiling claims
admission: in_flight adaptive
admission: queue queue_time memory
abuse: threshold block_for allow deny
abuse: longest connections slow_readers
auth: leeway cache query_token forward_token issuers roles api_keys upstream
auth: longest_life certificates care break_glass lockout
auth.issuers: issuer audience algorithms jwks_url jwks_file secret_file jwks_refresh role_claim role_map
auth.issuers: permissions_claim care_claim
auth.issuers: user_prefix
auth.roles: permissions inherits
auth.roles: break_glass
auth.api_keys: file
auth.upstream: secret_file
auth.certificates: ca clients
auth.certificates.clients: name match roles permissions
auth.care: service path timeout cache
auth.break_glass: lasts most
auth.lockout: failures window lasts
websocket: max_connections per_user max_message rate ping ping_timeout idle origins resume resume_messages session
websocket.idle: normal therapeutic crisis
websocket.session: target maximum remind_every
safety: lexicon fields service budget on_failure refuse_at escalate_at alerts
safety.alerts: webhooks acknowledge_within
safety.alerts: secret_file
safety.alerts.acknowledge_within: critical danger warning
fallbacks: status region_header default_region regions
fallbacks.regions: text hotline
audit: path pseudonym_key_file retention
log: access format level
metrics: enabled
tracing: endpoint sample
dashboard: enabled
"""
DEFAULTS = """
gateway = { listen = ["tcp:8000:interface=127.0.0.1"], admin = "tcp:8001:interface=127.0.0.1" }
gateway = { store = "sqlite:ttagw.db", workers = 1, trusted_proxies = [], proxy_protocol = false, drain = "30s" }
http = { max_connections = 10000, max_uri = "8KiB", max_headers = 100, max_header_bytes = "16KiB", max_body = "10MiB" }
http = { header_timeout = "10s", body_timeout = "30s", keepalive_timeout = "75s" }
upstream = { connect_timeout = "3s", response_timeout = "30s", idle_timeout = "1m", max_connections = 256 }
upstream = { queue_timeout = "1s", keepalive = "1m", retries = 2, retry_budget = 0.2 }
services = { balance = "p2c", hash_key = "session", dependencies = [], fallback = "", slow_start = "30s" }
services.health = { type = "http", path = "/health", interval = "10s", timeout = "2s" }
services.health = { unhealthy_after = 3, healthy_after = 2, expect = [200] }
services.breaker = { consecutive_failures = 5, failure_ratio = 0.5, minimum_calls = 10 }
services.breaker = { window = "30s", slow_call = "10s", slow_ratio = 1.0, open_for = "1m", half_open_calls = 3 }
routes = { hosts = [], methods = [], headers = {}, mirror = "", rewrite = "", auth = "required", class = "normal" }
routes = { roles = [], permissions = [], mfa = false, owner = "", dry_run = false, login = "" }
routes = { limits = [], websocket = false, remove_response_headers = [], compress = false, hedge = "", cache = "" }
routes = { cost = 1 }
limits = { key = ["ip"], roles = {}, classes = {}, on_store_failure = "local", dry_run = false }
classes = { reserved = 0.0, claims = {} }
admission = { in_flight = 1000, adaptive = true }
admission = { queue = 100, queue_time = "500ms", memory = 0 }
abuse = { threshold = "200/min", block_for = "15m", allow = [], deny = [] }
abuse = { longest = "1d", connections = 0, slow_readers = 0 }
auth = { leeway = "30s", cache = 10000, query_token = "access_token", forward_token = false }
auth = { longest_life = "30d" }
auth.certificates = { ca = "", clients = [] }
auth.certificates.clients = { roles = ["service"], permissions = [] }
auth.care = { service = "", path = "/care/{caller}/{person}", timeout = "1s", cache = "1m" }
auth.break_glass = { lasts = "15m", most = 20 }
auth.lockout = { failures = 5, window = "15m", lasts = "30m" }
auth.issuers = { algorithms = ["RS256", "ES256", "EdDSA"], jwks_refresh = "10m", role_claim = "role" }
websocket = { max_connections = 10000, per_user = 5, max_message = "64KiB", rate = "10/2s", ping = "25s" }
websocket = { ping_timeout = "20s", resume = "5m", resume_messages = 1000 }
websocket.idle = { normal = "15m", therapeutic = "30m", crisis = "1h" }
websocket.session = { target = "30m", maximum = "1h", remind_every = "15m" }
safety = { lexicon = "", budget = "200ms", on_failure = "lexicon", refuse_at = "", escalate_at = "danger" }
safety.alerts.acknowledge_within = { critical = "5m", danger = "15m", warning = "1h" }
audit = { path = "audit.jsonl", pseudonym_key_file = "", retention = "7y" }
log = { access = "-", format = "json", level = "info" }
metrics = { enabled = true }
tracing = { endpoint = "", sample = 0.1 }
dashboard = { enabled = true }
"""


def table(path: str) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for name in path.split("."):
        inner = model_of(dict(fields(model))[name].annotation)
        assert inner is not None
        model = inner
    return model


def promised() -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    for line in KEYS.strip().splitlines():
        path, _, names = line.partition(": ")
        keys.setdefault(path, set()).update(names.split())
    return keys


@pytest.mark.parametrize("path", promised())
def test_the_keys_are_those_that_were_promised(path: str) -> None:
    assert {name for name, _ in fields(table(path))} == promised()[path]


def test_the_sections_are_those_that_were_promised() -> None:
    assert {name for name, _ in fields(Config)} == {path.partition(".")[0] for path in promised()}


@pytest.mark.parametrize("line", DEFAULTS.strip().splitlines())
def test_the_defaults_are_those_that_were_promised(line: str) -> None:
    path = line.partition(" = ")[0]
    values: Any = tomllib.loads(line)
    for name in path.split("."):
        values = values[name]
    defaults = {name: written_default(field) for name, field in fields(table(path)) if name in values}
    assert defaults == values
