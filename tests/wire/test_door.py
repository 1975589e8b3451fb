from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from ttagw.wire.door import before_tls

GOOD, BAD = IPv4Address("TCP", "192.0.2.1", 1), IPv4Address("TCP", "192.0.2.2", 1)


class Port:
    def __init__(self, factory: Any) -> None:
        self.factory = factory


def test_a_wrapped_factory_is_asked_before_anything_is_wrapped() -> None:
    port = Port(WrappingFactory(Factory.forProtocol(Protocol)))
    before_tls(port, lambda addr: addr == BAD)
    assert port.factory.buildProtocol(BAD) is None
    assert isinstance(port.factory.buildProtocol(GOOD), ProtocolWrapper)


def test_a_factory_of_our_own_is_left_as_it_is() -> None:
    port = Port(Factory.forProtocol(Protocol))
    before_tls(port, lambda addr: True)
    assert port.factory.buildProtocol(BAD) is not None
    before_tls(object(), lambda addr: True)
