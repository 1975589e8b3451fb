"""Which class a request is of, and what is never refused."""

from __future__ import annotations

from ttagw.config import Config
from ttagw.surroundings import Surroundings
from ttagw.traffic.part import Part


class Classes(Part):
    """Which class a request is of, and what is never refused."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around
