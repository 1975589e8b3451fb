"""`twistd ttagw`: options, and the gateway as an application's service."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.components import Componentized

from ttagw.config import Config, ConfigError, load
from ttagw.config.faults import Fault
from ttagw.floors import below
from ttagw.listen import ListenError
from ttagw.logs.application import JsonObserver
from ttagw.logs.file import LogFile
from ttagw.service import Gateway
from ttagw.store.base import StoreFileError
from ttagw.store.make import check_store
from ttagw.upstream.tls import TlsFileError
from ttagw.wire.poll import quicken

PLACES = ("/etc/ttagw/ttagw.toml", "etc/ttagw.toml")
"""Where a configuration is looked for when none is named."""


class StartError(SystemExit, Exception):  # twistd catches Exception to tell its parent
    """The daemon cannot start.

    Exit status 1; the text is what `twistd` passes on from a daemon that has forked already.
    """

    def __init__(self, text: str) -> None:
        super().__init__(1)
        self.text = text

    def __str__(self) -> str:
        return self.text


def give_up(*lines: object) -> NoReturn:
    """End with a line for each fault, and a non-zero exit status."""
    text = "\n".join([f"ttagw: {line}" for line in lines])
    # Once logging has begun, sys.stderr is a part of it.
    print(text, file=sys.__stderr__)
    raise StartError(text)


def _notice(fault: Fault) -> None:
    print(f"ttagw: notice: {fault}", file=sys.stderr)  # noqa: T201


class Options(usage.Options):
    """The command line after `twistd ttagw`."""

    synopsis = "[options]"
    longdesc = "The API gateway of TTA. Without --config it reads " + " or ".join(PLACES) + "."
    optParameters = [["config", "c", None, "The configuration file."]]  # noqa: RUF012 - Twisted's own way
    optFlags = [["check", None, "Check the configuration, say what is wrong with it, and exit."]]  # noqa: RUF012

    config: Config

    def postOptions(self) -> None:
        """Read the configuration; a fault ends the program before anything is started."""
        holes = below()
        if holes:
            give_up(*holes)
        path = self["config"] or next((place for place in PLACES if Path(place).is_file()), None)
        if path is None:
            give_up("no configuration: name one with --config, or put one at " + " or ".join(PLACES))
        from ttagw.checks import EXTRA, summary

        try:
            self.config = load(path, extra_checks=EXTRA, notice=_notice)
        except ConfigError as error:
            give_up(*error.faults)
        if self["check"]:
            print(f"{path}: {summary(self.config)}: good")  # noqa: T201
            raise SystemExit(0)


class Daemon(Gateway):
    """The gateway as `twistd` runs it: logs and signals are the process's own."""

    def __init__(self, reactor: Any, config: Config, application_log: LogFile | None) -> None:
        super().__init__(reactor, config)
        self._application_log = application_log

    def setServiceParent(self, parent: Any) -> None:
        """Become part of the application, and write its log."""
        if self._application_log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, JsonObserver(self._application_log, self._config.log.level))
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Listen, or end with one line for each endpoint that cannot be had."""
        try:
            super().privilegedStartService()
        except ListenError as error:
            give_up(*error.args)
        except StoreFileError as error:
            give_up(error.detail)

    def startService(self) -> None:
        """Threads and signal handlers: only now has the daemon forked."""
        if self._application_log is not None:
            self._application_log.start()
            self._reactor.addSystemEventTrigger("after", "shutdown", self._application_log.stop)
        super().startService()
        self._raise_file_limit()
        _settle_garbage_collector()
        quicken(self._reactor)
        self._reactor.callWhenRunning(self._take_signals)

    def _raise_file_limit(self) -> None:
        """Every connection needs a file, and the one behind it another: take as many as the system lets us have."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        wanted = 2 * self._config.http.max_connections
        if hard != resource.RLIM_INFINITY and hard < wanted:
            self.log.warn("{hard} open files are allowed; max_connections may need {wanted}", hard=hard, wanted=wanted)

    def _take_signals(self) -> None:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a signal handler
        self._reactor.callFromThread(self._act, number)

    def _act(self, number: int) -> None:
        if number in (signal.SIGHUP, signal.SIGUSR1):
            self.reopen_logs()
            if self._application_log is not None:
                self._application_log.reopen()
        elif self.running:
            self._reactor.stop()
        else:
            self.cut()


def _settle_garbage_collector() -> None:
    """What exists now stays; and a request makes no cycles worth looking for every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def makeService(options: Options) -> Daemon:
    """What the plugin asks for. Ends the program with one line when a file cannot be used."""
    from twisted.internet import reactor

    parent = getattr(options, "parent", None) or {}
    try:
        if not parent.get("chroot"):
            # Once it has forked, twistd passes on only the first hundred bytes of what a daemon says.
            with _acting_as(parent.get("uid"), parent.get("gid")):
                check_store(options.config.gateway.store)
        return Daemon(reactor, options.config, _application_log(parent))
    except (TlsFileError, ListenError) as error:
        give_up(*error.args)
    except StoreFileError as error:
        give_up(error.detail)
    except OSError as error:
        give_up(f"{error.filename}: {error.strerror}")


@contextmanager
def _acting_as(uid: int | None, gid: int | None) -> Iterator[None]:
    """As the user that the daemon is going to be, so that a file that is made now can be used then."""
    if os.geteuid() or (uid is None and gid is None):
        yield
        return
    group = os.getegid()
    os.setegid(group if gid is None else gid)
    os.seteuid(uid or 0)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def _application_log(parent: Any) -> LogFile | None:
    """Where the daemon's own log goes; None when `twistd` was told to log in a way of its own."""
    if parent.get("logger") or parent.get("syslog"):
        return None
    path = parent.get("logfile")
    if path in (None, "-"):
        path = "-" if parent.get("nodaemon", True) or path == "-" else "twistd.log"
    return LogFile(path, _complain, descriptor=2 if path == "-" else None)


def _complain(sentence: str) -> None:
    sys.__stderr__.write(sentence + "\n") if sys.__stderr__ else None
