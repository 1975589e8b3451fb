"""Every value has a form, and what has another is told in one clear sentence."""

from __future__ import annotations

import tomllib
from ipaddress import ip_network
from typing import Any

import pytest

from ttagw.config import Gateway, Instance, Service
from ttagw.config.faults import name_of
from ttagw.config.validation import validate

SHORT = {
    "<DURATION>": 'expected a duration such as "500ms", "10s", "15m" or "1h", got',
    "<ENDPOINT>": "expected an endpoint (tcp:, tcp6:, ssl:, unix:, systemd:) "
    'such as "tcp:8000:interface=127.0.0.1", got',
    "<FIELD>": 'expected the name of a header field, without "_", got',
    "<HOST>": 'expected a host such as "tta.example" or "*.tta.example", in lower case and without a port, got',
    "<METHOD>": 'expected a method such as "GET" (CONNECT is never answered), got',
    "<NAME>": 'expected a name of up to 64 letters, digits, ".", "_" and "-", got',
    "<NETWORK>": 'expected a network such as "10.0.0.0/8" or "2001:db8::/32", got',
    "<SIZE>": 'expected a size such as "8KiB", "10MiB" or a number of bytes, got',
    "<URL>": 'expected an address such as "http://127.0.0.1:8082", "srv+http://_game._tcp.internal" or '
    '"file:instances.toml", got',
    "<SRV>": 'expected a name with SRV records, without a port, such as "srv+http://_game._tcp.internal", got',
    "<FILE>": 'expected a path such as "file:instances.toml", got',
    "<VALUE>": "expected printable characters of latin-1, with no line breaks, and no space around them",
}

