"""TLS listeners that ask their clients for a certificate.

A client may show none. One that shows a certificate which does not verify (of another authority, over, not for clients)
gets no connection: OpenSSL ends the handshake, so whatever certificate a connection has is a good one.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

MOST_BYTES = 1024 * 1024
"""Of a file of authorities."""

_FAILED = "certificate verify failed"
"""What OpenSSL calls it (`SSL_R_CERTIFICATE_VERIFY_FAILED`)."""


class AuthoritiesError(Exception):
    """A file of authorities cannot be used; the message says which and why."""


class Authorities:
    """Those whose certificates are accepted from clients."""

    def __init__(self, path: str) -> None:
        """`path` is a PEM file. Raises `AuthoritiesError`."""
        try:
            with open(path, "rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise AuthoritiesError(f"{path}: cannot be read: {error.strerror}") from None
        if len(data) > MOST_BYTES:
            raise AuthoritiesError(f"{path}: more than 1 MiB")
        if b"-----BEGIN CERTIFICATE-----" not in data:
            raise AuthoritiesError(f"{path}: no PEM certificate in it")
        try:
            self._certificates = [X509.from_cryptography(each) for each in x509.load_pem_x509_certificates(data)]
        except ValueError:
            raise AuthoritiesError(f"{path}: not certificates in PEM") from None

    def put_into(self, store: Any) -> None:
        """Trust each of them, an intermediate one too, and nobody else."""
        for certificate in self._certificates:
            store.add_cert(certificate)
        store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


@implementer(IOpenSSLServerConnectionCreator)
class Asking:
    """Makes the TLS side of connections as `options` say, and asks each client for a certificate.

    Twisted's options give out neither tickets nor sessions, so nobody comes in on the verification of an earlier
    connection, and nobody who does comes without the certificate.
    """

    def __init__(self, options: CertificateOptions, authorities: Authorities) -> None:
        self._options = options
        authorities.put_into(options.getContext().get_cert_store())

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803 - Twisted's name
        """The next connection's."""
        connection = self._options.serverConnectionForTLS(tlsProtocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE)
        return connection


class AskingReactor:
    """A reactor for endpoints: what listens with TLS on it asks for certificates."""

    def __init__(self, reactor: Any, authorities: Authorities) -> None:
        self._reactor = reactor
        self._authorities = authorities

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: CertificateOptions,  # noqa: N803 - Twisted's name
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        """See `twisted.internet.interfaces.IReactorSSL`."""
        asking = Asking(contextFactory, self._authorities)
        return self._reactor.listenSSL(port, factory, asking, backlog=backlog, interface=interface)


def certificate_of(transport: Any) -> x509.Certificate | None:
    """The verified certificate that the client at the other end of a TLS connection has shown."""
    found: x509.Certificate | None = transport.getHandle().get_peer_certificate(as_cryptography=True)
    return found


def refused(error: BaseException | None) -> bool:
    """Whether this is how a connection ends whose client has shown a certificate that does not verify."""
    if not isinstance(error, SSL.Error) or not error.args or not isinstance(error.args[0], list):
        return False
    return any(_FAILED in each for each in error.args[0])
