"""Who the client is, and what `X-Forwarded-*` and `Forwarded` (RFC 7239) tell the services.

What a peer says of those before it is believed only if the peer is in a trusted network. Then its X-Forwarded-For (or,
without one, its Forwarded) is walked from the right, through trusted addresses: the first that is not trusted is the
client. What is no address (garbage, `unknown`, an obfuscated `_name`) ends the walk at the hop before. What stands to
the left of the client was written by nobody we know, and is not passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

from ttagw.core.target import TargetError, check_host

if TYPE_CHECKING:
    from ttagw.core.identity import Identity

Network = IPv4Network | IPv6Network

NAMES = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"))
"""The fields that are written here, in lower case."""

_HOPS_KEPT = 4096
_HOPS_WALKED = 32
_VIEWS_KEPT = 1024
_LONGEST_KEPT = 1024
_LONGEST_HOP = 64
_DIGITS = b"0123456789"
_SCHEMES = (b"http", b"https")
_PORTS = {b"http": b"80", b"https": b"443"}


class Hop:
    """An address on the way of a request."""

    __slots__ = ("address", "element", "text", "trusted")

    def __init__(self, address: str, trusted: bool) -> None:
        self.address = address
        self.trusted = trusted
        self.text = address.encode("ascii")
        """As in X-Forwarded-For."""
        self.element = b'for="[%b]"' % self.text if ":" in address else b"for=%b" % self.text
        """As in Forwarded."""


class Trust:
    """The networks whose word about earlier hops is taken."""

    __slots__ = ("_hops", "_networks", "views")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._hops: dict[bytes, Hop | None] = {}
        self.views: dict[tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]], ClientView] = {}
        """What `client_view` made lately."""

    def hop(self, text: bytes) -> Hop | None:
        """The address in `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5`; else None."""
        try:
            return self._hops[text]
        except KeyError:
            pass
        address = _address(text)
        hop = None if address is None else Hop(str(address), any(address in network for network in self._networks))
        if len(self._hops) >= _HOPS_KEPT:
            self._hops.clear()
        if len(text) <= _LONGEST_HOP:
            self._hops[text] = hop
        return hop


def _address(text: bytes) -> IPv4Address | IPv6Address | None:
    if len(text) > _LONGEST_HOP or b"%" in text:
        return None
    port = b""
    if text[:1] == b"[":
        text, bracket, port = text[1:].partition(b"]")
        if not bracket or b":" not in text or port[:1] not in (b"", b":") or port == b":":
            return None
        port = port[1:]
    elif text.count(b":") == 1:
        text, _, port = text.partition(b":")
        if not port:
            return None
    if port.translate(None, _DIGITS):
        return None
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class ClientView:
    """A request as its client sent it. Shared: read only."""

    __slots__ = ("address", "host", "lines", "scheme")

    def __init__(self, address: str, scheme: bytes, host: bytes, lines: bytes) -> None:
        self.address = address
        self.scheme = scheme
        self.host = host
        self.lines = lines
        """The fields for the service, each ended by CR LF, names in lower case."""


class Peer:
    """Who is at the other end of a connection; made once for each."""

    __slots__ = (
        "_view",
        "_view_host",
        "address",
        "certificate",
        "element",
        "identity",
        "lines",
        "port",
        "scheme",
        "shared",
        "text",
        "trusted",
    )

    def __init__(self, address: str, trust: Trust, scheme: bytes, port: int) -> None:
        """`address` as the transport gives it, "" on a UNIX socket; `scheme` and `port`: what the peer connected to."""
        hop = trust.hop(address.partition("%")[0].encode("ascii", "replace"))
        self.address = hop.address if hop is not None else "unknown"
        self.trusted = hop is not None and hop.trusted
        self.shared = hop is None or hop.trusted
        """Whether it may speak for many who know nothing of one another: a proxy, or something on this machine."""
        self.scheme = scheme
        self.port = b"%d" % port
        self.text = hop.text if hop is not None else b"unknown"
        self.element = b"%b;proto=%b" % (hop.element if hop is not None else b"for=unknown", scheme)
        self.lines = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-port: %b\r\n" % (
            self.text,
            scheme,
            self.port,
        )
        self.certificate: Callable[[], Any] | None = None
        """Gives the certificate that the peer has shown; None where there can be none, or once it has been read."""
        self.identity: Identity | None = None
        """Whose certificate it is, once that was asked."""
        self._view_host: bytes | None = None
        self._view = ClientView(self.address, scheme, b"", b"")

    def view(self, host: bytes) -> ClientView:
        """The peer as the client itself, asking for this (checked) Host, b"" if there is none."""
        # A connection nearly always asks for one host.
        if host != self._view_host:
            lines = b"%b%bforwarded: %b%b\r\n" % (self.lines, _field(host), self.element, _parameter(host))
            self._view = ClientView(self.address, self.scheme, host, lines)
            self._view_host = host
        return self._view


def client_view(peer: Peer, trust: Trust, host: bytes, fields: Sequence[tuple[bytes, bytes]]) -> ClientView:
    """Who asks and for what. `host` is the checked Host as sent, `fields` are (lower-case name, value) pairs.

    A trusted peer that names no readable address is the client itself; its word about scheme and host is still taken.
    For the service, take all incoming fields in `NAMES` away and put the view's `lines` in.
    """
    if not peer.trusted:
        return peer.view(host)
    relevant = tuple([field for field in fields if field[0] in NAMES])
    if not relevant:
        return peer.view(host)
    key = (peer.lines, host, relevant)
    view = trust.views.get(key)
    if view is None:
        view = _make_view(peer, trust, host, relevant)
        if len(trust.views) >= _VIEWS_KEPT:
            trust.views.clear()
        if sum([len(value) for _, value in relevant]) <= _LONGEST_KEPT:
            trust.views[key] = view
    return view


def _make_view(peer: Peer, trust: Trust, host: bytes, fields: Sequence[tuple[bytes, bytes]]) -> ClientView:
    said = _Said(fields)
    hops, scheme, asked = said.hops(trust)
    asked = asked or host
    port = said.port or _port_of(asked) or _PORTS.get(scheme, peer.port)
    scheme = scheme or peer.scheme
    address = hops[0].address if hops else peer.address
    return ClientView(address, scheme, asked, _lines(peer, hops, scheme, asked, port, host))


def _lines(peer: Peer, hops: list[Hop], scheme: bytes, asked: bytes, port: bytes, host: bytes) -> bytes:
    addresses = [hop.text for hop in hops]
    addresses.append(peer.text)
    elements = [hop.element for hop in hops]
    if hops:
        elements[0] = b"%b;proto=%b%b" % (elements[0], scheme, _parameter(asked))
    elements.append(peer.element + _parameter(host))
    return (b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-port: %b\r\n%bforwarded: %b\r\n") % (
        b", ".join(addresses),
        scheme,
        port,
        _field(asked),
        b", ".join(elements),
    )


def _field(host: bytes) -> bytes:
    return b"x-forwarded-host: %b\r\n" % host if host else b""


def _parameter(host: bytes) -> bytes:
    return b';host="%b"' % host if host else b""


class _Said:
    """What a trusted peer says in its fields (all of them in `NAMES`): only what can be used, else b""."""

    __slots__ = ("_chain", "_forwarded", "_host", "_proto", "port")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._chain = self._forwarded = self._proto = self._host = port = b""
        for name, value in fields:
            if name == b"x-forwarded-for":
                self._chain = self._chain + b"," + value if self._chain else value
            elif name == b"forwarded":
                self._forwarded = self._forwarded + b"," + value if self._forwarded else value
            elif name == b"x-forwarded-proto":
                self._proto = value
            elif name == b"x-forwarded-host":
                self._host = value
            else:
                port = value
        self.port = _port(_last(port))

    def hops(self, trust: Trust) -> tuple[list[Hop], bytes, bytes]:
        """The way from the client to the peer, and the scheme and host that the client used."""
        hops: list[Hop] = []
        element: dict[bytes, bytes] = {}
        for piece in reversed((self._chain or self._forwarded).rsplit(b",", _HOPS_WALKED)[-_HOPS_WALKED:]):
            said = {b"for": piece.strip(b" \t")} if self._chain else parse_element(piece)
            hop = trust.hop(said.get(b"for", b""))
            if hop is None:
                break
            element = said
            hops.append(hop)
            if not hop.trusted:
                break
        hops.reverse()
        scheme = _scheme(_last(self._proto) or element.get(b"proto", b""))
        return hops, scheme, _host(_last(self._host) or element.get(b"host", b""))


def _last(value: bytes) -> bytes:
    """The member of a list that the nearest proxy wrote."""
    return value.rpartition(b",")[2].strip(b" \t")


def _scheme(value: bytes) -> bytes:
    value = value.lower()
    return value if value in _SCHEMES else b""


def _host(value: bytes) -> bytes:
    try:
        check_host(value)
    except TargetError:
        return b""
    return value


def _port(value: bytes) -> bytes:
    good = 0 < len(value) <= 5 and not value.translate(None, _DIGITS) and 1 <= int(value) <= 65535
    return value if good else b""


def _port_of(host: bytes) -> bytes:
    return _port(host.rpartition(b"]")[2].partition(b":")[2])


def parse_element(piece: bytes) -> dict[bytes, bytes]:
    """One element of a Forwarded field (RFC 7239 §4): parameter names in lower case, quotes taken off; {} if malformed.

    A quoted comma or semicolon counts as malformed. No address, scheme or host has one, and so a quotation mark that a
    client left open cannot swallow what a proxy has written after it.
    """
    element: dict[bytes, bytes] = {}
    for pair in piece.split(b";"):
        name, _, value = pair.strip(b" \t").partition(b"=")
        if value[:1] == b'"':
            if len(value) < 2 or value[-1:] != b'"':
                return {}
            value = value[1:-1]
        name = name.lower()
        if not name or not value or name in element or b'"' in value or b"\\" in value:
            return {}
        element[name] = value
    return element
