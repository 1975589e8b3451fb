"""Brings together what the sources of one service say: files and SRV records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ttagw.config import Instance, Service
from ttagw.registry.records import Origin, Record
from ttagw.registry.registry import Registry
from ttagw.registry.sources import Source
from ttagw.wire.dns import Dns

MakeSource = Callable[[str, Instance, Dns], Source]

_ORIGINS = {"file": Origin.FILE, "srv": Origin.DNS}


class Feed:
    """The sources of one service; what one says replaces only what the same one said before."""

    def __init__(self, name: str, config: Service, registry: Registry, make: MakeSource, dns: Dns) -> None:
        self._name = name
        self._registry = registry
        self._sources = [
            (_ORIGINS[each.source], make(name, each, dns)) for each in config.instances if each.source in _ORIGINS
        ]
        self._said: dict[int, tuple[Origin, Sequence[Record]]] = {}
        self._started = False

    def start(self) -> None:
        """Ask all of them."""
        for place, (origin, source) in enumerate(self._sources):
            source.start(partial(self._update, place, origin))
        self._started = True

    def stop(self) -> None:
        """Ask none any more."""
        for _, source in self._sources:
            source.stop()

    def _update(self, place: int, origin: Origin, records: Sequence[Record]) -> None:
        self._said[place] = (origin, records)
        together = {each.id: each for kind, said in self._said.values() if kind is origin for each in said}
        self._registry.replace(self._name, origin, list(together.values()), slowly=self._started)