# What stands in the file, the key of the fault, its sentence. "service", "route" and "issuer" begin tables with all
# that must be there.
FAULTS = r"""
gateway = 5                                  | gateway | expected a table, got 5
gateway = "x"                                | gateway | expected a table, got "x"
gateway.name = ""                            | gateway.name | <NAME> ""
gateway.name = "a b"                         | gateway.name | <NAME> "a b"
gateway.name = 5                             | gateway.name | expected a string, got 5
gateway.listen = "tcp:1"                     | gateway.listen | expected a list, got "tcp:1"
gateway.listen = []                          | gateway.listen | expected at least one in this list
gateway.listen = ["tcp:1", "tcp:99999"]      | gateway.listen[1] | <ENDPOINT> "tcp:99999"
gateway.listen = ["8000"]                    | gateway.listen[0] | <ENDPOINT> "8000"
gateway.admin = "http:1"                     | gateway.admin | <ENDPOINT> "http:1"
gateway.workers = 0                          | gateway.workers | expected a number of 1 or more, got 0
gateway.workers = 257                        | gateway.workers | expected a number of 256 or less, got 257
gateway.workers = true                       | gateway.workers | expected a whole number, got true
gateway.workers = 1.0                        | gateway.workers | expected a whole number, got 1.0
gateway.workers = "1"                        | gateway.workers | expected a whole number, got "1"
gateway.proxy_protocol = 1                   | gateway.proxy_protocol | expected true or false, got 1
gateway.trusted_proxies = ["10.0.0.1/8"]     | gateway.trusted_proxies[0] | <NETWORK> "10.0.0.1/8" (its host bits are set)
gateway.trusted_proxies = [5]                | gateway.trusted_proxies[0] | <NETWORK> 5
gateway.trusted_proxies = "::1"              | gateway.trusted_proxies | expected a list, got "::1"
gateway.drain = 2.5                          | gateway.drain | <DURATION> 2.5
gateway.drain = 2026-01-01                   | gateway.drain | <DURATION> 2026-01-01
http.header_timeout = "0s"                   | http.header_timeout | expected a duration longer than nothing, got "0s"
http.max_uri = 0                             | http.max_uri | expected a size of one byte or more, got 0
http.max_headers = 99999999999999999999      | http.max_headers | expected a number of 1000000 or less, got 99999999999999999999
upstream.retry_budget = nan                  | upstream.retry_budget | expected a number, got nan
upstream.retry_budget = inf                  | upstream.retry_budget | expected a number, got inf
upstream.retry_budget = 2                    | upstream.retry_budget | expected a number of 1 or less, got 2
upstream.retry_budget = true                 | upstream.retry_budget | expected a number, got true
services = []                                | services | expected a table, got a list
services."a b" = {instances = ["http://h"]}  | services."a b" | <NAME> "a b"
services.a = {}                              | services.a.instances | must be given
services.a.instances = "http://h"            | services.a.instances | expected a list, got "http://h"
services.a.instances = [5]                   | services.a.instances[0] | expected an address or a table with url, got 5
services.a.instances = [{weight = 2}]        | services.a.instances[0].url | must be given
services.a.instances = ["h:80"]              | services.a.instances[0].url | <URL> "h:80"
services.a.instances = ["http://h/"]         | services.a.instances[0].url | <URL> "http://h/"
services.a.instances = ["http://h:0"]        | services.a.instances[0].url | <URL> "http://h:0"
services.a.instances = ["http://h:65536"]    | services.a.instances[0].url | <URL> "http://h:65536"
services.a.instances = ["http://h:"]         | services.a.instances[0].url | <URL> "http://h:"
services.a.instances = ["http://[:::1]"]     | services.a.instances[0].url | <URL> "http://[:::1]"
services.a.instances = ["HTTPS://h"]         | services.a.instances[0].url | <URL> "HTTPS://h"
services.a.instances = ["http://u:secret@h"] | services.a.instances[0].url | expected an address without a user and password
services.a.instances = ["srv+http://u:s@h"]  | services.a.instances[0].url | expected an address without a user and password
services.a.instances = ["srv+http://a.b:80"] | services.a.instances[0].url | <SRV> "srv+http://a.b:80"
services.a.instances = ["srv+ftp://_a.b"]    | services.a.instances[0].url | <SRV> "srv+ftp://_a.b"
services.a.instances = ["srv+http://_a"]     | services.a.instances[0].url | <SRV> "srv+http://_a"
services.a.instances = ["srv+http://a..b"]   | services.a.instances[0].url | <SRV> "srv+http://a..b"
services.a.instances = ["file:"]             | services.a.instances[0].url | <FILE> "file:"
services.a.instances = ["file:///a.toml"]    | services.a.instances[0].url | <FILE> "file:///a.toml"
services.a.instances = [{url = "file:a", weight = 2}]       | services.a.instances[0].weight | has no meaning here: the instances in the file have weights
services.a.instances = [{url = "srv+http://a.b", weight = 2}] | services.a.instances[0].weight | has no meaning here: the SRV records have weights
services.a.instances = [{url = "file:a", tags = ["x"]}]     | services.a.instances[0].tags | there is no such key here
service balance = "fast"                     | services.a.balance | expected p2c, round_robin, least_conn or hash, got "fast"
service hash_key = "header:"                 | services.a.hash_key | expected session, user, ip, header:NAME or cookie:NAME, got "header:"
service tls = "x"                            | services.a.tls | expected a table, got "x"
service tls = {cafile = "x"}                 | services.a.tls.cafile | there is no such key here
service health = {path = "health"}           | services.a.health.path | expected a path such as "/health", got "health"
service health = {expect = [99]}             | services.a.health.expect[0] | expected a number of 100 or more, got 99
service breaker = {failure_ratio = 0}        | services.a.breaker.failure_ratio | expected a number above 0, got 0
routes = {}                                  | routes | expected a list, got a table
routes = [{path = "/"}]                      | routes[0].name | must be given
routes = [{name = "a/b", path = "/"}]        | routes[0].name | <NAME> "a/b"
route hosts = ["A.example"]                  | routes[0].hosts[0] | <HOST> "A.example"
route hosts = ["a.example:80"]               | routes[0].hosts[0] | <HOST> "a.example:80"
route hosts = ["*.*.example"]                | routes[0].hosts[0] | <HOST> "*.*.example"
route hosts = ["*"]                          | routes[0].hosts[0] | <HOST> "*"
route hosts = [""]                           | routes[0].hosts[0] | <HOST> ""
route methods = ["get"]                      | routes[0].methods[0] | <METHOD> "get"
route methods = ["CONNECT"]                  | routes[0].methods[0] | <METHOD> "CONNECT"
route headers = {"a b" = "1"}                | routes[0].headers."a b" | <FIELD> "a b"
route set_request_headers = {x_y = "1"}      | routes[0].set_request_headers.x_y | <FIELD> "x_y"
route set_request_headers = {x = "s\n"}      | routes[0].set_request_headers.x | <VALUE>
route set_response_headers = {x = " secret"} | routes[0].set_response_headers.x | <VALUE>
route set_response_headers = {x = "✓"}       | routes[0].set_response_headers.x | <VALUE>
route remove_response_headers = ["a:"]       | routes[0].remove_response_headers[0] | <FIELD> "a:"
route split = {a = 0}                        | routes[0].split.a | expected a number of 1 or more, got 0
route auth = "maybe"                         | routes[0].auth | expected required, optional or none, got "maybe"
route timeout = "0s"                         | routes[0].timeout | expected a duration longer than nothing, got "0s"
route timeout = 10                           | routes[0].timeout | <DURATION> 10
route max_body = -1                          | routes[0].max_body | <SIZE> -1
route cache = "soon"                         | routes[0].cache | <DURATION> "soon"
route screen = ["both"]                      | routes[0].screen[0] | expected request or response, got "both"
route cors = {origins = ["a.b"]}             | routes[0].cors.origins[0] | expected an origin such as "https://play.tta.example", got "a.b"
limits.a = {rate = "1/s", key = ["me"]}      | limits.a.key[0] | expected user, ip, role, route, service or header:NAME, got "me"
classes.urgent = {}                          | classes.urgent | expected crisis, therapeutic, high, normal or low, got "urgent"
issuer algorithms = ["HS256", "RS256"]       | auth.issuers[0].algorithms | expected either HMAC or asymmetric algorithms for one issuer, got both
issuer algorithms = []                       | auth.issuers[0].algorithms | expected at least one in this list
safety.refuse_at = "bad"                     | safety.refuse_at | expected "", caution, warning, danger or critical, got "bad"
safety.alerts.webhooks = ["http://secret@h"] | safety.alerts.webhooks[0] | expected an address such as "https://host/path"
fallbacks.a.regions = {}                     | fallbacks.a.regions | expected at least one region
fallbacks.a = {status = 204, regions.US.text = "x"} | fallbacks.a.status | expected a status whose answer has content, got 204
gateway.store = "mysql://u:secret@h"         | gateway.store | expected "sqlite:PATH", "memory:", "redis://…", "rediss://…" or "redis+sentinel://…/NAME"
nonsense = {}                                | nonsense | there is no such key here
log.access = ""                              | log.access | expected a path, or "-" for standard output, got ""
"""  # noqa: E501

