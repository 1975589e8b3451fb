"""Layer: what a service is told about the caller, and what of the credentials it gets to see."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from ttagw.core.classes import TrafficClass
from ttagw.model import Exchange, Fields
from ttagw.pipeline import Hooks, Route

_BEARER = re.compile(rb"bearer(?![!#$%&'*+.^_`|~0-9A-Za-z-])", re.IGNORECASE)
"""The scheme, whatever stands behind it: what a service makes of `Bearer<tab>TOKEN` is not for us to guess."""
_TOKEN = b"eyJ"
"""How JSON Web Tokens begin, should one come without its scheme."""
_KEY = b"ttagw_"
"""How our own keys begin."""

_CLASS_LINES = tuple([b"x-traffic-class: %b\r\n" % each.text.encode("ascii") for each in TrafficClass])
"""By traffic class, each ended by CR LF."""

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
        lines = _CLASS_LINES

        def enter(exchange: Exchange) -> None:
            identity = exchange.identity
            if identity is None:
                exchange.forwarded += lines[exchange.rank]
            else:
                exchange.forwarded += identity.lines + lines[exchange.rank]
            if exchange.credentials is not None and (forward or identity is None):
                exchange.fields = exchange.fields + _to_pass(exchange.credentials, everything=forward)
            if exchange.query is not None and token:
                exchange.query = without_param(exchange.query, token)
            if assertion is not None:
                exchange.forwarded += b"x-tta-assertion: %b\r\n" % assertion(exchange)

        return Hooks(enter)


def _to_pass(credentials: Fields, *, everything: bool) -> Fields:
    return [
        (name, value)
        for name, value in credentials
        if name != b"x-break-glass-reason" and _KEY not in value and (everything or not _is_token(value))
    ]


def _is_token(value: bytes) -> bool:
    """Whether there is, or may be, a token in it."""
    return _BEARER.match(value) is not None or value.startswith(_TOKEN)


def without_param(query: bytes, name: bytes) -> bytes | None:
    """The query without any parameter of this name, however it is spelt; None if nothing is left of it.

    Services may ignore case, and may take `;` for `&`: what any of them would read as this parameter is taken out.
    """
    name = name.lower()
    if name not in query.lower() and b"%" not in query and b"+" not in query:
        return query
    parts = query.split(b"&")
    kept = [left for part in parts if (left := _without(part, name)) is not None]
    return query if kept == parts else b"&".join(kept) or None


def _without(part: bytes, name: bytes) -> bytes | None:
    pieces = part.split(b";")
    kept = [each for each in pieces if unquote_to_bytes(each.partition(b"=")[0].replace(b"+", b" ")).lower() != name]
    return part if len(kept) == len(pieces) else b";".join(kept) or None
