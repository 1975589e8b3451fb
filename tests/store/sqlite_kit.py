"""Children that use a SQLite store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.integration.kit.process import Child

ROOT = Path(__file__).parent.parent.parent


def child(folder: Path, path: Path, scenario: str, *around: str) -> Child:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return Child(
        [*around, sys.executable, "-m", "tests.store.sqlite_child", scenario, path], folder, environment=environment
    )


def said(child: Child) -> str:
    """What it says until it ends."""
    with child:
        assert child.ended() == 0, child.errors.read_text()
    return child.output.read_text().strip()
