"""`ttagw schema`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from ttagw.cli import main
from ttagw.config.schema import json_schema


def test_it_prints_the_schema() -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()
