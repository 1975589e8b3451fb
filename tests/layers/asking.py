"""A request on a route, taken through layers by a real pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from ttagw.core.identity import Identity
from ttagw.errors import GatewayError
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Layer, Pipeline
from ttagw.testing import RecordingSink, exchange, route
from ttagw.web.render import render

Answer = Identity | None | Exception | Deferred[Identity]


def somebody(user: str = "7", roles: Sequence[str] = ("patient",), permissions: Sequence[str] = ()) -> Identity:
    """A caller who was verified."""
    return Identity("token", user, roles, permissions)


class Asking:
    """What became of a request: `status` 0 as long as nothing has, `forwarded` once a service would be asked."""

    def __init__(
        self,
        layers: Sequence[Layer],
        *credentials: tuple[bytes, bytes],
        identity: Identity | None = None,
        params: tuple[bytes, ...] = (),
        prepare: Callable[[Exchange], None] = lambda made: None,
    ) -> None:
        self.forwarded = False
        self.error: GatewayError | None = None
        self.sink = RecordingSink()
        self.pipeline = Pipeline(self._render)
        made = exchange(sink=self.sink, on=route(self._forward).bind(layers))
        made.credentials = list(credentials) or None
        made.identity = identity
        made.params = params
        self.exchange = made
        prepare(made)
        self.pipeline.run(made)

    def _forward(self, pipeline: Pipeline, made: Exchange) -> None:
        self.forwarded = True

    def _render(self, made: Exchange, error: GatewayError) -> Reply:
        self.error = error
        return render(made, error)

    @property
    def status(self) -> int:
        return self.exchange.status

    def leave(self) -> None:
        """The client goes away."""
        self.pipeline.left(self.exchange)
