"""What happens to each header field on its way through, decided by its name alone.

The decision is made once for each sequence of names, see `Plans`. Sources: RFC 9110 §7.6.1 (hop-by-hop fields), RFC
3875 (why underscores are refused).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

Fields = list[tuple[bytes, bytes]]
Laid = tuple[Fields, bytes]
"""Fields, and the lines that they were written as: true of fields that are equal to those."""

_SEPARATOR = b": "
_KEPT = 1024
"""Plans kept."""
_LONGEST_KEPT = 2048
"""Bytes of names above which a plan is not worth its memory."""

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
CREDENTIAL = 12
"""What says who is asking, or why: for the gateway, and on to a service only where it is not the gateway's to judge."""

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

_FOR_PARSERS = (b"proxy-connection",)
"""What means nothing here, and something to llhttp."""

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
    b"authorization": CREDENTIAL,
    b"x-api-key": CREDENTIAL,
    b"x-break-glass-reason": CREDENTIAL,
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


class Plan:
    """What to do with a head whose fields have certain names in a certain order."""

    __slots__ = ("coding", "connection", "credentials", "free", "host", "keep", "kept", "length", "special")

    def __init__(self, kinds: Sequence[int], names: Sequence[bytes], *, trusted: bool) -> None:
        """`names` are in lower case."""
        passing = (PASS, TRUSTED) if trusted else (PASS,)
        ignored = (*passing, DROP, TRUSTED, CREDENTIAL) + (() if trusted else (FORWARDED, REQUEST_ID))
        self.kept = tuple([place for place, kind in enumerate(kinds) if kind in passing])
        """Places of the fields that go on."""
        self.keep = _picker(self.kept, len(kinds))
        """Gives the fields that go on."""
        self.free = frozenset(
            [place for place, kind in enumerate(kinds) if kind in ignored and names[place] not in _FOR_PARSERS]
        )
        """Places of the fields whose values mean nothing for how the message is read."""
        self.host = _only(kinds, HOST)
        """Place of the one Host; -1: there is none, -2: there are several. The same below."""
        self.length = _only(kinds, CONTENT_LENGTH)
        self.coding = _only(kinds, TRANSFER_ENCODING)
        self.connection = _only(kinds, CONNECTION)
        self.credentials = tuple([(names[place], place) for place, kind in enumerate(kinds) if kind == CREDENTIAL])
        """Name and place of what says who is asking."""
        self.special = tuple([(kind, place) for place, kind in enumerate(kinds) if kind not in (*ignored, HOST)])
        """Kind and place of every other field that means something here."""


def _only(kinds: Sequence[int], kind: int) -> int:
    count = kinds.count(kind)
    return kinds.index(kind) if count == 1 else -1 - (count > 1)


def _picker(places: Sequence[int], size: int) -> Callable[[Fields], Fields]:
    if len(places) == size:
        return list
    if len(places) < 2:
        return lambda raw: [raw[place] for place in places]
    getter = itemgetter(*places)
    return lambda raw: list(getter(raw))


class Plans:
    """Plans by the names of a head's fields.

    The same clients and services send the same names in the same order again and again, so a plan is nearly always
    there already. The table is bounded: when it is full it begins anew.
    """

    __slots__ = ("_known", "_plans", "_request", "_trusted")

    def __init__(self, known: dict[bytes, int], *, request: bool, trusted: bool) -> None:
        self._known = known
        self._request = request
        self._trusted = trusted
        self._plans: dict[tuple[bytes, ...], Plan] = {}

    def of(self, raw: Fields) -> Plan:
        """The plan for these fields."""
        names = tuple([name for name, _ in raw])
        plan = self._plans.get(names)
        return self._make(names) if plan is None else plan

    def _make(self, names: tuple[bytes, ...]) -> Plan:
        if len(self._plans) >= _KEPT:
            self._plans.clear()
        plan = Plan([self.kind(name) for name in names], [name.lower() for name in names], trusted=self._trusted)
        if sum(map(len, names)) <= _LONGEST_KEPT:
            self._plans[names] = plan
        return plan

    def kind(self, name: bytes) -> int:
        """What to do with a field of this name, in whatever spelling."""
        lower = name.lower()
        kind = self._known.get(lower)
        if kind is not None or not self._request:
            return kind or PASS
        if b"_" in lower:
            return REFUSE
        if lower.startswith(b"x-forwarded-"):
            return TRUSTED
        return DROP if lower.startswith((b"x-tta-", b"ttagw-")) else PASS


def lay(fields: Fields, laid: Laid | None = None) -> bytes:
    """The lines of these fields, with CR LF between them. `laid` spares it where they begin with those."""
    if laid is not None:
        known, text = laid
        count = len(known)
        if count and fields[:count] == known:
            return b"\r\n".join((text, *map(_SEPARATOR.join, fields[count:])))
    return b"\r\n".join(map(_SEPARATOR.join, fields))


REQUESTS = Plans(_REQUEST, request=True, trusted=False)
"""For clients."""
TRUSTED_REQUESTS = Plans(_REQUEST, request=True, trusted=True)
"""For trusted proxies."""
RESPONSES = Plans(_RESPONSE, request=False, trusted=True)
"""For services."""


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
