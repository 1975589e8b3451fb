"""An authority and certificates, made for one test run."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues certificates; `path` is its own as PEM."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.path = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate chain and key for a host name or address, as PEM files."""
        issued = self._ca.issue_cert(name)
        cert = self._folder / f"{name}.cert.pem"
        key = self._folder / f"{name}.key.pem"
        cert.write_bytes(b"".join([each.bytes() for each in issued.cert_chain_pems]))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def client_context(self) -> ssl.SSLContext:
        """For clients that trust only this authority."""
        return ssl.create_default_context(cafile=str(self.path))

    def server_context(self, name: str, *, ask_client: bool = False) -> ssl.SSLContext:
        """For a server that is `name`; `ask_client`: only clients with a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = self.issue(name)
        context.load_cert_chain(cert, key)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path)
        return context
