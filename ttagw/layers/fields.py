"""Layer: header fields that a route sets or removes by configuration.

`via` is appended to, as RFC 9110 §7.6.3 says; every other field that is set replaces what was there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ttagw.core.headers import without
from ttagw.model import Exchange, Fields, Reply
from ttagw.pipeline import Hooks, Route


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """What a route changes."""

    set_request: Mapping[str, str] = field(default_factory=dict)
    set_response: Mapping[str, str] = field(default_factory=dict)
    remove_response: Sequence[str] = ()


class ChangeFields:
    """On the way in the request's fields, on the way out the answer's."""

    name = "fields"

    def __init__(self, changes: Mapping[str, FieldChanges]) -> None:
        """`changes` by name of the route."""
        self._changes = changes

    def bind(self, route: Route) -> Hooks | None:
        """Nothing on a route that changes nothing."""
        changes = self._changes.get(route.name)
        if changes is None or changes == FieldChanges():
            return None
        incoming = _Change(changes.set_request, ())
        outgoing = _Change(changes.set_response, changes.remove_response)

        def enter(exchange: Exchange) -> None:
            exchange.fields = incoming.apply(exchange.fields)

        def leave(exchange: Exchange, reply: Reply) -> None:  # noqa: ARG001 - the shape of every `leave`
            reply.fields = outgoing.apply(reply.fields)

        return Hooks(
            enter if changes.set_request else None, leave if changes.set_response or changes.remove_response else None
        )


class _Change:
    """A prepared change of fields."""

    def __init__(self, added: Mapping[str, str], removed: Sequence[str]) -> None:
        pairs = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in added.items()]
        self._added = pairs
        gone = {name.lower().encode("ascii") for name in removed}
        self._removed = frozenset(gone | {name for name, _ in pairs if name != b"via"})

    def apply(self, fields: Fields) -> Fields:
        return without(fields, self._removed) + self._added
