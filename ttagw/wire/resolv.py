"""The two files in which a machine says how it resolves names: resolv.conf(5) and hosts(5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from twisted.internet.abstract import isIPAddress, isIPv6Address

RESOLV = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")

_PORT = 53
_LARGEST = 1 << 20
"""Bytes of such a file that are read."""
_MOST_DOTS = 15

T = TypeVar("T")

Server = tuple[str, int]
"""Address and port of a name server."""
Addresses = tuple[str, ...]
"""IPv4 and IPv6."""


@dataclass(frozen=True, slots=True)
class Resolv:
    """Whom to ask, and for what."""

    servers: tuple[Server, ...] = (("127.0.0.1", _PORT),)
    search: tuple[str, ...] = ()
    """Domains in which a short name may be."""
    ndots: int = 1
    """A name with fewer dots is looked for in those domains first."""


def parse_resolv(text: str) -> Resolv:
    """What a resolv.conf says; lines that make no sense are passed over."""
    servers: list[Server] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver" and values and is_address(values[0]):
            servers.append((values[0], _PORT))
        elif key in ("search", "domain"):
            search = tuple([each.rstrip(".") for each in values if each.rstrip(".")])
        elif key == "options":
            numbers = [each[6:] for each in values if each.startswith("ndots:") and each[6:].isdecimal()]
            ndots = min(int(numbers[-1]), _MOST_DOTS) if numbers else ndots
    return Resolv(tuple(servers) or Resolv().servers, search, ndots)


def parse_hosts(text: str) -> dict[str, Addresses]:
    """The addresses of each name in a hosts file, in its order."""
    found: dict[str, Addresses] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names if is_address(address) else ():
            known = found.get(name.lower(), ())
            found[name.lower()] = known if address in known else (*known, address)
    return found


def is_address(text: str) -> bool:
    """Whether it is an address and not a name."""
    return bool(isIPAddress(text) or isIPv6Address(text))


class Followed(Generic[T]):
    """What a file says, read again once it has changed. One that is not there says nothing."""

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._stamp: tuple[int, ...] | None = None
        self._value = parse("")

    def __call__(self) -> T:
        try:
            about = os.stat(self._path)
            stamp = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            if stamp != self._stamp:
                with self._path.open("rb") as file:
                    self._value = self._parse(file.read(_LARGEST).decode("utf-8", "replace"))
                self._stamp = stamp
        except OSError:
            if self._stamp is not None:
                self._stamp, self._value = None, self._parse("")
        return self._value
