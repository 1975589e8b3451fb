"""`ttagw check`: everything that is wrong with a configuration, at once."""

from __future__ import annotations

import sys

import click

from ttagw.config import Config, ConfigError, load

FILE = click.argument("file", type=click.Path())


@click.command()
@FILE
def check(file: str) -> None:
    """Say what is wrong with FILE, each fault with its line; exit status 1 if anything is."""
    from ttagw.checks import summary

    click.echo(f"{file}: {summary(loaded(file))}: good")


def loaded(file: str, status: int = 1) -> Config:
    """The configuration with all checks passed. Ends the program with a line for each fault, and this exit status."""
    from ttagw.checks import EXTRA

    try:
        return load(file, extra_checks=EXTRA, notice=lambda fault: click.echo(f"notice: {fault}", err=True))
    except ConfigError as error:
        for fault in error.faults:
            click.echo(str(fault), err=True)
        sys.exit(status)
