"""The `ttagw` command."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from ttagw import __version__
from ttagw.cli import COMMANDS, main


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert __version__ in result.output


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(f"\n  {name}  " in result.output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "-h"])
    assert result.exit_code == 0
    assert f"Usage: main {name}" in result.output


def test_unknown_command() -> None:
    result = CliRunner().invoke(main, ["explode"])
    assert result.exit_code == 2
    assert "No such command 'explode'" in result.output


def test_a_command_is_imported_when_it_is_used() -> None:
    program = "import sys, ttagw.cli; print([name for name in sys.modules if name.startswith('ttagw.cli.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
