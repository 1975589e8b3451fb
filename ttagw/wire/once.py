"""Connections that say nothing in the log about being made."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory

P = TypeVar("P")


class _Once(Factory):
    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002 - Twisted's signature
        return self._protocol


def connect_quietly(endpoint: IStreamClientEndpoint, protocol: P) -> Deferred[P]:
    """As `twisted.internet.endpoints.connectProtocol`."""
    connecting: Any = endpoint.connect(_Once(protocol))
    return connecting  # type: ignore[no-any-return]
