"""Networks: which of them an address is in, and what the configuration says about it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Generic, NamedTuple, TypeVar

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

T = TypeVar("T")

KEPT = 10_000
"""Addresses of which it is remembered what was found."""
LONGEST = 64
"""Characters of what can be an address."""
NOBODY = "unknown"
"""What stands in the place of an address where there is none, as on a UNIX socket."""
CUSTOMER = 64
"""Bits of an IPv6 address that are the network of one customer."""


def address_of(text: str) -> Address | None:
    """The address in a text, without a zone; IPv4 where it is that in the clothes of IPv6. None for what is none."""
    if len(text) > LONGEST:
        return None
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def subject_of(address: Address) -> str:
    """As what an address is counted: itself, or with IPv6 the network that one customer has."""
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> CUSTOMER << CUSTOMER)}/{CUSTOMER}"
    return str(address)


@lru_cache(maxsize=256)
def network_of(text: str) -> Network:
    """The network in a text, or that of one address. Raises `ValueError`, also when host bits are set."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ip_network((int(network.network_address.ipv4_mapped), network.prefixlen - 96))
    return network


def written(network: Network) -> str:
    """A network as people write it: a single address has no length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


class Networks(Generic[T]):
    """A table by network. An address finds what belongs to the narrowest one that it is in."""

    def __init__(self, entries: Iterable[tuple[Network, T]] = ()) -> None:
        self._by_length: dict[tuple[int, int], dict[int, T]] = {}
        for network, value in entries:
            self.set(network, value)

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def set(self, network: Network, value: T) -> None:
        """Put something in; of one network the last counts."""
        key = (network.version, network.prefixlen)
        self._by_length.setdefault(key, {})[_bits(network)] = value

    def discard(self, network: Network) -> None:
        """Take something out, if it is there."""
        key = (network.version, network.prefixlen)
        same = self._by_length.get(key, {})
        same.pop(_bits(network), None)
        if not same:
            self._by_length.pop(key, None)

    def find(self, address: Address) -> T | None:
        """What belongs to the narrowest network around this address; None where there is none."""
        number, most = int(address), address.max_prefixlen
        lengths = [length for version, length in self._by_length if version == address.version]
        for length in sorted(lengths, reverse=True):
            found = self._by_length[address.version, length].get(number >> (most - length))
            if found is not None:
                return found
        return None


def _bits(network: Network) -> int:
    return int(network.network_address) >> (network.max_prefixlen - network.prefixlen)


class Place(NamedTuple):
    """What is known of an address beforehand."""

    address: Address | None
    subject: str
    """As what it is counted."""
    exempt: bool
    """Whether it is never blocked and not counted."""
    denied: bool
    """Whether it is always refused."""


_NOWHERE = Place(None, NOBODY, True, False)
"""Who has no address cannot be told apart from others who have none."""


class Places:
    """What a configuration says about addresses: who is trusted is never refused; else the narrowest network decides,
    and of the same in both lists `allow`.
    """

    def __init__(self, allow: Iterable[Network], deny: Iterable[Network], trusted: Iterable[Network]) -> None:
        self.allow, self.deny, self.trusted = tuple(allow), tuple(deny), tuple(trusted)
        self._lists: Networks[bool] = Networks([(each, False) for each in self.deny])
        for each in self.allow:
            self._lists.set(each, True)
        self._trusted = Networks([(each, True) for each in self.trusted])
        self._kept: dict[str, Place] = {}

    def of(self, text: str) -> Place:
        """What is known of the address in this text."""
        found = self._kept.get(text)
        if found is None:
            found = self._look(text)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            if len(text) <= LONGEST:
                self._kept[text] = found
        return found

    def _look(self, text: str) -> Place:
        address = address_of(text)
        if address is None:
            return _NOWHERE
        allowed = self._lists.find(address)
        exempt = self._trusted.find(address) is not None or allowed is True
        return Place(address, subject_of(address), exempt, allowed is False and not exempt)

    def protected(self, network: Network) -> str:
        """Why this network must not be blocked: the network of the configuration that it overlaps; "" if it may be."""
        for name, networks in (("gateway.trusted_proxies", self.trusted), ("abuse.allow", self.allow)):
            for each in networks:
                if each.version == network.version and each.overlaps(network):
                    return f"{written(each)} of {name}"
        return ""
