"""The proxies that are measured with tokens, and the proof that each of them looks at those.

HAProxy and Envoy check what the gateway checks of a token (algorithm, issuer, audience, end, signature, by the same
key) and keep it from the service; they know no roles, tell the service nothing about the caller and write no log, all
of which the gateway does beside it. The two with a cache of verified tokens have room for all of them.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping

from benchmarks import jwt_token, templates
from benchmarks.load import TOKENS
from benchmarks.origin import SIZES, SMALL
from benchmarks.peers import GATEWAY, Peer, Place, envoy_binary, gateway, needs, run_envoy, write
from benchmarks.process import ADDRESS, NotReadyError
from benchmarks.run import Standing

OPEN = "ttagw-open"
CACHE = 10_000
ABOUT_TOKENS = f"{TOKENS:,} distinct {jwt_token.ALGORITHM} tokens in turns over all connections, rate limiting off"
REFUSALS = (401, 403)
"""Envoy refuses another's audience with 403."""


def filled(template: str, **more: object) -> str:
    """The template with what there is to say about tokens."""
    text = template
    values = {"issuer": jwt_token.ISSUER, "audience": jwt_token.AUDIENCE, "algorithm": jwt_token.ALGORITHM, **more}
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", str(value))
    return text


def gateway_tokens(place: Place) -> list[str]:
    """The gateway, open to two roles."""
    keys = jwt_token.write_key_set(place.folder)
    return gateway(place, templates.CALLERS, filled(templates.ISSUERS, keys=keys, cache=CACHE))


def haproxy_tokens(place: Place) -> list[str]:
    """HAProxy as its manual has it for tokens."""
    checks = filled(templates.HAPROXY_TOKENS, key=jwt_token.write_public_key(place.folder))
    return ["haproxy", "-db", "-f", write(place, "haproxy.cfg", templates.HAPROXY, checks=checks)]


def envoy_tokens(place: Place) -> list[str]:
    """Envoy with its filter for tokens and the cache of that."""
    keys = str(jwt_token.write_key_set(place.folder))
    checks = templates.envoy_tokens(jwt_token.ISSUER, jwt_token.AUDIENCE, keys, CACHE)
    return run_envoy(place, templates.envoy(place.port, place.origin, filters=[checks]))


TOKEN_PEERS = (
    Peer(
        GATEWAY.name,
        "algorithm, issuer, audience, end and signature, verified tokens remembered; role asked for by the route, "
        "caller told to the service; routing, balancing, access log to a file, metrics",
        GATEWAY.missing,
        gateway_tokens,
        ready_path=GATEWAY.ready_path,
        refuses_strangers=True,
    ),
    Peer(
        OPEN,
        "the same requests through the same gateway on a route that asks for no token",
        GATEWAY.missing,
        gateway,
        ready_path=GATEWAY.ready_path,
    ),
    Peer(
        "haproxy",
        "algorithm, issuer, audience, end and signature (jwt_verify, which remembers nothing), no log",
        needs("haproxy", "apt-get install haproxy"),
        haproxy_tokens,
        refuses_strangers=True,
    ),
    Peer(
        "envoy",
        f"algorithm, issuer, audience, end and signature (jwt_authn, jwt_cache_size {CACHE}), no log",
        lambda: "" if envoy_binary() else "pip install '.[bench]'",
        envoy_tokens,
        refuses_strangers=True,
    ),
)


def verify_tokens(it: Standing, tokens: Iterable[str], bad: Mapping[str, str]) -> None:
    """Ask with every token, and with what nobody may accept: who lets everything pass is not measured.

    Raises NotReadyError.
    """
    connection = http.client.HTTPConnection(ADDRESS, it.port, timeout=10)
    try:
        if it.peer.refuses_strangers:
            for name, token in bad.items():
                status, _ = _ask(connection, token)
                if status not in REFUSALS:
                    raise NotReadyError(f"{name}: answered with {status} instead of being refused")
        for token in tokens:
            status, length = _ask(connection, token)
            if (status, length) != (200, SIZES[SMALL]):
                raise NotReadyError(f"a good token: answered with {status} and {length} bytes")
    except (OSError, http.client.HTTPException) as fault:
        raise NotReadyError(f"it did not answer: {fault}") from fault
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, token: str) -> tuple[int, int]:
    connection.request("GET", SMALL, headers=jwt_token.authorization(token))
    response = connection.getresponse()
    return response.status, len(response.read())
