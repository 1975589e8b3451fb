"""Who of a service's instances can be asked.

Checks decide first: who is down is not asked. Breakers come second and are bounded: whoever fails real traffic is left
out only as long as at least half of the instances are left in (as Envoy's `max_ejection_percent`), because if most of
them fail, leaving them out helps nobody. The others are kept though their breakers are open: the panic rule. What
an operator has forced is obeyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Standing(NamedTuple):
    """How one instance stands."""

    zone: int
    """Rank of its zone: 0 is asked first."""
    up: bool
    """Checks, and whoever else may say so, have nothing against it."""
    open: bool
    """Its breaker is open and has still to wait."""
    forced: bool
    """An operator has opened its breaker."""
    since: float
    """When its breaker opened, where it is."""


class Rotation(NamedTuple):
    """Places in the sequence of standings."""

    tiers: tuple[tuple[int, ...], ...]
    """Those that can be asked, by zone, the best first; no zone is empty."""
    ejected: frozenset[int]
    """Those that are left out because of their breakers."""
    kept: frozenset[int]
    """Those that are asked although their breakers are open."""


def decide(standings: Sequence[Standing]) -> Rotation:
    """Who can be asked."""
    down = sum([not each.up or each.forced for each in standings])
    opened = [place for place, each in enumerate(standings) if each.up and each.open and not each.forced]
    opened.sort(key=lambda place: standings[place].since)
    room = max(0, len(standings) // 2 - down)
    ejected = frozenset(opened[:room])
    kept = frozenset(opened[room:])
    zones: dict[int, list[int]] = {}
    for place, each in enumerate(standings):
        if each.up and not each.forced and place not in ejected:
            zones.setdefault(each.zone, []).append(place)
    tiers = tuple(tuple(zones[rank]) for rank in sorted(zones))
    return Rotation(tiers, ejected, kept)
