"""How much is under way at once, and who is shed when there is no room."""

from __future__ import annotations

from ttagw.config import Config
from ttagw.surroundings import Surroundings
from ttagw.traffic.part import Part


class Admission(Part):
    """How much is under way at once, and who is shed when there is no room."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around
