"""Who a program is by the certificate that it has shown (mutual TLS).

The listener has verified the certificate by then; here it is only read, once for each connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.logger import Logger

from ttagw.config.auth import Client
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.model import Exchange

_KINDS: Mapping[type[x509.GeneralName], str] = {
    x509.DNSName: "dns",
    x509.UniformResourceIdentifier: "uri",
    x509.RFC822Name: "email",
}
_FOR_CLIENTS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)

Unreadable = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What `cryptography` raises for a certificate that OpenSSL takes and that still cannot be read."""


class Certificates:
    """Knows programs by their certificates."""

    log = Logger()

    def __init__(self, clients: Sequence[Client], roles: Roles, wall: Callable[[], float] = time.time) -> None:
        self._clients = [(canonical(each.match), each) for each in clients]
        self._roles = roles
        self._wall = wall

    def identify(self, exchange: Exchange) -> Identity | None:
        """Who is at the other end of the connection; None without a certificate, with one of nobody here, or with one
        that is over by now.
        """
        peer = exchange.peer
        read = peer.certificate
        if read is not None:
            peer.certificate = None
            peer.identity = self._owner_of(read)
        identity = peer.identity
        return identity if identity is not None and identity.begins <= self._wall() < identity.ends else None

    def _owner_of(self, read: Callable[[], x509.Certificate | None]) -> Identity | None:
        try:
            certificate = read()
            return None if certificate is None else self.owner(certificate)
        except Unreadable:
            self.log.warn("a certificate of a client cannot be read, and so it is of nobody")
            return None

    def owner(self, certificate: x509.Certificate) -> Identity | None:
        """Whose it is: the first of the clients that it matches. Raises `Unreadable`."""
        says = names_in(certificate)
        client = next((each for match, each in self._clients if match in says), None)
        if client is None:
            return None
        return Identity(
            "certificate",
            client.name,
            client.roles,
            self._roles.permissions(client.roles) | {*client.permissions},
            begins=certificate.not_valid_before_utc.timestamp(),
            ends=certificate.not_valid_after_utc.timestamp(),
        )


def canonical(match: str) -> str:
    """What is to match, in the one form in which `names_in` has it."""
    kind, _, value = match.partition(":")
    return f"{kind}:{value.lower()}" if kind == "dns" else match


def names_in(certificate: x509.Certificate) -> frozenset[str]:
    """All that can match a certificate, such as `dns:core-gameplay.internal` and `subject:CN=core-gameplay,O=TTA`.

    A wildcard is the name of nobody in particular. The common name counts only without alternative names (RFC 9525
    §2), and only if there is one. Nothing matches a certificate that is not for clients. Raises `Unreadable`.
    """
    if not _is_for_clients(certificate):
        return frozenset()
    found = {f"subject:{certificate.subject.rfc4514_string()}"}
    try:
        names: Sequence[x509.GeneralName] = list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(common) == 1:
            found.add(f"cn:{_text(common[0].value)}")
        return frozenset(found)
    for name in names:
        kind = _KINDS.get(type(name))
        if kind is not None and not (kind == "dns" and "*" in name.value):
            found.add(canonical(f"{kind}:{name.value}"))
    return frozenset(found)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(each in usage for each in _FOR_CLIENTS)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
