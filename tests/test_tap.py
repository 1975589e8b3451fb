from __future__ import annotations

import gc
import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Application, IServiceMaker
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogLevel
from twisted.plugin import getPlugins
from twisted.python import usage

from tests.twisted_hygiene import _frozen_garbage, failures, reactor
from ttagw.tap import PLACES, Daemon, Options, StartError, makeService

__all__ = ["_frozen_garbage", "failures"]

GOOD = """
[gateway]
listen = ["{listen}"]
admin = ""
store = "memory:"
[services.up]
instances = ["http://127.0.0.1:9"]
[[routes]]
name = "all"
path = "/*"
service = "up"
auth = "none"
[log]
access = "access.log"
"""


class Reactor(MemoryReactorClock):
    """A reactor in memory, with what `Daemon` asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def callFromThread(self, call: Callable[..., object], *args: object, **more: object) -> None:  # type: ignore[override]
        call(*args, **more)

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good configuration; the current folder is an empty one."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    path = tmp_path / "ttagw.toml"
    path.write_text(GOOD.format(listen="tcp:0:interface=127.0.0.1"))
    return path


def options(*args: str) -> Options:
    made = Options()
    made.parseOptions(list(args))
    return made


@pytest.fixture
def old_garbage_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


# Options


def test_the_named_configuration_is_read(file: Path) -> None:
    assert options("--config", str(file)).config.routes[0].name == "all"


def test_without_a_name_the_usual_place_is_looked_at(file: Path) -> None:
    Path("etc").mkdir()
    file.rename(PLACES[1])
    assert options().config.routes[0].name == "all"


def test_without_any_configuration_it_says_where_it_looked(
    file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine may have one at the usual place.
    places = (str(file.with_name("missing.toml")), PLACES[1])
    monkeypatch.setattr("ttagw.tap.PLACES", places)
    with pytest.raises(StartError) as caught:
        options()
    said = capfd.readouterr().err
    assert caught.value.code == 1
    assert said.count("\n") == 1
    assert all(place in said for place in places)
    assert str(caught.value) == said.strip()


def test_each_fault_is_a_line_with_its_place(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.format(listen="nonsense") + '[http]\nmax_uri = "huge"\nodd = 1\n')
    with pytest.raises(StartError) as caught:
        options("-c", str(file))
    said = capfd.readouterr().err.splitlines()
    assert caught.value.code == 1
    assert len(said) == 3
    assert all(line.startswith(f"ttagw: {file}:") for line in said)


def test_routes_that_contradict_each_other_are_faults(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    double = '[[routes]]\nname = "again"\npath = "/*"\nservice = "up"\nauth = "none"\n'
    file.write_text(GOOD.format(listen="tcp:0").replace("[log]", double + "[log]"))
    with pytest.raises(StartError):
        options("-c", str(file))
    assert "routes" in capfd.readouterr().err


def test_a_file_that_is_not_there_is_a_line(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartError):
        options("-c", "/nowhere/ttagw.toml")
    assert capfd.readouterr().err == "ttagw: /nowhere/ttagw.toml: cannot be read: No such file or directory\n"


def test_check_says_that_all_is_well_and_ends(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options("--check", "--config", str(file))
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{file}: 1 listener, 1 service, 1 route: good\n"


def test_an_option_that_does_not_exist_is_refused(file: Path) -> None:
    with pytest.raises(usage.UsageError):
        options("--nonsense")


# The service


def test_twistd_lists_the_plugin() -> None:
    (maker,) = [each for each in getPlugins(IServiceMaker) if each.tapname == "ttagw"]
    assert maker.module == "ttagw.tap"


def test_the_plugin_makes_a_daemon(file: Path) -> None:
    made = makeService(options("-c", str(file)))
    assert isinstance(made, Daemon)
    assert not made.running


def test_a_file_that_cannot_be_used_is_one_line(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = options("-c", str(file))
    # What was a file when the configuration was read is a folder now.
    (file.parent / "access.log").mkdir()
    with pytest.raises(StartError) as caught:
        makeService(good)
    assert (caught.value.code, capfd.readouterr().err) == (1, f"ttagw: {file.parent}/access.log: Is a directory\n")


def test_a_busy_port_is_one_line_and_nothing_is_left_open(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(GOOD.format(listen=f"tcp:{port}:interface=127.0.0.1"))
        daemon = Daemon(reactor, options("-c", str(file)).config, None)
        with pytest.raises(StartError):
            daemon.privilegedStartService()
    said = capfd.readouterr().err
    assert said == f"ttagw: tcp:{port}:interface=127.0.0.1: cannot listen: Address already in use\n"
    assert daemon.listeners.count == 0


class Lines:
    """Stands in for the file of the application log."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = b""

    def write(self, lines: bytes) -> None:
        self.data += lines

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append(name)


def daemon(file: Path, log: Any = None) -> tuple[Daemon, Reactor]:
    fake = Reactor()
    return Daemon(fake, options("-c", str(file)).config, log), fake


def test_the_application_log_is_json(file: Path) -> None:
    log = Lines()
    made, _ = daemon(file, log)
    application = Application("ttagw")
    made.setServiceParent(application)
    ILogObserver(application)({"log_level": LogLevel.warn, "log_format": "said", "log_time": 0.0})
    assert json.loads(log.data)["message"] == "said"


def test_without_a_log_of_its_own_twistd_logs_as_it_was_told(file: Path) -> None:
    made, _ = daemon(file)
    application = Application("ttagw")
    made.setServiceParent(application)
    assert ILogObserver(application, None) is None


@pytest.mark.usefixtures("old_garbage_collector")
def test_signals_reopen_logs_stop_and_stop_at_once(file: Path) -> None:
    log = Lines()
    made, fake = daemon(file, log)
    before = {
        number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
    }
    made.startService()
    try:
        for hook in fake.whenRunningHooks:
            hook[0](*hook[1], **hook[2])
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGHUP)
        assert log.calls == ["start", "reopen", "reopen"]
        signal.raise_signal(signal.SIGTERM)
        assert fake.stopped == 1
        stopping = made.stopService()
        signal.raise_signal(signal.SIGTERM)
        assert fake.stopped == 1
        fake.advance(1.0)
        assert stopping.called
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@pytest.mark.parametrize(
    ("parent", "path", "descriptor"),
    [
        ({"logger": "x"}, None, None),
        ({"syslog": True}, None, None),
        ({}, "-", 2),
        ({"nodaemon": True}, "-", 2),
        ({"logfile": "-", "nodaemon": False}, "-", 2),
        ({"nodaemon": False}, "twistd.log", None),
        ({"logfile": "own.log"}, "own.log", None),
    ],
)
def test_where_the_daemons_own_log_goes(
    file: Path, parent: dict[str, object], path: str | None, descriptor: int | None
) -> None:
    made = options("-c", str(file))
    made.parent = parent  # type: ignore[assignment]
    log = makeService(made)._application_log
    assert (None if log is None else log.path) == path
    if descriptor is not None:
        assert log is not None
        assert log._fd == descriptor
