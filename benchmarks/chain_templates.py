"""What the proxies are told where the whole chain is on; templates.py has the rest of their configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.templates import CALLERS, ISSUERS

EXTENSIONS = "type.googleapis.com/envoy.extensions"
RBAC = f"{EXTENSIONS}.filters.http.rbac.v3.RBAC"
LOCAL_LIMIT = f"{EXTENSIONS}.filters.http.local_ratelimit.v3.LocalRateLimit"
FILE_LOG = f"{EXTENSIONS}.access_loggers.file.v3.FileAccessLog"
TOKEN_METADATA = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"
FAILURES = 5
"""In a row, after which an instance is left out."""


class Allowed(NamedTuple):
    """How many requests of one user and of one address, each in so many seconds."""

    user: tuple[int, int]
    address: tuple[int, int]


GATEWAY_CALLERS = (
    CALLERS
    + """
class = "therapeutic"
limits = ["per-user", "per-ip"]"""
)

GATEWAY_POLICIES = (
    ISSUERS
    + """
[limits.per-user]
rate = "<<user>>/<<user_window>>s"
key = ["user"]
[limits.per-ip]
rate = "<<address>>/<<address_window>>s"
key = ["ip"]

[classes.crisis]
reserved = 0.2
[admission]
in_flight = 1000
"""
)

# The roles as the issuer calls them: HAProxy and Envoy have no table of roles.
HAPROXY_RULES = """
  log global
  option httplog
  http-request set-var(txn.role) var(txn.token),jwt_payload_query('$.role')
  http-request deny deny_status 403 unless { var(txn.role) -m str player therapist }
  http-request set-var(txn.sub) var(txn.token),jwt_payload_query('$.sub')
  http-request track-sc0 var(txn.sub) table users
  http-request track-sc1 src table addresses
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt <<user>> }
  http-request deny deny_status 429 if { sc_http_req_rate(1) gt <<address>> }
"""

HAPROXY_TABLES = """
backend users
  stick-table type string len 64 size 100k expire <<user_window>>s store http_req_rate(<<user_window>>s)
backend addresses
  stick-table type ip size 100k expire <<address_window>>s store http_req_rate(<<address_window>>s)
"""

HAPROXY_BACK = f"""\
  balance random
  default-server observe layer7 error-limit {FAILURES} on-error mark-down check inter 10s pool-max-conn 256
  server two 127.0.0.1:<<second>>
"""


def numbers(allowed: Allowed) -> dict[str, int]:
    """As the templates have them."""
    (user, user_window), (address, address_window) = allowed
    return {"user": user, "user_window": user_window, "address": address, "address_window": address_window}


def envoy_roles(roles: Sequence[str]) -> dict[str, Any]:
    """Envoy's filter for roles: the claim of the token has to be one of these."""
    path = [{"key": PAYLOAD}, {"key": "role"}]
    said = [
        {"metadata": {"filter": TOKEN_METADATA, "path": path, "value": {"string_match": {"exact": role}}}}
        for role in roles
    ]
    policy = {"permissions": [{"any": True}], "principals": said}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": RBAC, "rules": {"action": "ALLOW", "policies": {"roles": policy}}},
    }


def envoy_limits(allowed: Allowed, most: int) -> dict[str, Any]:
    """Envoy's filter with a token bucket for each user and for each address, `most` of them at once."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    subject = {"key": TOKEN_METADATA, "path": [{"key": PAYLOAD}, {"key": "sub"}]}
    limits = {
        "@type": LOCAL_LIMIT,
        "stat_prefix": "limits",
        "filter_enabled": {"runtime_key": "limits_enabled", **always},
        "filter_enforced": {"runtime_key": "limits_enforced", **always},
        "max_dynamic_descriptors": most,
        # Asked for by the schema; nobody is without a user and an address.
        "token_bucket": _bucket((1_000_000_000, 1)),
        "always_consume_default_token_bucket": False,
        "rate_limits": [
            {"actions": [{"metadata": {"descriptor_key": "user", "metadata_key": subject}}]},
            {"actions": [{"remote_address": {}}]},
        ],
        "descriptors": [
            {"entries": [{"key": "user"}], "token_bucket": _bucket(allowed.user)},
            {"entries": [{"key": "remote_address"}], "token_bucket": _bucket(allowed.address)},
        ],
    }
    return {"name": "envoy.filters.http.local_ratelimit", "typed_config": limits}


def _bucket(rate: tuple[int, int]) -> dict[str, Any]:
    return {"max_tokens": rate[0], "tokens_per_fill": rate[0], "fill_interval": f"{rate[1]}s"}


def envoy_public(log: str) -> dict[str, Any]:
    """What Envoy's listener has beside: a line in a file for each request."""
    return {
        "use_remote_address": True,
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {"@type": FILE_LOG, "path": log}}],
    }


def envoy_upstream() -> dict[str, Any]:
    """What Envoy's cluster has beside: the less busy of two, and who fails is left out."""
    return {
        "lb_policy": "LEAST_REQUEST",
        "outlier_detection": {"consecutive_5xx": FAILURES, "base_ejection_time": "60s", "max_ejection_percent": 50},
    }
