"""What was found about one exchange, from the way in to the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ttagw.layers.limit.held import Held
from ttagw.layers.limit.offer import Offer, left
from ttagw.limits.base import State, Want
from ttagw.limits.local import LocalBuckets
from ttagw.model import Exchange

NOTE = "limit"
"""Under which the exchange carries it."""


class Note(NamedTuple):
    """What was found about one exchange."""

    offer: Offer
    wants: Sequence[Want]
    states: Sequence[State]
    """Of the rates, in the order of `wants`; empty if nobody knows."""
    charged: bool = True
    dry: bool = False
    """Whether a rate would have refused it, were it not only tried out."""
    held: Held | None = None
    spent: tuple[str, int | None] | None = None
    """The item of `RateLimit` that is used up, and how long one should wait."""


def keep(exchange: Exchange, note: Note) -> None:
    """The exchange carries it from now on."""
    if exchange.notes is None:
        exchange.notes = {}
    exchange.notes[NOTE] = note


def items(note: Note, own: LocalBuckets) -> list[bytes]:
    """`RateLimit`, item by item. `own`: where bytes are counted."""
    made: list[bytes] = []
    states = iter(note.states)
    for index, line in enumerate(note.offer.lines):
        name = line.live.name
        found: list[tuple[str, float, float | None]] = []
        state = next(states, None) if line.has_rate else None
        if state is not None:
            found.append((name, state.left * line.multiple, state.reset))
        if note.held is not None:
            key = note.held.keys[index]
            if line.concurrent:
                found.append((f"{name}:concurrent", max(line.concurrent - line.live.under_way.get(key, 0), 0), None))
            if line.has_bandwidth:
                _, state = own.debt(line.live.bandwidth, key)
                found.append((f"{name}:bandwidth", state.left * line.multiple, state.reset))
        if line.live.limit.dry_run:
            continue
        for item, count, seconds in found:
            used_up = note.spent is not None and note.spent[0] == item
            made.append(left(item, 0, note.spent[1]) if used_up and note.spent else left(item, count, seconds))
    return made
