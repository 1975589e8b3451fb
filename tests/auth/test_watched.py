from __future__ import annotations

import os
from pathlib import Path

import pytest

from ttagw.auth.watched import Watched, fault, read
from ttagw.config import ConfigError


def used(file: Path) -> tuple[Watched, list[bytes]]:
    """A file that may hold anything but `bad`."""
    seen: list[bytes] = []

    def use(data: bytes) -> None:
        if data == b"bad":
            raise fault(str(file), "no use")
        seen.append(data)

    return Watched(str(file), 100, use), seen


def test_a_file_is_read_at_once_and_again_when_it_is_another(tmp_path: Path, said: list[str]) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    watched, seen = used(file)
    watched.look()
    assert seen == [b"one"]
    file.write_bytes(b"three")
    watched.look()
    watched.look()
    assert seen == [b"one", b"three"]
    other = tmp_path / "g"
    other.write_bytes(b"other")
    os.replace(other, file)
    watched.look()
    assert seen[-1] == b"other"
    assert said == [f"{file}: read again"] * 2


def test_one_that_is_no_use_changes_nothing_and_is_said_once(tmp_path: Path, said: list[str]) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    watched, seen = used(file)
    for make in (lambda: file.write_bytes(b"bad"), file.unlink, lambda: file.write_bytes(b"x" * 101)):
        make()
        watched.look()
        watched.look()
    assert seen == [b"one"]
    before = "what was in a file stays in use, because it cannot be used now: "
    assert said == [
        f"{before}{file}: no use",
        f"{before}{file}: cannot be read: No such file or directory",
        f"{before}{file}: more than 0 KiB",
    ]


def test_what_is_no_use_at_the_start_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with pytest.raises(ConfigError, match="No such file"):
        used(file)
    file.write_bytes(b"bad")
    with pytest.raises(ConfigError, match="no use"):
        used(file)


def test_what_is_not_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(ConfigError, match=r"not a file|Is a directory"):
            read(str(tmp_path / name), 100)
