"""`ttagw schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json

import click

from ttagw.config.schema import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of the configuration file."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
