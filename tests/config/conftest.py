"""Loading a configuration from a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ttagw.checks import EXTRA
from ttagw.config import Config, ConfigError, load

Told = list[tuple[int, str, str]]
"""Line, key and sentence of each fault."""

SERVICE = '[services.a]\ninstances = ["http://h:1"]\n'
ROUTE = '[[routes]]\nname = "r"\npath = "/r"\nservice = "a"\nauth = "none"\n'
"""Lines 3 to 7 after `SERVICE`."""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Config]:
    """Loads a text as a file in `tmp_path`."""

    def load_text(text: str, environ: Mapping[str, str] | None = None) -> Config:
        file = tmp_path / "ttagw.toml"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        return load(file, environ or {}, EXTRA)

    return load_text


@pytest.fixture
def faults(read: Callable[..., Config]) -> Callable[..., Told]:
    """The faults of a text that cannot be loaded."""

    def faults_of(text: str, environ: Mapping[str, str] | None = None) -> Told:
        with pytest.raises(ConfigError) as caught:
            read(text, environ)
        return [(fault.line, fault.key, fault.message) for fault in caught.value.faults]

    return faults_of
