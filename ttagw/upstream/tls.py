"""TLS to services: verified against the configured authority, with a client certificate where one is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class TlsSettings(Protocol):
    """What `services.*.tls` says; empty where nothing is said."""

    @property
    def ca(self) -> str: ...
    @property
    def cert(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def server_name(self) -> str: ...


class TlsFileError(Exception):
    """A certificate or key cannot be used; the message says which and why."""


def _certificates(path: str) -> list[Certificate]:
    parts = Path(path).read_bytes().split(_BEGIN)[1:]
    if not parts:
        raise TlsFileError(f"{path}: no PEM certificate in it")
    return [Certificate.loadPEM(_BEGIN + part) for part in parts]


def client_options(host: str, settings: TlsSettings | None) -> IOpenSSLClientConnectionCreator:
    """How to prove and to check identity with a service. Raises `TlsFileError`.

    The name that is checked is `server_name`, or the host of the instance's URL; the authorities are those in `ca`, or
    the system's.
    """
    trust = platformTrust()
    identity = None
    name = host
    if settings is not None:
        name = settings.server_name or host
        path = settings.ca
        try:
            if settings.ca:
                trust = trustRootFromCertificates(_certificates(settings.ca))
            if settings.cert:
                path = settings.cert
                pem = Path(settings.cert).read_bytes() + b"\n" + Path(settings.key or settings.cert).read_bytes()
                identity = PrivateCertificate.loadPEM(pem)
        except TlsFileError:
            raise
        except OSError as error:
            raise TlsFileError(f"{error.filename}: {error.strerror}") from None
        except Exception as error:
            raise TlsFileError(
                f"{path}: not a certificate and key in PEM that fit together ({type(error).__name__})"
            ) from None
    return optionsForClientTLS(name, trustRoot=trust, clientCertificate=identity)
