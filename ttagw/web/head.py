"""Reading the head of a request: llhttp has parsed it, here it is decided whether it is one request, and which.

Everything that two programs could read differently is refused: see "Rules at the edge" in docs/http.rst. The end-to-end
fields keep their order and spelling.
"""

from __future__ import annotations

from ttagw.core.forwarded import Trust, client_view
from ttagw.core.headers import (
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    FORWARDED,
    REFUSE,
    REQUEST_ID,
    REQUESTS,
    TRANSFER_ENCODING,
    TRUSTED_REQUESTS,
    UPGRADE,
    connection_options,
    without,
)
from ttagw.core.target import TargetError, canonical, check_host, split_target
from ttagw.errors import (
    BadTargetError,
    ExpectationError,
    MalformedRequestError,
    MethodRefusedError,
    UpgradeRefusedError,
)
from ttagw.model import UNKNOWN, Exchange, Fields
from ttagw.tree import SERVER_METHODS

_NEVER = (b"CONNECT", b"TRACE")
"""This is no forward proxy; and TRACE would show a client what services are told about it."""
_OWN_OPTIONS = frozenset((b"close", b"keep-alive", b"upgrade"))
_ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:+/="
_LONGEST_ID = 128


def read_head(exchange: Exchange, target: bytes, raw: Fields, trust: Trust) -> None:
    """Fill in what the head says. Raises a `GatewayError` for anything that is not one unambiguous request."""
    peer = exchange.peer
    plan = (TRUSTED_REQUESTS if peer.trusted else REQUESTS).of(raw)
    exchange.fields = plan.keep(raw)
    if plan.credentials:
        exchange.credentials = [(name, raw[place][1].strip(b" \t")) for name, place in plan.credentials]
    if exchange.method in _NEVER:
        raise MethodRefusedError("never_offered", fields=((b"allow", SERVER_METHODS),))
    if plan.host < 0:
        raise MalformedRequestError("no_host" if plan.host == -1 else "host_twice")
    _read_target(exchange, target, raw[plan.host][1].strip(b" \t"))
    if not exchange.version:
        exchange.keep_alive = False
    claims: Fields = []
    if plan.special:
        _read_special(exchange, raw, plan.special, claims)
    view = client_view(peer, trust, exchange.authority, claims)
    exchange.client = view.address
    exchange.forwarded = view.lines


def _read_target(exchange: Exchange, target: bytes, authority: bytes) -> None:
    exchange.authority = authority
    try:
        exchange.host = check_host(authority)
        path, exchange.query, absolute = split_target(target)
        if path == b"*":
            if exchange.method != b"OPTIONS":
                raise BadTargetError("asterisk")
            exchange.path = path
        else:
            exchange.path = canonical(path)
    except TargetError as error:
        raise BadTargetError(error.reason) from None
    if absolute is not None and absolute != authority.lower():
        raise MalformedRequestError("host_differs")


def _read_special(exchange: Exchange, raw: Fields, places: tuple[tuple[int, int], ...], claims: Fields) -> None:
    """What means something here. What a trusted peer says about earlier hops goes to `claims`, names in lower case."""
    special: dict[int, list[bytes]] = {}
    for kind, place in places:
        name, value = raw[place]
        if kind == REFUSE:
            raise MalformedRequestError("underscore_in_name")
        if kind == FORWARDED:
            claims.append((name.lower(), value))
        else:
            special.setdefault(kind, []).append(value.strip(b" \t"))
    if CONTENT_LENGTH in special or TRANSFER_ENCODING in special:
        exchange.length = _length(special, exchange.version)
    if CONNECTION in special:
        _read_connection(exchange, special)
    if EXPECT in special:
        _read_expect(exchange, special[EXPECT])
    if REQUEST_ID in special:
        exchange.id = _believed_id(special[REQUEST_ID])


def _length(special: dict[int, list[bytes]], version: int) -> int:
    codings = special.get(TRANSFER_ENCODING)
    lengths = special.get(CONTENT_LENGTH)
    if codings is not None:
        if lengths is not None or not version or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise MalformedRequestError("transfer_encoding")
        return UNKNOWN
    if lengths is None or len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 15:
        raise MalformedRequestError("content_length")
    return int(lengths[0])


def _read_connection(exchange: Exchange, special: dict[int, list[bytes]]) -> None:
    values = special[CONNECTION]
    options = connection_options(values)
    if b"close" in options:
        exchange.keep_alive = False
    elif not exchange.version:
        exchange.keep_alive = b"keep-alive" in options
    if b"upgrade" in options and UPGRADE in special:
        raise UpgradeRefusedError("upgrade")
    named = options - _OWN_OPTIONS
    if named:
        exchange.fields = without(exchange.fields, named)


def _read_expect(exchange: Exchange, values: list[bytes]) -> None:
    if len(values) != 1 or values[0].lower() != b"100-continue":
        raise ExpectationError("expectation")
    exchange.expects = exchange.version > 0 and exchange.length != 0


def _believed_id(values: list[bytes]) -> bytes:
    """A trusted proxy's request id, if it is one that cannot break a log line or a header; else nothing."""
    value = values[0]
    if len(values) == 1 and 0 < len(value) <= _LONGEST_ID and not value.translate(None, _ID_CHARACTERS):
        return value
    return b""
