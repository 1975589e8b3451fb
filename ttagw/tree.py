"""The Resource tree: which route, or which mounted twisted.web resource, answers a request."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.resource import Resource

from ttagw.core.routing import Miss, Table
from ttagw.errors import MethodNotAllowedError, RouteNotFoundError
from ttagw.model import Exchange
from ttagw.pipeline import Pipeline, Route

SERVER_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
"""What `OPTIONS *` says about the server as a whole (RFC 9110 §9.3.7)."""


class Tree(Resource):
    """The root resource. Routes are found by host, path, headers and method; `locate` is what the data path uses."""

    isLeaf = True

    def __init__(self, table: Table[Route], nowhere: Route, asterisk: Route, *, conditional: bool) -> None:
        """`nowhere` answers what no route does, with the exchange's `refusal`; `asterisk` answers `OPTIONS *`.

        `conditional`: some route asks for header fields.
        """
        super().__init__()
        self._table = table
        self._nowhere = nowhere
        self._asterisk = asterisk
        self._conditional = conditional

    def locate(self, exchange: Exchange) -> None:
        """Set the exchange's route, what its path says about params and rest, and until when it may last."""
        path = exchange.path
        if path == b"*":
            exchange.route = self._asterisk
            return
        fields: Sequence[tuple[bytes, bytes]] = exchange.fields
        if self._conditional:
            fields = [(name.lower(), value) for name, value in fields]
        found = self._table.find(exchange.host, exchange.method, path, fields)
        if isinstance(found, Miss):
            exchange.route = self._nowhere
            exchange.refusal = _refusal(found)
            return
        exchange.route = route = found.target
        exchange.params = found.params
        exchange.rest = found.rest
        exchange.max_body = route.max_body
        exchange.rank = route.rank
        if route.timeout:
            # Before any layer: what those wait for is waited for as well.
            exchange.deadline = exchange.started + route.timeout


def _refusal(miss: Miss) -> RouteNotFoundError | MethodNotAllowedError:
    if not miss.allow:
        return RouteNotFoundError()
    return MethodNotAllowedError(fields=((b"allow", ", ".join(miss.allow).encode("ascii")),))


def refuse(pipeline: Pipeline, exchange: Exchange) -> None:
    """The innermost step of a request that cannot be served: say why."""
    pipeline.fail(exchange, exchange.refusal or RouteNotFoundError())
