"""The target of a request and its Host, each taken in one form only.

The rule for paths: a path is taken in its one canonical form, and what was matched is what is forwarded.

1. Percent-encoded unreserved characters are decoded (RFC 3986 §2.3), the hex digits of all others are upper-cased
   (§6.2.2).
2. Refused, because services disagree about what they mean: empty segments (`//`), the segments `.` and `..` in any
   spelling, also before a `;` (`..;x`), a segment that is nothing but parameters (`;x`), `%2F`, `%5C`, encoded control
   characters (`%00` to `%1F`, `%7F`), `\\`, `#`, bytes outside printable ASCII (0x21 to 0x7E), a `%` without two hex
   digits, and a path that does not begin with `/`.
3. Everything else stays byte for byte: a slash at the end, parameters after `;`, all other encoded bytes.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address


def _only(taken: bytes) -> bytes:
    """A table that changes every other byte: to translate with it costs a third of looking for what is left over."""
    return bytes([byte if byte in taken else byte ^ 0x80 for byte in range(256)])


_PRINTABLE = bytes(range(0x21, 0x7F))
_DIGITS = b"0123456789"
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_IN_PATH = _PRINTABLE.translate(None, b"\\#?")
# A `;` is fine, but makes a segment worth a closer look.
_PLAIN = _only(_IN_PATH.translate(None, b"%;"))
_IN_QUERY = _only(_PRINTABLE.translate(None, b"#"))
# RFC 3986 §3.2.2 without percent-encoding, which no resolver takes, and without the comma, which joins two fields.
_IN_NAME = _UNRESERVED + b"!$&'()*+;="
_IN_IPV6 = b"0123456789abcdefABCDEF:."

_LONGEST_HOST = 260
"""Bytes: a DNS name of 253, the dot at its end, a colon and five digits."""
_HOSTS_KEPT = 1024


class TargetError(ValueError):
    """A target or Host that is not taken. `reason` is a short fixed token, never anything that was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _escapes() -> tuple[dict[bytes, bytes], dict[bytes, str]]:
    taken: dict[bytes, bytes] = {}
    refused: dict[bytes, str] = {}
    digits = "0123456789abcdefABCDEF"
    for pair in [(high + low).encode() for high in digits for low in digits]:
        code = int(pair, 16)
        if code < 0x20 or code == 0x7F:
            refused[pair] = "encoded_control"
        elif code == 0x2F:
            refused[pair] = "encoded_slash"
        elif code == 0x5C:
            refused[pair] = "encoded_backslash"
        else:
            byte = bytes((code,))
            taken[pair] = byte if byte in _UNRESERVED else b"%" + pair.upper()
    return taken, refused


_TAKEN, _REFUSED = _escapes()


def canonical(path: bytes) -> bytes:
    """The canonical form of a path without its query; the same object if it is canonical already.

    Raises `TargetError` for a path that has none (see above).
    """
    # `find` takes half the time of `in`, which looks for an int first.
    if path.translate(_PLAIN) == path and path[:1] == b"/" and path.find(b"//") < 0 and path.find(b"/.") < 0:
        return path
    return _normalise(path)


def _normalise(path: bytes) -> bytes:
    if path[:1] != b"/":
        raise TargetError("path_without_slash")
    if path.translate(None, _IN_PATH):
        raise TargetError("byte_in_path")
    if b"%" in path:
        path = _decode(path)
    if b"//" in path:
        raise TargetError("empty_segment")
    for segment in path[1:].split(b"/"):
        name, mark, _ = segment.partition(b";")
        if name in (b".", b".."):
            raise TargetError("dot_segment")
        if mark and not name:
            raise TargetError("empty_segment")
    return path


def _decode(path: bytes) -> bytes:
    first, *others = path.split(b"%")
    pieces = [first]
    for other in others:
        pair = other[:2]
        piece = _TAKEN.get(pair)
        if piece is None:
            raise TargetError(_REFUSED.get(pair, "bad_escape"))
        pieces.append(piece)
        pieces.append(other[2:])
    return b"".join(pieces)


def split_target(target: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """Path (not yet canonical), query and authority of a request target (RFC 9112 §3.2).

    The query is None without a `?`, and otherwise what was sent. The authority is None but for the absolute form; it is
    lower-cased, to be compared with the lower-cased Host. `*` is the path of the asterisk form. Raises `TargetError`.
    """
    if target[:1] == b"/":
        path, mark, query = target.partition(b"?")
        if not mark:
            return path, None, None
        if query.translate(_IN_QUERY) != query:
            raise TargetError("byte_in_query")
        return path, query, None
    if target == b"*":
        return target, None, None
    return _split_absolute(target)


def _split_absolute(target: bytes) -> tuple[bytes, bytes | None, bytes]:
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        raise TargetError("form_of_target")
    before, mark, query = rest.partition(b"?")
    if query.translate(_IN_QUERY) != query:
        raise TargetError("byte_in_query")
    authority, slash, path = before.partition(b"/")
    check_host(authority)
    return slash + path or b"/", query if mark else None, authority.lower()


_hosts: dict[bytes, bytes] = {}


def check_host(value: bytes) -> bytes:
    """The name in a Host field or an authority, for matching: lower-cased, without the port and a dot at its end.

    IPv6 literals keep their brackets. Raises `TargetError` for anything but `host [":" port]` (RFC 3986 §3.2): for an
    empty value, user info, a path, a comma, a space, a port outside 1 to 65535; for percent-encoding and IPvFuture too.
    """
    host = _hosts.get(value)
    if host is None:
        host = _check_host(value)
        if len(_hosts) >= _HOSTS_KEPT:
            _hosts.clear()
        _hosts[value] = host
    return host


def _check_host(value: bytes) -> bytes:
    if not value:
        raise TargetError("empty_host")
    if len(value) > _LONGEST_HOST:
        raise TargetError("long_host")
    if b"@" in value:
        raise TargetError("user_info")
    if value[:1] == b"[":
        inner, bracket, after = value[1:].partition(b"]")
        if not bracket or not _is_ipv6(inner) or (after and after[:1] != b":"):
            raise TargetError("bad_host")
        name, port = b"[%b]" % inner, after[1:]
    else:
        name, _, port = value.partition(b":")
        name = name.removesuffix(b".")
        if not name or name.translate(None, _IN_NAME):
            raise TargetError("bad_host")
    # RFC 3986 §3.2.3: a colon with nothing after it is the default port.
    if port and (port.translate(None, _DIGITS) or len(port) > 5 or not 1 <= int(port) <= 65535):
        raise TargetError("bad_port")
    return name.lower()


def _is_ipv6(text: bytes) -> bool:
    if text.translate(None, _IN_IPV6):
        return False
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True
