"""What does not exist yet is refused, never accepted and ignored."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from ttagw.config.available import accepted, check, missing_feature
from ttagw.config.faults import name_of
from ttagw.config.validation import validate

GONE = "not available in this version; remove the key"

# What stands in the file, what is missing, and the values that are taken all the same. "service" and "route" begin
# tables with all that must be there.
ROWS = """
gateway.workers = 2                         | several workers are | 1
gateway.proxy_protocol = true               | the PROXY protocol is | false
route mirror = "a"                          | mirroring is | ""
route websocket = true                      | WebSocket sessions are | false
route screen = ["request"]                  | safety screening is | []
route validate = "x.json"                   | request validation is | ""
route cache = "60s"                         | caching is | ""
route cors.origins = ["https://a"]          | CORS is |
route compress = true                       | compression is | false
websocket.ping = "25s"                      | WebSocket sessions are |
websocket.idle.normal = "1m"                | WebSocket sessions are |
safety.budget = "200ms"                     | safety screening is |
safety.service = "a"                        | safety screening is | ""
safety.refuse_at = "danger"                 | safety screening is | ""
safety.escalate_at = "danger"               | safety screening is | ""
safety.alerts.acknowledge_within.danger = "1m" | acknowledging alerts is |
audit.path = "a"                            | the audit trail is |
audit.pseudonym_key_file = "k"              | the audit trail is | ""
tracing.endpoint = "http://h"               | tracing is | ""
tracing.sample = 0.5                        | tracing is |
dashboard.enabled = true                    | the dashboard is | false
"""
AVAILABLE = """
gateway = {name = "n", listen = ["tcp:1"], admin = "", trusted_proxies = ["10.0.0.0/8"], drain = "1s"}
http = {max_connections = 1, max_uri = 1, max_headers = 1, max_header_bytes = 1, max_body = 1}
http = {header_timeout = "1s", body_timeout = "1s", keepalive_timeout = "1s"}
upstream = {connect_timeout = "1s", response_timeout = "1s", idle_timeout = "1s"}
upstream = {max_connections = 1, queue_timeout = "1s", keepalive = "1s"}
upstream = {retries = 1, retry_budget = 0.5, retry_statuses = [503]}
service instances = [{url = "http://h", zone = "b"}]
service dependencies = ["b"], require_dependencies = true, fallback = "f", slow_start = "30s"
service health = {type = "tcp", path = "/health", expect = [200]}, breaker = {window = "30s"}
route hedge = "1s"
fallbacks.f.regions.US.text = "x"
service balance = "hash", hash_key = "ip"
service balance = "hash", hash_key = "header:x"
service balance = "hash", hash_key = "cookie:x"
service balance = "hash", hash_key = "session"
service balance = "hash", hash_key = "user"
service balance = "hash"
service tls = {ca = "c", server_name = "s"}
route hosts = ["a"], methods = ["GET"], headers = {limits = "x"}, service = "a", split = {a = 1}, rewrite = "/x"
route timeout = "1s", max_body = 1, set_request_headers = {a = "b"}, set_response_headers = {a = "b"}
route remove_response_headers = ["class"]
route auth = "required"
route auth = "optional", roles = ["patient"], permissions = ["p"], mfa = true, owner = "id", dry_run = true
route login = "username"
log = {access = "-", format = "combined", level = "debug"}
auth.api_keys = {file = "k"}
auth = {leeway = "30s", cache = 1, query_token = "t", forward_token = true, longest_life = "1d"}
auth.issuers = [{issuer = "i", jwks_file = "j"}]
auth.roles.patient = {permissions = ["p"], inherits = [], break_glass = true}
auth.upstream.secret_file = "s"
auth.certificates = {ca = "c", clients = [{name = "a", match = "dns:a"}]}
auth = {care = {service = "s"}, break_glass = {lasts = "1s", most = 3}}
auth = {lockout = {failures = 3, window = "1s", lasts = "1s"}}
safety.alerts = {webhooks = ["https://oncall.tta.example/x"]}
metrics = {enabled = false}
route class = "crisis", limits = ["a"], cost = 2
limits.a = {rate = "1/s", burst = 1, key = ["user"], on_store_failure = "deny", dry_run = true}
limits.a = {concurrent = 1, bandwidth = "1KiB/s", roles = {patient = 2.0}, classes = {crisis = 2.0}}
classes.crisis = {reserved = 0.1, ceiling = 0.5, rate = "1/s", claims = {risk = ["acute"]}}
admission = {in_flight = 1, adaptive = false, queue = 0, queue_time = "0s", memory = "1GiB"}
abuse = {threshold = "1/s", block_for = "1s", longest = "1h", allow = ["10.0.0.0/8"], deny = ["10.0.0.0/8"]}
abuse = {connections = 1, slow_readers = 1}
"""


def document(line: str) -> dict[str, Any]:
    kind, _, rest = line.strip().partition(" ")
    if kind == "service":
        rest = rest.replace("instances.0.", "instances = [{url = 'http://h', ") + ("}]" if ".0." in rest else "")
        url = "" if "instances" in rest else 'instances = ["http://h"], '
        line = f"services.x = {{{url}{rest}}}"
    elif kind == "route":
        own = "" if "auth" in rest else ', auth = "none"'
        line = f'routes = [{{name = "r", path = "/"{own}, {rest}}}]'
    return tomllib.loads(line)


@pytest.mark.parametrize("row", ROWS.strip().splitlines())
def test_what_is_missing_is_refused_with_what_would_be_taken(row: str) -> None:
    written, feature, values = [part.strip() for part in row.split("|")]
    hint = f" or write {values.split(', ')[0]}" if values else ""
    assert [sentence for _, sentence in check(document(written))] == [f"{feature} {GONE}{hint}"]
    for value in values.split(", ") if values else ():
        same = written.partition(" = ")[0] + " = " + value
        assert check(document(same)) == []


@pytest.mark.parametrize("row", [row for row in ROWS.strip().splitlines() if row.rpartition("|")[2].strip()])
def test_what_is_taken_has_the_right_form(row: str) -> None:
    written, _, values = [part.strip() for part in row.split("|")]
    for value in values.split(", "):
        assert validate(document(written.partition(" = ")[0] + " = " + value)).findings == []


@pytest.mark.parametrize("row", AVAILABLE.strip().splitlines())
def test_what_exists_is_taken(row: str) -> None:
    assert check(document(row)) == []
    assert validate(document(row)).findings == []


def test_a_number_is_not_a_truth() -> None:
    assert [name_of(key) for key, _ in check({"gateway": {"workers": True, "proxy_protocol": 0}})] == [
        "gateway.workers",
        "gateway.proxy_protocol",
    ]


def test_leaving_auth_out_is_no_gap() -> None:
    assert check({"routes": [{"auth": "none"}, {}, 5]}) == []


def test_values_of_the_wrong_form_are_left_to_others() -> None:
    assert check({"routes": 5, "services": 5, "gateway": 5}) == []


def test_what_is_missing_can_be_asked_by_key() -> None:
    assert missing_feature(("gateway", "workers")) == "several workers are"
    assert missing_feature(("upstream", "keepalive")) == ""
    assert missing_feature(()) == ""
    assert missing_feature(("auth", "api_keys")) == missing_feature(("auth", "api_keys", "file")) == ""
    assert missing_feature(("routes", 3, "auth")) == missing_feature(("auth", "issuers")) == ""
    assert accepted(("routes", 3, "compress")) == (False,)
    assert json.dumps(accepted(("upstream", "keepalive"))) == "[]"
