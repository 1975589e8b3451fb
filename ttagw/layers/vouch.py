"""Layer: what a service is told about the caller, and what of the credentials it gets to see."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from ttagw.model import Exchange, Fields
from ttagw.pipeline import Hooks, Route

_BEARER = b"bearer"
_KEY = b"ttagw_"
"""How our own keys begin."""

Assertion = Callable[[Exchange], bytes]
"""Makes the value of `X-TTA-Assertion`."""


class Vouch:
    """Only verified values go on, in fields that no client can set.

    Tokens stay here unless `forward`; keys always do, since whoever has one could be that program. Where nobody is
    asked who they are, credentials of other schemes, which are none of the gateway's business, go on as they came. The
    query parameter `query_token` never goes on.
    """

    name = "vouch"

    def __init__(self, forward: bool, query_token: str, assertion: Assertion | None = None) -> None:
        self._forward = forward
        self._query_token = query_token.encode("utf-8")
        self._assertion = assertion

    def bind(self, route: Route) -> Hooks:  # noqa: ARG002 - the shape of every layer
        """The same on every route."""
        assertion = self._assertion
        token = self._query_token
        forward = self._forward

        def enter(exchange: Exchange) -> None:
            identity = exchange.identity
            if identity is not None:
                exchange.forwarded += identity.lines
            if exchange.credentials is not None and (forward or identity is None):
                exchange.fields = exchange.fields + _to_pass(exchange.credentials, everything=forward)
            if exchange.query is not None and token:
                exchange.query = without_param(exchange.query, token)
            if assertion is not None:
                exchange.forwarded += b"x-tta-assertion: %b\r\n" % assertion(exchange)

        return Hooks(enter)


def _to_pass(credentials: Fields, *, everything: bool) -> Fields:
    return [(name, value) for name, value in credentials if _passes(name, value, everything=everything)]


def _passes(name: bytes, value: bytes, *, everything: bool) -> bool:
    if name == b"x-break-glass-reason":
        return False
    scheme, _, text = value.partition(b" ")
    bearer = name == b"authorization" and scheme.lower() == _BEARER
    if (text.strip(b" ") if bearer else value).startswith(_KEY):
        return False
    return everything or not bearer


def without_param(query: bytes, name: bytes) -> bytes | None:
    """The query without any parameter of this name, however it is spelt; None if nothing is left of it."""
    if name not in query and b"%" not in query and b"+" not in query:
        return query
    parts = query.split(b"&")
    kept = [part for part in parts if unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")) != name]
    if len(kept) == len(parts):
        return query
    return b"&".join(kept) or None
