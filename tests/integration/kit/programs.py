"""Certificates that programs show as clients, good and bad."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

DAY = timedelta(days=1)


class Programs:
    """An authority for programs; `path` is its certificate as PEM."""

    def __init__(self, folder: Path, name: str = "programs") -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self._count = 0
        self._name = name
        self.path = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def usual(self, *names: str, common_name: str | None = None) -> Path:
        """A certificate as authorities issue them, with these alternative names; it and its key in one file."""
        issued = self._ca.issue_cert(*names, common_name=common_name)
        return self._write(issued.private_key_and_cert_chain_pem.bytes())

    def odd(
        self,
        subject: str = "CN=odd,O=TTA",
        names: Sequence[x509.GeneralName] = (),
        *,
        usage: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        age: timedelta = timedelta(0),
        lasts: timedelta = DAY,
        own: bool = False,
    ) -> Path:
        """A certificate as only somebody who makes one by hand would make it; `own`: signed by nobody but itself."""
        data = certificate(self._ca, subject, names, usage=usage, age=age, lasts=lasts, own=own)
        return self._write(b"".join(data))

    def _write(self, data: bytes) -> Path:
        self._count += 1
        path = self._folder / f"{self._name}-{self._count}.pem"
        path.write_bytes(data)
        return path


def certificate(
    ca: trustme.CA,
    subject: str,
    names: Sequence[x509.GeneralName] = (),
    *,
    usage: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    age: timedelta = timedelta(0),
    lasts: timedelta = DAY,
    own: bool = False,
) -> tuple[bytes, bytes]:
    """A certificate and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    name = x509.Name.from_rfc4514_string(subject) if subject else x509.Name([])
    begins = datetime.now(UTC) - age - timedelta(minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if own else authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    made = builder.sign(key if own else signer, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def showing(authority: Path, shown: Path | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """For clients that trust `authority` and show this certificate."""
    context = ssl.create_default_context(cafile=str(authority))
    if shown is not None:
        context.load_cert_chain(shown)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context
