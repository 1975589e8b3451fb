"""Links to a name over plain TCP.

To resolve a name and to connect through an endpoint costs four times what a bare socket does. So it is done now and
then, and whenever a check has failed; in between, the address that was found last is asked.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint

from ttagw.registry.probes.check import Link
from ttagw.registry.probes.direct import Direct
from ttagw.registry.probes.through import Through

REMEMBERED = 60.0
"""Seconds for which an address is used."""


class Named:
    """Makes links to what `endpoint` leads to."""

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._known: tuple[socket.AddressFamily, tuple[str, int]] | None = None
        self._until = float("-inf")

    def link(self, now: float) -> Link:
        """A link for one check; `now` is monotonic seconds."""
        if now >= self._until:
            self._known = None
        if self._known is not None:
            return Direct(self._reactor, *self._known)

        def found(address: IAddress) -> None:
            if isinstance(address, IPv4Address | IPv6Address):
                family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
                self._known = (family, (address.host, address.port))
                self._until = now + REMEMBERED

        return Through(self._endpoint, tls=False, found=found)

    def forget(self) -> None:
        """The address may not be right any more."""
        self._known = None
