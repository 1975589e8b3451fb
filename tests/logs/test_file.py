from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ttagw.logs import file as module
from ttagw.logs.file import LIMIT, LogFile


class Complaints:
    """What a log file complains about."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, sentence: str) -> None:
        with self._changed:
            self.said.append(sentence)
            self._changed.notify()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.said) >= count, timeout=5.0)


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


def test_lines_are_in_the_file_when_it_is_stopped(tmp_path: Path, complaints: Complaints) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), complaints)
    log.start()
    for number in range(100):
        log.write(b"line %d\n" % number)
    log.stop()
    assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(100))
    assert (log.dropped, complaints.said) == (0, [])


def test_lines_are_appended_to_what_is_there(tmp_path: Path, complaints: Complaints) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"before\n")
    log = LogFile(str(path), complaints)
    log.start()
    log.write(b"after\n")
    log.stop()
    assert path.read_bytes() == b"before\nafter\n"


def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path: Path, complaints: Complaints) -> None:
    with pytest.raises(OSError, match="No such file"):
        LogFile(str(tmp_path / "missing" / "a.log"), complaints)


def test_a_file_that_never_started_can_be_stopped(tmp_path: Path, complaints: Complaints) -> None:
    log = LogFile(str(tmp_path / "a.log"), complaints)
    log.stop()
    assert complaints.said == []


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, complaints: Complaints) -> None:
    log = LogFile(str(tmp_path / "a.log"), complaints)
    log.write(b"x" * (LIMIT - 10) + b"\n")
    log.write(b"one\ntwo\nthree\n")
    log.write(b"fits\n")
    assert log.dropped == 3
    log.start()
    log.stop()
    assert (tmp_path / "a.log").read_bytes().endswith(b"\nfits\n")


def test_after_a_move_lines_go_into_a_new_file(tmp_path: Path, complaints: Complaints) -> None:
    path, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    log = LogFile(str(path), complaints)
    log.start()
    log.write(b"old\n")
    path.rename(moved)
    _until(lambda: moved.stat().st_size == 4)
    log.reopen()
    log.write(b"new\n")
    log.stop()
    assert (moved.read_bytes(), path.read_bytes()) == (b"old\n", b"new\n")


def _until(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(5000):
        if condition():
            return
        done.wait(0.001)
    pytest.fail("what was waited for never came")


def test_a_file_that_cannot_be_opened_again_is_said_and_the_old_one_kept(
    tmp_path: Path, complaints: Complaints
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(str(folder / "a.log"), complaints)
    log.start()
    folder.rename(tmp_path / "moved")
    log.reopen()
    complaints.wait(1)
    log.write(b"still\n")
    log.stop()
    assert "cannot be opened again" in complaints.said[0]
    assert (tmp_path / "moved" / "a.log").read_bytes() == b"still\n"


class Disk:
    """Stands in for `os.write`: takes so many bytes a call, or fails."""

    def __init__(self, takes: list[int]) -> None:
        self.takes = takes
        self.data = b""

    def __call__(self, descriptor: int, data: memoryview) -> int:
        most = self.takes.pop(0) if self.takes else len(data)
        if most < 0:
            raise OSError(28, "No space left on device")
        self.data += bytes(data[:most])
        return min(most, len(data))


def test_a_full_disk_is_said_once_and_its_end_too(tmp_path: Path, complaints: Complaints) -> None:
    log = LogFile(str(tmp_path / "a.log"), complaints, descriptor=_full())
    log._append(b"one\ntwo\n")
    log._append(b"three\n")
    assert log.dropped == 3
    assert len(complaints.said) == 1
    assert "lines are being lost" in complaints.said[0]
    os.close(log._fd)
    log._fd = os.open(tmp_path / "b.log", os.O_WRONLY | os.O_CREAT)
    log._append(b"four\n")
    assert "writing again, 3 lines were lost" in complaints.said[1]
    os.close(log._fd)
    assert (tmp_path / "b.log").read_bytes() == b"four\n"


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize(
    ("takes", "data", "dropped"),
    [
        ([3, -1], b"one\ntwo\n", 2),
        ([4, -1], b"one\n", 1),
        ([5, -1], b"one\nt", 1),
        ([-1], b"", 2),
        ([3, 2, 3], b"one\ntwo\n", 0),
    ],
)
def test_a_torn_line_is_ended_before_the_next(
    takes: list[int], data: bytes, dropped: int, tmp_path: Path, complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(takes)
    log = LogFile(str(tmp_path / "a.log"), complaints)
    real = os.write
    monkeypatch.setattr(module.os, "write", disk)
    log._append(b"one\ntwo\n")
    torn = disk.data
    log._append(b"after\n")
    monkeypatch.setattr(module.os, "write", real)
    assert disk.data.startswith(torn)
    lines = disk.data.split(b"\n")
    assert lines[-2:] == [b"after", b""]
    assert all(line in (b"one", b"two", b"t", b"after", b"") for line in lines)
    assert log.dropped == dropped
    os.close(log._fd)


def test_a_pipe_that_nobody_reads_stops_nobody(complaints: Complaints) -> None:
    reading, writing = os.pipe()
    log = LogFile("pipe", complaints, descriptor=writing)
    log.start()
    for _ in range(50):
        log.write(b"x" * 65535 + b"\n")
    log.stop(timeout=0.05)
    os.close(reading)
    complaints.wait(1)
    assert log.dropped >= 1
    log._thread.join(5.0)
    os.close(writing)


def test_standard_output_is_not_closed(capfd: pytest.CaptureFixture[str], complaints: Complaints) -> None:
    log = LogFile("-", complaints)
    log.start()
    log.write(b"to the screen\n")
    log.reopen()
    log.stop()
    os.write(1, b"still open\n")
    assert capfd.readouterr().out == "to the screen\nstill open\n"
