"""Who may reach somebody else, when neither is that person nor a token says that they care for them.

What is open already is looked at first, since that costs nothing; then the service that knows who cares for whom is
asked; and last there is the glass to break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred

from ttagw.auth.care import Care, care_metrics
from ttagw.auth.glass import Glass, reasons_in
from ttagw.core.identity import Identity
from ttagw.errors import AccessUnknownError
from ttagw.model import Exchange

CARE = ("care", "")
"""How a request is marked that the care service let through."""


class _Asked(NamedTuple):
    """Who asks for what, and the reasons that were given."""

    exchange: Exchange
    identity: Identity
    person: str
    values: Sequence[bytes]


class Access:
    """Those who have broken the glass, and those of whom the care service says that they care."""

    def __init__(self, glass: Glass, care: Care | None = None) -> None:
        """Without `care` only the glass can be broken."""
        self._glass = glass
        self._care = care

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool | Deferred[bool]:
        """Whether the caller may. Raises, or fails with, a `GatewayError`."""
        asked = _Asked(exchange, identity, person, reasons_in(exchange))
        grant = self._glass.grant(identity, person)
        if grant is not None:
            return self._glass.open(*asked) if asked.values else self._glass.use(exchange, grant)
        if self._care is None:
            return self._known(False, asked)
        try:
            found = self._care.cares(identity.user, person, exchange.id)
        except AccessUnknownError as error:
            return self._unknown(error, asked)
        if isinstance(found, Deferred):
            return Deferred.fromCoroutine(self._wait(found, asked))
        return self._known(found, asked)

    async def _wait(self, found: Deferred[bool], asked: _Asked) -> bool:
        try:
            yes = await found
        except AccessUnknownError as error:
            may = self._unknown(error, asked)
        else:
            may = self._known(yes, asked)
        return await may if isinstance(may, Deferred) else may

    def _known(self, yes: bool, asked: _Asked) -> bool | Deferred[bool]:
        if yes:
            asked.exchange.access = CARE
            return True
        return bool(asked.values) and self._glass.open(*asked)

    def _unknown(self, error: AccessUnknownError, asked: _Asked) -> bool | Deferred[bool]:
        """Whoever gives a reason need not wait for a service that is away: the glass is for emergencies."""
        if not (asked.values and self._glass.may_break(asked.identity)):
            raise error
        return self._glass.open(*asked)

    def start(self) -> None:
        """Begin."""
        self._glass.start()

    async def stop(self) -> None:
        """End what is under way."""
        if self._care is not None:
            self._care.stop()
        await self._glass.stop()

    def metrics(self) -> Iterator[Metric]:
        """What there is to tell Prometheus."""
        yield from self._glass.metrics()
        yield from care_metrics(self._care)
