"""The proxies with the whole chain on, and the proof that each of them does what it is measured for.

Tokens are verified, a role is asked for, requests are counted for each user and each address, balanced over two
instances with a breaker, counted, and written into a log. HAProxy keeps rates in stick tables, Envoy in a bucket for
each value; neither tells the service who is calling, reserves room for a class or sheds by class: the gateway does so
beside it.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import chain_templates as chain
from benchmarks import jwt_token, peers, templates
from benchmarks.chain_templates import Allowed
from benchmarks.load import TOKENS
from benchmarks.origin import SMALL, WHICH, Origin
from benchmarks.peers import GATEWAY, Peer, Place, envoy_binary, needs, run_envoy, write
from benchmarks.process import ADDRESS, NotReadyError
from benchmarks.run import Standing, standing
from benchmarks.token_peers import CACHE, filled, verify_tokens

HIGH = Allowed((1_000_000, 1), (1_000_000, 1))
"""Never reached, and counted all the same."""
FEW = 3
LOW_USER, LOW_ADDRESS = Allowed((FEW, 60), HIGH.address), Allowed(HIGH.user, (FEW, 60))
PLAIN = ("haproxy-plain", "envoy-plain")
ROLES = (jwt_token.ROLE, "therapist")
AT_ONCE, TIMES = 8, 20
"""Requests after which both instances of a service have been asked."""
LOG_PATIENCE = 15.0
"""Seconds: Envoy writes its log each 10 s."""
ABOUT_CHAIN = (
    f"{TOKENS:,} distinct {jwt_token.ALGORITHM} tokens, role asked for, limits for each user and each address, two "
    "instances with a breaker, metrics, access log to a file; one core"
)


def gateway_chain(place: Place, allowed: Allowed = HIGH) -> list[str]:
    """The gateway."""
    keys = jwt_token.write_key_set(place.folder)
    policies = filled(chain.GATEWAY_POLICIES, keys=keys, cache=CACHE, **chain.numbers(allowed))
    return peers.gateway(place, chain.GATEWAY_CALLERS, policies, f', "http://{ADDRESS}:{place.second}"')


def haproxy_chain(place: Place, allowed: Allowed = HIGH) -> list[str]:
    """HAProxy with stick tables."""
    values = {"key": jwt_token.write_public_key(place.folder), "second": place.second, **chain.numbers(allowed)}
    checks, backend, tables = (
        filled(each, **values)
        for each in (templates.HAPROXY_TOKENS + chain.HAPROXY_RULES, chain.HAPROXY_BACK, chain.HAPROXY_TABLES)
    )
    path = write(place, "haproxy.cfg", templates.HAPROXY + tables, checks=checks, backend=backend)
    return ["haproxy", "-db", "-f", path]


def envoy_chain(place: Place, allowed: Allowed = HIGH) -> list[str]:
    """Envoy with a bucket for each user and address."""
    keys = str(jwt_token.write_key_set(place.folder))
    said = {"payload_in_metadata": chain.PAYLOAD}
    filters = [
        templates.envoy_tokens(jwt_token.ISSUER, jwt_token.AUDIENCE, keys, CACHE, **said),
        chain.envoy_roles(ROLES),
        chain.envoy_limits(allowed, CACHE),
    ]
    public, upstream = chain.envoy_public(str(place.folder / "access.log")), chain.envoy_upstream()
    bootstrap = templates.envoy(
        place.port, place.origin, place.second, filters=filters, public=public, upstream=upstream
    )
    return run_envoy(place, bootstrap)


COMMANDS: Mapping[str, Callable[[Place, Allowed], list[str]]] = {
    GATEWAY.name: gateway_chain,
    "haproxy": haproxy_chain,
    "envoy": envoy_chain,
}
_NO_ENVOY = "pip install '.[bench]'"
CHAIN_PEERS = (
    Peer(
        GATEWAY.name,
        "token remembered, role, two limits, class, admission, two instances (p2c) with breakers, caller told to the "
        "service, access log to a file, metrics",
        GATEWAY.missing,
        gateway_chain,
        ready_path=GATEWAY.ready_path,
        refuses_strangers=True,
    ),
    Peer(
        "haproxy",
        "token verified each time (jwt_verify), role, http_req_rate by user and by address in stick tables, two "
        "servers with observe layer7, log to a file",
        needs("haproxy", "apt-get install haproxy"),
        haproxy_chain,
        refuses_strangers=True,
    ),
    Peer(
        "envoy",
        f"token remembered (jwt_cache_size {CACHE}), role (RBAC), local rate limit with a bucket for each user and "
        "address, two endpoints with outlier detection, access log to a file",
        lambda: "" if envoy_binary() else _NO_ENVOY,
        envoy_chain,
        refuses_strangers=True,
    ),
    Peer("haproxy-plain", "plain proxy, no log", needs("haproxy", "apt-get install haproxy"), peers.haproxy),
    Peer("envoy-plain", "plain proxy, no log", lambda: "" if envoy_binary() else _NO_ENVOY, peers.envoy),
)


def verify_chain(it: Standing, origin: Origin, tokens: Sequence[str], bad: Mapping[str, str]) -> None:
    """Ask with good and bad tokens and another's role, look for both instances and at the log, and let one like it be
    started with lower limits: who does less than is said of them is not measured.

    Raises NotReadyError.
    """
    another = {"another role": jwt_token.sign({**jwt_token.claims(time.time()), "role": "guest"})}
    verify_tokens(it, tokens, {**bad, **another})
    if it.peer.name not in COMMANDS:
        return
    try:
        _verify_balance(it, tokens[0])
        _verify_log(it, len(tokens))
        _verify_limits(it, origin, tokens)
    except (OSError, http.client.HTTPException) as fault:
        raise NotReadyError(f"it did not answer: {fault}") from fault


def _verify_balance(it: Standing, token: str) -> None:
    """Several at once: who asks one after the other may well be sent to the instance that was faster each time."""
    seen = set()
    with ExitStack() as stack:
        several = [http.client.HTTPConnection(ADDRESS, it.port, timeout=10) for _ in range(AT_ONCE)]
        for each in several:
            stack.callback(each.close)
        for _ in range(TIMES):
            for each in several:
                each.request("GET", WHICH, headers=jwt_token.authorization(token))
            seen |= {each.getresponse().read() for each in several}
    if len(seen) != 2:
        raise NotReadyError(f"of two instances {len(seen)} were asked")


def _verify_log(it: Standing, least: int) -> None:
    folder = it.running.log.parent
    files = [folder / "access.log", it.running.log]
    limit = time.monotonic() + LOG_PATIENCE
    while sum(_lines(file) for file in files) < least:
        if time.monotonic() > limit:
            raise NotReadyError("requests are not in its log")
        time.sleep(0.1)


def _lines(file: Path) -> int:
    prefix = SMALL.rpartition("/")[0].encode()
    return sum(prefix in line for line in file.read_bytes().splitlines()) if file.exists() else 0


def _verify_limits(it: Standing, origin: Origin, tokens: Sequence[str]) -> None:
    folder = it.running.log.parent
    for name, low in (("user", LOW_USER), ("address", LOW_ADDRESS)):
        peer = replace(it.peer, command=partial(_command, it.peer.name, low))
        with standing(peer, folder / f"low-{name}", origin.port, origin.second) as lower, _asking(lower.port) as ask:
            same = [ask(SMALL, tokens[0])[0] for _ in range(FEW + 1)]
            other = ask(SMALL, tokens[1])[0]
        expected = [200] * FEW + [429], 200 if low is LOW_USER else 429
        if (same, other) != expected:
            raise NotReadyError(f"with {FEW} a minute for each {name}: answered with {same}, another user with {other}")


def _command(name: str, allowed: Allowed, place: Place) -> list[str]:
    return COMMANDS[name](place, allowed)


@contextmanager
def _asking(port: int) -> Iterator[Callable[[str, str], tuple[int, bytes]]]:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)

    def ask(path: str, token: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers=jwt_token.authorization(token))
        response = connection.getresponse()
        return response.status, response.read()

    try:
        yield ask
    finally:
        connection.close()
