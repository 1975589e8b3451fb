"""What a Redis URL says. No error repeats any of it: what somebody mistyped may be a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from twisted.internet.abstract import isIPv6Address

PORT = 6379
SENTINEL_PORT = 26379
MOST_DB = 1_000_000

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Address(NamedTuple):
    """Where to connect."""

    host: str
    port: int


@dataclass(frozen=True)
class RedisSettings:
    """One Redis, or one name that Sentinels know."""

    addresses: tuple[Address, ...]
    """The Redis, or its Sentinels when there is a `master`."""
    tls: bool = False
    user: str = field(default="", repr=False)
    password: str | None = field(default=None, repr=False)
    db: int = 0
    master: str = ""
    """The name that the Sentinels know; "" without Sentinels."""


def parse(url: str) -> RedisSettings:
    """Read `redis://`, `rediss://` or `redis+sentinel://`. Raises `ValueError` with a sentence that holds no secret."""
    scheme, _, rest = url.partition("://")
    if "?" in rest or "#" in rest:
        raise ValueError("a Redis URL has no options: a ? or # in a password is written as %3F or %23")
    authority, _, path = rest.partition("/")
    if "@" in path:
        raise ValueError("a / in the password of a Redis URL is written as %2F")
    who, _, where = authority.rpartition("@")
    user, password = _credentials(who)
    if scheme == "redis+sentinel":
        master, _, db = path.partition("/")
        if not _NAME.fullmatch(master):
            raise ValueError("a redis+sentinel URL ends in the name that the Sentinels know, as in …/NAME or …/NAME/0")
        addresses = tuple(_address(each, SENTINEL_PORT) for each in where.split(","))
        return RedisSettings(addresses, False, user, password, _db(db), master)
    if scheme not in ("redis", "rediss"):
        raise ValueError("a Redis URL begins with redis://, rediss:// or redis+sentinel://")
    return RedisSettings((_address(where, PORT),), scheme == "rediss", user, password, _db(path))


def _credentials(who: str) -> tuple[str, str | None]:
    if not who:
        return "", None
    user, colon, password = who.partition(":")
    # Alone it is the password, as redis-cli reads it.
    user, password = (user, password) if colon else ("", user)
    if not password:
        raise ValueError("the Redis URL has a user without a password")
    return unquote(user), unquote(password)


def _address(text: str, default: int) -> Address:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", text)
    if found is None:
        raise ValueError("a Redis URL has its host as HOST, HOST:PORT or [IPV6]:PORT")
    host, port = found[1], found[2]
    if host.startswith("["):
        host = host[1:-1]
        known = isIPv6Address(host)
    else:
        known = _HOST.fullmatch(host) is not None
    if not known:
        raise ValueError("a Redis URL has a host that is a name or an address")
    if port is None:
        return Address(host, default)
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("the port in a Redis URL is a number from 1 to 65535")
    return Address(host, int(port))


def _db(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > MOST_DB:
        raise ValueError("the database in a Redis URL is a number from 0")
    return int(text)
