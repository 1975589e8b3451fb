"""How much each may use."""

from __future__ import annotations

from ttagw.config import Config
from ttagw.surroundings import Surroundings
from ttagw.traffic.part import Part


class Limits(Part):
    """How much each may use."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around
