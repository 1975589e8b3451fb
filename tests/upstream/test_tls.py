from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_twisted
import trustme
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates

from tests.sockets import Recorder
from tests.twisted_hygiene import reactor, until
from tests.upstream.served import OK, Upstreamed
from ttagw.upstream.tls import TlsFileError, client_options


@dataclass
class Settings:
    """As `services.*.tls`."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""


@dataclass
class Files:
    """Certificates in files."""

    ca: str
    other_ca: str
    client: str
    client_key: str
    server: PrivateCertificate
    root: Certificate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    ca, other = trustme.CA(key_type=trustme.KeyType.ECDSA), trustme.CA(key_type=trustme.KeyType.ECDSA)
    server, client = ca.issue_cert("up.test"), ca.issue_cert("gateway.test")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    other.cert_pem.write_to_path(str(folder / "other.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    return Files(
        str(folder / "ca.pem"),
        str(folder / "other.pem"),
        str(folder / "client.pem"),
        str(folder / "client.key"),
        PrivateCertificate.loadPEM(server.private_key_and_cert_chain_pem.bytes()),
        Certificate.loadPEM(ca.cert_pem.bytes()),
    )


class Service(Recorder):
    """Answers everything, over TLS."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(OK)


async def asked(files: Files, settings: Settings, *, demand: bool = False) -> tuple[int, str]:
    """What becomes of a request to a TLS service."""
    factory = Factory.forProtocol(Service)
    factory.noisy = False
    root = trustRootFromCertificates([files.root]) if demand else None
    options = files.server.options(files.root) if root is not None else files.server.options()
    port = reactor.listenSSL(0, factory, options, interface="127.0.0.1")
    served = Upstreamed(tls=True)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    served.pool._endpoint = wrapClientTLS(client_options("up.test", settings), endpoint)
    ask = served.ask()
    await until(lambda: ask.over)
    served.pool.stop()
    await until(lambda: not served.pool.size)
    await port.stopListening()
    return ask.result


@pytest_twisted.ensureDeferred
async def test_a_service_with_a_good_certificate_is_spoken_to(files: Files) -> None:
    assert await asked(files, Settings(ca=files.ca)) == (200, "")


@pytest_twisted.ensureDeferred
async def test_a_service_by_an_unknown_authority_is_not(files: Files) -> None:
    assert await asked(files, Settings(ca=files.other_ca)) == (503, "tls_failed")


@pytest_twisted.ensureDeferred
async def test_a_service_with_another_name_is_not(files: Files) -> None:
    assert await asked(files, Settings(ca=files.ca, server_name="other.test")) == (503, "tls_failed")


@pytest_twisted.ensureDeferred
async def test_the_systems_authorities_do_not_know_it(files: Files) -> None:
    assert await asked(files, Settings()) == (503, "tls_failed")


@pytest_twisted.ensureDeferred
async def test_a_service_that_wants_a_certificate_gets_ours(files: Files) -> None:
    ours = Settings(ca=files.ca, cert=files.client, key=files.client_key)
    assert await asked(files, ours, demand=True) == (200, "")


def test_without_settings_the_system_is_trusted() -> None:
    assert client_options("up.test", None) is not None


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
def test_a_file_that_is_missing_is_named(files: Files, which: str) -> None:
    settings = Settings(files.ca, files.client, files.client_key)
    setattr(settings, which, "/nowhere/x.pem")
    with pytest.raises(TlsFileError, match=r"^/nowhere/x\.pem: No such file"):
        client_options("up.test", settings)


def test_a_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    with pytest.raises(TlsFileError, match="no PEM certificate"):
        client_options("up.test", Settings(ca=str(empty)))
    empty.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(TlsFileError, match=r"empty\.pem: not a certificate"):
        client_options("up.test", Settings(ca=str(empty)))


def test_a_certificate_without_its_key_is_named(files: Files) -> None:
    with pytest.raises(TlsFileError, match=r"client\.pem: not a certificate and key"):
        client_options("up.test", Settings(cert=files.client))
