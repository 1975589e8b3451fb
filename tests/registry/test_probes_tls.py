from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

from tests.registry.served import OK, Checking, Service, sending
from tests.registry.test_probes_websocket import upgraded
from tests.twisted_hygiene import reactor, until


@pytest.fixture(scope="module")
def authorities() -> list[trustme.CA]:
    return [trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2)]


class Secure:
    """A TLS service, and checks that trust `trusted` and expect `name`."""

    def __init__(self, service: Service, issuer: trustme.CA, trusted: trustme.CA, name: str = "up.test") -> None:
        pem = issuer.issue_cert("up.test").private_key_and_cert_chain_pem.bytes()
        self.port = reactor.listenSSL(0, service, PrivateCertificate.loadPEM(pem).options(), interface="127.0.0.1")
        self.service = service
        self.trust = trustRootFromCertificates([Certificate.loadPEM(trusted.cert_pem.bytes())])
        self.name = name
        self.checking = Checking(self._endpoint)
        self.asked: list[str] = []

    def _endpoint(self, url: str) -> Any:
        self.asked.append(url)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        return wrapClientTLS(optionsForClientTLS(self.name, trustRoot=self.trust), endpoint)

    async def reason(self, **health: Any) -> str:
        found = await self.checking.reason("https://up.test", **health)
        await until(lambda: self.service.all_ended)
        await self.port.stopListening()
        assert self.asked == ["https://up.test:443"]
        return found


@pytest_twisted.ensureDeferred
async def test_a_good_certificate(authorities: list[trustme.CA]) -> None:
    service = sending(OK)
    assert await Secure(service, authorities[0], authorities[0]).reason() == ""
    assert b"\r\nhost: up.test\r\n" in service.talks[0].data


@pytest_twisted.ensureDeferred
async def test_another_name(authorities: list[trustme.CA]) -> None:
    service = sending(OK)
    assert await Secure(service, authorities[0], authorities[0], "other.test").reason() == "tls_failed"
    assert service.talks[0].data == b""


@pytest_twisted.ensureDeferred
async def test_an_authority_that_is_not_trusted(authorities: list[trustme.CA]) -> None:
    assert await Secure(sending(OK), authorities[1], authorities[0]).reason() == "tls_failed"


@pytest_twisted.ensureDeferred
async def test_a_websocket_over_tls_ends_with_a_goodbye(authorities: list[trustme.CA]) -> None:
    def act(talk: Any) -> None:
        _, _, frame = talk.data.partition(b"\r\n\r\n")
        if not frame:
            talk.transport.write(upgraded(talk.data))
        elif len(frame) == 14:
            payload = bytes([byte ^ frame[2 + place % 4] for place, byte in enumerate(frame[6:])])
            talk.transport.write(b"\x8a\x08" + payload)

    service = Service(act)
    assert await Secure(service, authorities[0], authorities[0]).reason(type="websocket") == ""
    assert service.talks[0].data.partition(b"\r\n\r\n")[2][14] == 0x88
