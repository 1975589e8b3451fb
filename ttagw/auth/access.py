"""Who may reach somebody else, when neither is that person nor a token says that they care for them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ttagw.core.identity import Identity
from ttagw.model import Exchange


class ByToken:
    """Nobody but those of whom a token says so."""

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool | Deferred[bool]:  # noqa: ARG002
        """No."""
        return False
