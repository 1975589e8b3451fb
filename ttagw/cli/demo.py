"""`ttagw demo`: four small services and the gateway in front of them, to look at and to play with."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import click

from ttagw.demo.ports import BusyPortError, HeldPort
from ttagw.demo.processes import ChildDiedError, Family, StoppedError, TooSlowError
from ttagw.demo.stage import NotInstalledError, start_gateway, start_services

LOOK_AGAIN = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

WELCOME = r"""
The gateway answers on http://127.0.0.1:{port} (ready after {seconds:.1f} s). First sign in, in a shell:

  GW=http://127.0.0.1:{port}
  sign_in() {{ curl -s -d username=$1 $GW/api/v1/auth/login | sed -n 's/.*"access_token": "\(.*\)",/\1/p'; }}
  MIRA=$(sign_in mira) LEE=$(sign_in dr.lee) ADA=$(sign_in ada)

Mira plays, Dr. Lee cares for her, Ada is an admin; whoever has another name plays, too. Then try:

  nobody: 401           curl -i $GW/api/v1/players/1
  Mira about herself    curl -i -H "Authorization: Bearer $MIRA" $GW/api/v1/players/1
  Dr. Lee about Mira    curl -i -H "Authorization: Bearer $LEE" $GW/api/v1/players/1
  Mira about Odo: 403   curl -i -H "Authorization: Bearer $MIRA" $GW/api/v1/players/2
  Ada about Mira: 403   curl -i -H "Authorization: Bearer $ADA" $GW/api/v1/players/1
  Ada about agents      curl -i -H "Authorization: Bearer $ADA" $GW/api/v1/agents
  a new session         curl -i -H "Authorization: Bearer $MIRA" -H 'Content-Type: application/json' \
                             -d '{{"player": "1", "world": "2"}}' $GW/api/v1/sessions
  a streamed story      curl -N -H "Authorization: Bearer $MIRA" $GW/api/v1/gameplay/story
  a problem document    curl -i $GW/no/such/place
  a service that fails  kill {victim}; curl -i -H "Authorization: Bearer $MIRA" $GW/api/v1/sessions/1
  the metrics           curl http://127.0.0.1:{admin}/metrics

Each service answers with what it has seen of your request: compare it with what you sent.
Logs: {logs}/ ({kept}): access.log (the gateway's access log), gateway.log, and one file for each service.

Ctrl-C stops all of it."""


class StopAsked:
    """Remembers that a signal has asked the demo to stop."""

    def __init__(self) -> None:
        self._asked = False
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        return self._asked

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--admin-port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option(
    "--log-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the logs here; without it they go with the demo.",
)
def demo(port: int, admin_port: int, log_dir: Path | None) -> None:
    """Start four demo services and the gateway in front, on 127.0.0.1, until Ctrl-C."""
    asked = StopAsked()
    held = (_hold(port, "--port"), _hold(admin_port, "--admin-port"))
    folder = Path(tempfile.mkdtemp(prefix="ttagw-demo-"))
    logs = (log_dir or folder / "logs").absolute()
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with Family(folder, logs, asked) as family:
            _play(family, folder, logs, held, kept=log_dir is not None)
    except StoppedError:
        click.echo("\nThe demo and all its processes have stopped.")
    except (ChildDiedError, TooSlowError) as fault:
        click.echo(f"{fault}; everything has been stopped. Its last lines:", err=True)
        for line in fault.child.tail():
            click.echo(f"  {line}", err=True)
        sys.exit(1)
    except (NotInstalledError, OSError) as fault:
        raise click.ClickException(str(fault)) from fault
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _play(family: Family, folder: Path, logs: Path, held: tuple[HeldPort, HeldPort], *, kept: bool) -> None:
    """Start everything, explain it, and watch until the gateway ends; leaves by an exception."""
    public, admin = held
    click.echo("Starting the services")
    services = start_services(family, (public.number, admin.number), click.echo)
    victim = family.pid("core-gameplay")
    click.echo("Starting the gateway")
    began = time.monotonic()
    start_gateway(family, folder, logs, held, services)
    fate = "kept" if kept else "removed when the demo ends; --log-dir keeps them"
    seconds = time.monotonic() - began
    click.echo(
        WELCOME.format(port=public.number, admin=admin.number, logs=logs, kept=fate, seconds=seconds, victim=victim)
    )
    while True:
        for loss in family.lost():
            if loss.child.name == "gateway":
                raise loss
            click.echo(f"{loss}. The gateway goes on without it: ask, and see what it says.")
        family.check()
        time.sleep(LOOK_AGAIN)


def _hold(port: int, option: str) -> HeldPort:
    try:
        return HeldPort(port)
    except BusyPortError as fault:
        raise click.ClickException(
            f"port {port} is in use; choose another with {option} (0 takes a free one)"
        ) from fault
    except PermissionError as fault:
        raise click.ClickException(f"port {port} may not be used by this user; choose another with {option}") from fault
