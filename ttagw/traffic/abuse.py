"""Who is not let in for a while."""

from __future__ import annotations

from collections.abc import Sequence

from ttagw.config import Config
from ttagw.pipeline import Layer
from ttagw.surroundings import Surroundings
from ttagw.traffic.part import Part


class Abuse(Part):
    """Who is not let in for a while."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._around = around

    def of_users(self) -> Sequence[Layer]:
        """What requests pass when it is known who is asking."""
        return ()
