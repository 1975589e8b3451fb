"""Child processes that end with their parent; all of them real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ttagw.demo.processes import ChildDiedError, Family, StoppedError, TooSlowError

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)",
]
PARENT = """
import sys, time
from pathlib import Path
from ttagw.demo.processes import Family
with Family(Path(sys.argv[1]), Path(sys.argv[1]), lambda: False) as family:
    children = [family.start(name, ["sleep", "600"]) for name in ("one", "two")]
    print(*(child.process.pid for child in children), flush=True)
    time.sleep(600)
"""


def printed(log: Path) -> bool | None:
    return True if "here" in log.read_text() else None


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        os.sched_yield()
    return condition()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_children_end_with_the_block(tmp_path: Path) -> None:
    with Family(tmp_path, tmp_path, lambda: False) as family:
        children = [family.start(name, SLEEP) for name in ("one", "two")]
        for child in children:
            family.wait_until(child, lambda log=child.log: printed(log), 20)
    assert [child.process.returncode for child in children] == [-signal.SIGTERM] * 2


def test_a_child_can_be_interrupted_though_its_parent_cannot(family: Family) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = family.start("one", SLEEP)
    finally:
        signal.signal(signal.SIGINT, before)
    family.wait_until(child, lambda: printed(child.log), 20)
    child.process.send_signal(signal.SIGINT)
    assert child.process.wait(20) != 0
    assert "KeyboardInterrupt" in child.log.read_text()


def test_a_child_that_does_not_listen_is_killed(family: Family) -> None:
    child = family.start("stubborn", STUBBORN)
    family.wait_until(child, lambda: printed(child.log), 20)
    family.stop(grace=0.05)
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("asked", [signal.SIGKILL, signal.SIGTERM])
def test_children_do_not_survive_a_parent_that_is_killed(tmp_path: Path, asked: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert not any(is_gone(pid) for pid in pids)
    parent.send_signal(asked)
    parent.wait(10)
    parent.stdout.close()
    assert wait_for(lambda: all(is_gone(pid) for pid in pids))


def test_a_child_that_ends_by_itself_is_reported_with_its_last_lines(family: Family) -> None:
    child = family.start("brief", [sys.executable, "-c", "print('first'); print('last'); raise SystemExit(3)"])
    with pytest.raises(ChildDiedError, match=r"brief ended by itself \(exit code 3\)") as caught:
        family.wait_until(child, lambda: None, 20)
    assert caught.value.child.tail() == ["first", "last"]
    assert child.tail(1) == ["last"]


def test_a_child_that_is_killed_is_reported_with_the_signal(family: Family) -> None:
    child = family.start("target", SLEEP)
    child.process.kill()
    with pytest.raises(ChildDiedError, match="SIGKILL"):
        family.wait_until(child, lambda: None, 20)


def test_waiting_ends_when_it_takes_too_long(family: Family) -> None:
    child = family.start("slow", SLEEP)
    with pytest.raises(TooSlowError, match=r"slow was not ready after 0\.05 s"):
        family.wait_until(child, lambda: None, 0.05)


def test_waiting_ends_when_asked_to_stop(tmp_path: Path) -> None:
    with Family(tmp_path, tmp_path, lambda: True) as family:
        child = family.start("one", SLEEP)
        with pytest.raises(StoppedError):
            family.wait_until(child, lambda: None, 20)
