"""Logins: who has failed too often has to pause, and no failure tells more than that it is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from ttagw.core.login import MOST_NAMED, Who, accounts_in, who
from ttagw.core.login_form import unclear
from ttagw.errors import LoginKindError, LoginPausedError, LoginUnclearError
from ttagw.layers.login.body import whole_body
from ttagw.layers.login.grid import Grid
from ttagw.layers.login.judge import Judge, Ticket
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Pipeline, Route

_METHODS = frozenset((b"POST", b"PUT", b"PATCH"))
"""What a login is sent by."""
_NOTE = "login"


class Admission(Protocol):
    """Who may try; see `ttagw.auth.lockouts`."""

    async def admit(self, whose: tuple[Who, ...]) -> Ticket:
        """Raises `LoginPausedError`."""


class Login:
    """On routes that are marked: 429 while an address or account is paused, and 401 in one form for all refusals.

    The body is read before the service is asked, up to `HELD`, and goes on as it came, or not at all if the service
    might read it in another way. Both answers leave on the grid.
    """

    name = "login"

    def __init__(self, fields: Mapping[str, str], admission: Admission, grid: Grid) -> None:
        """`fields`: by name of the route the field of the body that names the account."""
        self._fields = fields
        self._admission = admission
        self._grid = grid

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that is not marked. On one that is, its innermost step is judged as well."""
        field = self._fields.get(route.name, "")
        if not field:
            return None
        inner = route.forward
        grid = self._grid

        def forward(pipeline: Pipeline, exchange: Exchange) -> None:
            ticket = exchange.notes.get(_NOTE) if exchange.notes is not None else None
            inner(pipeline if ticket is None else Judge(pipeline, exchange, ticket, grid), exchange)

        def enter(exchange: Exchange) -> Deferred[Reply | None] | None:
            if exchange.method not in _METHODS:
                return None
            return Deferred.fromCoroutine(self._admit(exchange, field))

        route.forward = forward
        return Hooks(enter)

    async def _admit(self, exchange: Exchange, field: str) -> None:
        body = await whole_body(exchange)
        accounts = _accounts(exchange, body, field)
        since = self._grid.now()
        try:
            ticket = await self._admission.admit(who(exchange.client, accounts))
        except LoginPausedError:
            exchange.deadline = 0.0
            await self._grid.point(since)
            raise
        # What a service says about a login is read here: it must not be compressed because the client likes that.
        exchange.fields = [each for each in exchange.fields if each[0].lower() != b"accept-encoding"]
        exchange.fields.append((b"Accept-Encoding", b"identity"))
        exchange.on_end.append(lambda _: ticket.over())
        exchange.notes = {**(exchange.notes or {}), _NOTE: ticket}


def _accounts(exchange: Exchange, body: bytes, field: str) -> tuple[str, ...]:
    """Whom it names. Raises `LoginUnclearError` or `LoginKindError` where its service might find somebody else."""
    why = unclear(exchange.fields, body)
    if why:
        raise LoginUnclearError(why) if why == "login_body" else LoginKindError(why)
    accounts = accounts_in(body, field, exchange.query or b"")
    if len(accounts) > MOST_NAMED:
        raise LoginUnclearError("login_names")
    return accounts
