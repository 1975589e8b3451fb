"""Connections that are closed before there is any work for them, TLS neither.

A factory that builds nothing refuses a connection. The one of a TLS port wraps what is built in any case, so it has to
be asked before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import WrappingFactory


def before_tls(port: Any, refuses: Callable[[IAddress | None], bool]) -> None:
    """On a listening port over TLS, close a connection that is refused before a handshake. On others its own factory
    has to do that.
    """
    factory = getattr(port, "factory", None)
    if not isinstance(factory, WrappingFactory):
        return
    build = factory.buildProtocol

    def build_unless_refused(addr: IAddress | None) -> Any:
        return None if refuses(addr) else build(addr)

    factory.buildProtocol = build_unless_refused  # type: ignore[method-assign]
