"""What happens to each header field on its way through, decided by its name alone.

Names come back in the same spelling from the same clients and services, so the decision for a spelling is made once and
kept in a bounded table; a request then costs one look-up a field. Sources: RFC 9110 §7.6.1 (hop-by-hop fields),
domain.md §3 (identity).
"""

from __future__ import annotations

from collections.abc import Iterable

PASS = 0
"""Forward as it came."""
DROP = 1
"""Not for the other side: hop-by-hop, or a name that only the gateway may set."""
TRUSTED = 2
"""Forwarded only when a trusted proxy sent it."""
FORWARDED = 3
"""`Forwarded` and `X-Forwarded-For/-Proto/-Host/-Port`: rebuilt."""
REQUEST_ID = 4
HOST = 5
CONTENT_LENGTH = 6
TRANSFER_ENCODING = 7
CONNECTION = 8
UPGRADE = 9
EXPECT = 10
REFUSE = 11
"""A name with an underscore: CGI-like services cannot tell it from the same name with a hyphen."""

_SPELLINGS = 2048
"""Spellings kept per table; beyond it new ones are decided anew each time."""

IDENTITY = frozenset(
    (
        b"x-user-id",
        b"x-user-role",
        b"x-user-permissions",
        b"x-therapeutic-session-id",
        b"x-traffic-class",
        b"x-safety-level",
    )
)
"""What only the gateway tells a service about the caller."""

_HOP = (
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-authentication-info",
    b"te",
    b"trailer",
    b"http2-settings",
)

_FRAMING = {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
}

_REQUEST: dict[bytes, int] = {
    **dict.fromkeys(_HOP, DROP),
    **dict.fromkeys(IDENTITY, DROP),
    **_FRAMING,
    b"proxy": DROP,  # a CGI service would take it for HTTP_PROXY (CVE-2016-5385)
    b"host": HOST,
    b"expect": EXPECT,
    b"x-request-id": REQUEST_ID,
    b"forwarded": FORWARDED,
    b"x-forwarded-for": FORWARDED,
    b"x-forwarded-proto": FORWARDED,
    b"x-forwarded-host": FORWARDED,
    b"x-forwarded-port": FORWARDED,
    b"x-real-ip": TRUSTED,
    b"traceparent": TRUSTED,
    b"tracestate": TRUSTED,
}

_RESPONSE: dict[bytes, int] = {
    **dict.fromkeys(_HOP, DROP),
    **_FRAMING,
    b"x-request-id": DROP,
    b"ttagw-reason": DROP,
}


class Names:
    """Decisions by name, `kinds[name]` for any spelling; a missing one is decided by `decide` and kept."""

    __slots__ = ("_known", "_request", "kinds")

    def __init__(self, known: dict[bytes, int], *, request: bool) -> None:
        self._known = known
        self._request = request
        self.kinds: dict[bytes, int] = {}
        for name, kind in known.items():
            self.kinds[name] = self.kinds[name.title()] = kind

    def decide(self, name: bytes) -> int:
        """What to do with a field of this name, in whatever spelling."""
        lower = name.lower()
        kind = self._known.get(lower)
        if kind is None:
            kind = self._by_shape(lower)
        if len(self.kinds) < _SPELLINGS:
            self.kinds[name] = kind
        return kind

    def _by_shape(self, lower: bytes) -> int:
        if not self._request:
            return PASS
        if b"_" in lower:
            return REFUSE
        if lower.startswith(b"x-forwarded-"):
            return TRUSTED
        if lower.startswith((b"x-tta-", b"ttagw-")):
            return DROP
        return PASS


REQUEST = Names(_REQUEST, request=True)
RESPONSE = Names(_RESPONSE, request=False)


def connection_options(values: Iterable[bytes]) -> frozenset[bytes]:
    """The options of all `Connection` fields, lower-case (RFC 9110 §7.6.1)."""
    return frozenset(option for value in values for part in value.lower().split(b",") if (option := part.strip(b" \t")))


def without(fields: list[tuple[bytes, bytes]], names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields whose lower-case name is not among `names`."""
    return [field for field in fields if field[0].lower() not in names]


def value_of(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of the field with this lower-case name."""
    for each, value in fields:
        if each.lower() == name:
            return value
    return None
