"""The `ttagw` command."""

from __future__ import annotations

from importlib import import_module

import click

from ttagw import __version__

COMMANDS = ("block", "check", "demo", "explain", "key", "revoke", "routes", "schema")
"""Each is the command of its name in the module of its name here."""


class LazyGroup(click.Group):
    """Imports a command when it is asked for: `check` does not wait for what `demo` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the shape that click asks for
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"ttagw.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ttagw")
def main() -> None:
    """The API gateway of TTA. The daemon itself is started with `twistd -n ttagw --config FILE`."""
