from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.conftest import Follower
from tests.twisted_hygiene import Failures
from ttagw.registry import file as module
from ttagw.registry.file import LOOK, FileSource
from ttagw.registry.records import Origin, Record
from ttagw.registry.sources import FAILED, RECOVERED

BAD = (FAILED, "game", "bad_file", "warn")
GOOD = (RECOVERED, "game", "", "info")


def instance(host: str) -> str:
    return f'[[instances]]\nurl = "http://{host}"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "instances.toml"
    path.write_text(instance("a"))
    return path


@pytest.fixture
def source(path: Path, follower: Follower) -> Iterator[FileSource]:
    source = FileSource("game", str(path), "z", follower.tell, follower.clock)
    yield source
    source.stop()
    assert not follower.clock.getDelayedCalls()


def looks(follower: Follower, times: int) -> None:
    for _ in range(times):
        follower.clock.advance(LOOK)


def test_what_the_file_says_is_known_at_once(source: FileSource, path: Path, follower: Follower) -> None:
    path.write_text(
        instance("a") + instance("[::1]:8080") + 'id = "b"\nweight = 5\nzone = "y"\ntags = ["t"]\nversion = "2"\n'
    )
    source.start(follower.update)
    assert follower.updates == [
        (
            Record("game", "a:80", "http://a", zone="z", origin=Origin.FILE),
            Record("game", "b", "http://[::1]:8080", 5, "y", ("t",), "2", origin=Origin.FILE),
        )
    ]


def test_a_file_that_does_not_change_is_not_told_again(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    looks(follower, 10)
    path.write_text(instance("a") + "# a comment\n")
    looks(follower, 10)
    assert len(follower.updates) == 1
    assert follower.told == follower.said == []


def test_it_may_be_replaced_and_written_in_place(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    path.write_text(instance("b"))
    looks(follower, 2)
    assert follower.urls == ["http://b"]
    other = path.with_name("other")
    other.write_text(instance("c"))
    os.replace(other, path)
    looks(follower, 2)
    assert follower.urls == ["http://c"]
    path.write_text("instances = []")
    looks(follower, 2)
    assert follower.urls == []


def test_nothing_is_read_while_it_is_being_written(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    path.write_text("")
    looks(follower, 1)
    for number in range(5):
        with path.open("a") as file:
            file.write(instance(f"b{number}"))
        looks(follower, 1)
    assert follower.urls == ["http://a"]
    looks(follower, 1)
    assert follower.urls == [f"http://b{number}" for number in range(5)]
    assert follower.told == []


def test_what_is_changed_while_it_is_read_is_read_again(
    source: FileSource, path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = module.load_instances

    def interrupted(name: str) -> object:
        listed = load(name)
        path.write_text(instance("bb"))
        monkeypatch.setattr(module, "load_instances", load)
        return listed

    monkeypatch.setattr(module, "load_instances", interrupted)
    source.start(follower.update)
    assert follower.updates == []
    looks(follower, 2)
    assert follower.urls == ["http://bb"]


def test_a_change_right_after_the_start_is_seen(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    # The same size and, as it may happen, the same time.
    about = path.stat()
    with path.open("r+") as file:
        file.write(instance("b"))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    looks(follower, 2)
    assert follower.urls == ["http://b"]


def test_a_faulty_file_changes_nothing_and_is_told_once(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    path.write_text(instance("b") + "wieght = 2\n" + instance("b"))
    looks(follower, 20)
    assert follower.urls == ["http://a"]
    assert follower.told == [BAD]
    assert follower.said == [f"game: {path}:3: instances[0].wieght: there is no such key here"]
    path.write_text(instance("b") + instance("b"))
    looks(follower, 20)
    assert follower.told == [BAD, BAD]
    assert follower.said[1:] == [f'game: {path}:4: instances[1].url: "http://b" is the same as instances[0]']
    path.write_text(instance("b"))
    looks(follower, 2)
    assert follower.urls == ["http://b"]
    assert follower.told[2:] == [GOOD]
    assert follower.said[2:] == [f"game: {path} is good again"]


def test_a_file_that_is_gone_changes_nothing_and_may_come_back(
    source: FileSource, path: Path, follower: Follower
) -> None:
    path.unlink()
    source.start(follower.update)
    looks(follower, 10)
    assert follower.updates == []
    assert follower.said == [f"game: {path}: cannot be read: No such file or directory"]
    path.write_text(instance("b"))
    looks(follower, 2)
    assert follower.urls == ["http://b"]
    path.unlink()
    looks(follower, 1)
    assert follower.told == [BAD, GOOD]
    looks(follower, 10)
    assert follower.told == [BAD, GOOD, BAD]
    assert follower.urls == ["http://b"]


def test_nothing_is_read_once_it_has_stopped(source: FileSource, path: Path, follower: Follower) -> None:
    source.start(follower.update)
    source.stop()
    path.write_text(instance("b"))
    looks(follower, 10)
    assert follower.urls == ["http://a"]


def test_what_goes_wrong_with_whoever_is_told_does_not_end_the_looking(
    source: FileSource, path: Path, follower: Follower, failures: Failures
) -> None:
    def fails(records: object) -> None:
        raise OSError("a certificate is gone")

    source.start(follower.update)
    source._update = fails
    path.write_text(instance("b"))
    looks(follower, 3)
    assert len(failures.take(OSError)) == 1
    source._update = follower.update
    path.write_text(instance("c"))
    looks(follower, 3)
    assert follower.urls == ["http://c"]
