"""Coverage of daemons: twistd ends by sending itself the signal that stopped it, which skips atexit; save first."""

from __future__ import annotations

import os
from typing import Any

import coverage


class SaveBeforeSignal(coverage.CoveragePlugin):
    """Does nothing else; plugins have to register something."""


def coverage_init(registry: Any, _options: dict[str, str]) -> None:
    """Called by coverage in every process it measures."""
    registry.add_configurer(SaveBeforeSignal())
    send = os.kill

    def kill(pid: int, number: int) -> None:
        current = coverage.Coverage.current()
        if pid == os.getpid() and current is not None:
            current.stop()
            current.save()
        send(pid, number)

    os.kill = kill
