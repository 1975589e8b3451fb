"""Row 24: a SQLite store that cannot be used is said at the start in one line; later it costs nobody anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.integration.kit.gateway import TWISTD, Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.pace import Pace
from tests.integration.kit.process import Child, free_port
from tests.integration.kit.raw import get, once
from tests.integration.kit.toml import dump
from tests.integration.kit.waiting import until
from ttagw.store import sqlite_file


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"))


# At the start


def damaged(path: Path) -> Path:
    """A database of ours, some of whose pages are something else."""
    sqlite_file.prepare(str(path))
    with closing(sqlite3.connect(path)) as connection:
        rows = [(f"instances/s/{number:04}", b"x" * 500) for number in range(200)]
        connection.executemany("INSERT INTO entry (key, value) VALUES (?, ?)", rows)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(data)
    return path


def nonsense(path: Path) -> Path:
    path.write_bytes(b"this is no database\n" * 500)
    return path


def other(path: Path) -> Path:
    """Somebody else's database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    return path


def nowhere(path: Path) -> Path:
    return path.parent / "missing" / "state.db"


def folder_of_that_name(path: Path) -> Path:
    path.mkdir()
    return path


READ_ONLY = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"']


def started(folder: Path, store: Path, mode: list[str], around: list[str | Path]) -> list[str]:
    """What a start says that must fail: the lines about it."""
    ports = [f"tcp:{free_port()}:interface=127.0.0.1" for _ in range(2)]
    document = {"gateway": {"listen": ports[:1], "admin": ports[1], "store": f"sqlite:{store}"}}
    (folder / "ttagw.toml").write_text(dump(document))
    command = [*around, TWISTD, *mode, "--pidfile=daemon.pid", "ttagw", "--config=ttagw.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (folder / "daemon.pid").exists()
    return [line for line in (done.stdout + done.stderr).splitlines() if "ttagw: " in line]


@pytest.mark.parametrize("mode", [["-n"], ["--logfile=daemon.log"]], ids=["foreground", "daemon"])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (damaged, "the database is damaged"),
        (nonsense, "not a SQLite database"),
        (other, "a database of something else"),
        (nowhere, "its folder does not exist"),
        (folder_of_that_name, "a folder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_store_that_cannot_be_used_ends_the_start_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], says: str, mode: list[str]
) -> None:
    store = make(tmp_path / "state.db")
    before = store.read_bytes() if store.is_file() else b""
    [line] = started(tmp_path, store, mode, [])
    assert str(store) in line
    assert says in line
    assert (store.read_bytes() if store.is_file() else b"") == before


@pytest.mark.parametrize("there", [True, False], ids=["there", "to-be-made"])
def test_a_store_on_a_disk_that_is_read_only_ends_the_start_in_one_line(tmp_path: Path, there: bool) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if there:
        sqlite_file.prepare(str(disk / "state.db"))
    [line] = started(tmp_path, disk / "state.db", ["-n"], [*READ_ONLY, disk])
    assert str(disk / "state.db") in line
    assert "read-only" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_that_is_made_at_the_start_belongs_to_whom_the_daemon_becomes() -> None:
    nobody = 65534
    # The folders of pytest are closed to others.
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, nobody, nobody)
        listen, admin = free_port(), free_port()
        ports = [f"tcp:{each}:interface=127.0.0.1" for each in (listen, admin)]
        about = {"listen": ports[:1], "admin": ports[1], "store": f"sqlite:{folder}/state.db"}
        (folder / "ttagw.toml").write_text(dump({"gateway": about}))
        command = [TWISTD, "-n", f"--uid={nobody}", f"--gid={nobody}", "--pidfile=", "ttagw", "--config=ttagw.toml"]
        with Child(command, folder) as child:

            def ready() -> bool:
                assert child.running(), child.errors.read_text()
                try:
                    return once(admin, get("/health/ready")).status == 200
                except OSError:
                    return False

            until(ready, "it serves")
            assert (folder / "state.db").stat().st_uid == nobody


# At run time


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def moved(path: Path) -> Iterator[None]:
    away = path.rename(path.with_suffix(".away"))
    yield
    away.rename(path)


@pytest.mark.parametrize("trouble", [locked, moved], ids=lambda trouble: trouble.__name__)
def test_a_store_in_trouble_stops_no_traffic_and_what_was_registered_is_written_later(
    tmp_path: Path, key: Key, origin: Origin, trouble: Callable[[Path], Iterator[None]]
) -> None:
    store = tmp_path / "state.db"
    services = {"s": service(), "fixed": service(origin.port)}
    routes = [route("/s/*", "s", "s"), route("/*", "fixed", "all")]
    with Gateway(tmp_path, services, routes, auth=key.section, gateway={"store": f"sqlite:{store}"}) as gateway:
        operator = Operator(gateway, key)
        assert operator.put("s", "before", origin.port, ttl="1h") == 201
        with Pace(gateway.port) as pace:
            with trouble(store):  # type: ignore[attr-defined]
                assert operator.put("s", "during", origin.port, ttl="1h") == 201
                assert operator.delete("s", "before") == 202
                assert once(gateway.port, get("/s/")).status == 200
                assert list(operator.instances()) == ["during"]
                until(lambda: gateway.metric("ttagw_store_up", store="sqlite") == 0, "it is said")
                assert gateway.metric("ttagw_registrations_unwritten") >= 1
                asked = len(pace.took)
                until(lambda: len(pace.took) > asked + 100, "requests go on")
            until(lambda: gateway.metric("ttagw_store_up", store="sqlite") == 1, "it is well again")
            until(lambda: gateway.metric("ttagw_registrations_unwritten") == 0, "all is written")
        assert (set(pace.statuses), pace.lost) == ({200}, 0)
        # Nobody waits for the store, which waits for a lock for 0.4 s each time.
        assert sorted(pace.took)[len(pace.took) * 95 // 100] < 0.3
        assert gateway.failures() == []
        gateway.kill()
        gateway.restart()
        until(lambda: list(operator.instances()) == ["during"], "what was registered is there")


def test_a_store_on_a_full_disk_stops_no_traffic_and_writes_when_there_is_room(
    tmp_path: Path, key: Key, origin: Origin
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', disk]
    store = {"store": f"sqlite:{disk}/state.db"}
    with Gateway(tmp_path, {"s": service()}, auth=key.section, gateway=store, around=mount) as gateway:
        operator = Operator(gateway, key)
        # The disk is there for the gateway only.
        inside = Path(f"/proc/{gateway.child.pid}/root{disk}")
        assert operator.put("s", "before", origin.port, ttl="1h") == 201
        filler = inside / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        names = [f"i{number}" for number in range(40)]
        for name in names:
            assert operator.put("s", name, origin.port, ttl="1h", tags=["t" * 60] * 8) == 201
        assert gateway.metric("ttagw_registrations_unwritten") > 0
        assert operator.delete("s", "before") == 202
        assert once(gateway.port, get("/")).status == 200
        assert sorted(operator.instances()) == sorted(names)
        filler.unlink()
        until(lambda: gateway.metric("ttagw_registrations_unwritten") == 0, "all is written")
        assert gateway.metric("ttagw_store_up", store="sqlite") == 1
        copy = tmp_path / "copy"
        shutil.copytree(inside, copy)
        with closing(sqlite3.connect(copy / "state.db")) as connection:
            found = {row[0] for row in connection.execute("SELECT key FROM entry WHERE key LIKE 'instances/%'")}
        assert found == {f"instances/s/{name}" for name in names}
        assert gateway.failures() == []