GOOD = r"""
upstream.retry_budget = 1
classes.crisis = {reserved = 0, rate = "600/min"}
gateway = {drain = "0s", admin = ""}
gateway.listen = ["tcp6:1", 'tcp:8000:interface=\:\:1', "ssl:443:privateKey=k:certKey=c", "unix:/a/b"]
gateway.listen = ["systemd:domain=INET:index=0"]
upstream = {queue_timeout = "0s", keepalive = "0s"}
http = {max_body = 0, max_uri = 8192}
services.a.instances = ["https://a.b_c-d:65535", "http://[2001:db8::1]:80", {url = "http://10.0.0.1", zone = "b"}]
services.a.instances = []
services.a.instances = ["srv+http://_game._tcp.internal.", {url = "srv+https://game.consul", zone = "b"}]
services.a.instances = ["file:/a/b@c.toml", {url = "file:../a.toml", zone = "b"}]
service hash_key = "cookie:a_b"
route hosts = ["a", "*.b.c", "127.0.0.1", "[::1]", "xn--p1ai"]
route methods = ["GET", "M-SEARCH"], headers = {"x-a" = ""}, set_response_headers = {x = "a\tb é"}
route cache = "60s", hedge = "100ms", max_body = "1MiB", timeout = "1h"
websocket = {rate = "10/2s", origins = ["https://play.tta.example"]}
abuse = {threshold = "1/s", allow = ["10.0.0.0/8"]}
fallbacks.a.regions.US.text = "x"
auth.roles.patient = {permissions = ["a"]}
issuer jwks_url = "http://h/a"
"""
AROUND = {
    "service ": 'services.a = {{instances = ["http://h"], {}}}',
    "route ": 'routes = [{{name = "r", path = "/", {}}}]',
    "issuer ": 'auth.issuers = [{{issuer = "i", {}}}]',
}


def document(line: str) -> dict[str, Any]:
    for start, around in AROUND.items():
        if line.startswith(start):
            line = around.format(line.removeprefix(start).strip())
    return tomllib.loads(line)


@pytest.mark.parametrize("row", FAULTS.strip().splitlines())
def test_one_sentence_for_what_is_wrong(row: str) -> None:
    written, key, sentence = [part.strip() for part in row.split(" | ")]
    for short, long in SHORT.items():
        sentence = sentence.replace(short, long)
    assert [(name_of(key), told) for key, told in validate(document(written)).findings] == [(key, sentence)]


@pytest.mark.parametrize("row", GOOD.strip().splitlines())
def test_good_values_are_taken(row: str) -> None:
    assert validate(document(row)).findings == []


def test_the_rest_can_still_be_looked_at() -> None:
    checked = validate({"http": {"max_uri": 1.5, "max_headers": 7}, **document('route methods = ["get"]')})
    assert checked.config is not None
    assert checked.config.http.max_headers == 7
    assert checked.config.routes[0].methods == ()
    assert checked.doubts(("http", "max_headers"))
    assert checked.doubts(("routes", 0, "service"))
    assert not checked.doubts(("gateway", "name"))


@pytest.mark.parametrize(
    "line",
    [
        'routes = [{name = "r", path = 5}]',
        "routes = [{}]",
        'services."a b".instances = ["http://h"]',
        "routes = [5, {name = 7}]",
    ],
)
def test_without_what_must_be_there_nothing_more_is_looked_at(line: str) -> None:
    checked = validate(document(line))
    assert checked.config is None
    assert checked.findings


def test_several_faults_in_one_list_and_a_faulty_table_are_all_told() -> None:
    checked = validate({"gateway": {"listen": [5, "x"]}, "http": []})
    assert {key for key, _ in checked.findings} == {("gateway", "listen", 0), ("gateway", "listen", 1), ("http",)}
    assert checked.config is not None


def test_a_key_in_a_list_that_is_faulty_itself() -> None:
    checked = validate(document('routes = [5, {name = "r", path = "/", mfa = 1}]'))
    assert [name_of(key) for key, _ in checked.findings] == ["routes[0]", "routes[1].mfa"]
    assert checked.config is not None
    assert checked.config.routes == ()


def test_code_may_give_values_themselves() -> None:
    inside = ip_network("10.0.0.0/8")
    assert Gateway(trusted_proxies=(inside,), drain=0.5).trusted_proxies == (inside,)
    assert Service(instances=(Instance(url="http://h"),)).instances[0].weight == 1
