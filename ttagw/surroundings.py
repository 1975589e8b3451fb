"""What the parts of a gateway need of the rest of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import random
from typing import Any

from ttagw.attempt import Service
from ttagw.registry.events import Events
from ttagw.store.base import Store


@dataclass(frozen=True)
class Surroundings:
    """What a part of the gateway needs of the rest of it."""

    reactor: Any
    store: Store
    events: Events
    services: Mapping[str, Service]
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random
