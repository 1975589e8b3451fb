from __future__ import annotations

import gc
import resource
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ttagw.traffic import load

MANY = 1 << 62
"""What cgroup v1 says when there is no limit, nearly."""


def system(root: Path, groups: str) -> None:
    """This process is in these control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)


def put(root: Path, path: str, value: int | str) -> None:
    file = root / "sys/fs/cgroup" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{value}\n")


def test_the_least_of_all_groups_counts(tmp_path: Path) -> None:
    system(tmp_path, "0::/a/b\n")
    put(tmp_path, "a/b/memory.max", "max")
    put(tmp_path, "a/memory.max", 1 << 20)
    put(tmp_path, "memory.max", 1 << 30)
    assert load.memory_limits(0, tmp_path)[0] == 1 << 20


def test_the_older_groups_count_too_and_what_is_hidden_does_not_matter(tmp_path: Path) -> None:
    system(tmp_path, "4:cpu,memory:/hidden/away\n3:cpu:/\n0::/\n")
    put(tmp_path, "memory/memory.limit_in_bytes", 2 << 20)
    assert load.memory_limits(0, tmp_path)[0] == 2 << 20


def test_without_any_limit_it_is_the_machine(tmp_path: Path) -> None:
    whole = load.memory_limits(0, tmp_path)[0]
    assert whole > 1 << 20
    system(tmp_path, "4:memory:/\n")
    put(tmp_path, "memory/memory.limit_in_bytes", MANY)
    assert load.memory_limits(0, tmp_path)[0] == whole


def test_what_is_configured_counts_unless_the_system_allows_less(tmp_path: Path) -> None:
    system(tmp_path, "0::/a\n")
    put(tmp_path, "a/memory.max", 1 << 20)
    assert load.memory_limits(123, tmp_path) == (123, 0)
    assert load.memory_limits(2 << 30, tmp_path) == (1 << 20, 0)


def test_the_address_space_counts_where_it_is_limited() -> None:
    assert load.memory_share((50, 80), (100, 100)) == 0.8
    assert load.memory_share((50, 80), (100, 0)) == 0.5
    assert load.memory_share((50, 80), (0, 0)) == 0.0


def test_what_this_process_uses() -> None:
    resident, space = load.memory_used()
    assert 1 << 20 < resident < space
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert resident <= most * 1.1


def test_open_files_are_counted() -> None:
    reactor = SimpleNamespace(getReaders=list)
    before = load.files_open(reactor)
    with ExitStack() as files:
        for _ in range(20):
            files.enter_context(open("/dev/null"))
        # Older kernels do not say, and then it is the reactor who knows.
        assert load.files_open(reactor) in (before, before + 20)


def services(*idle: int) -> dict[str, Any]:
    instances = [SimpleNamespace(pool=SimpleNamespace(idle=each)) for each in idle]
    return {"s": SimpleNamespace(instances=instances)}


@pytest.mark.parametrize(
    ("open_", "idle", "share"),
    [
        (500, 0, 0.0),  # all that services may need is free
        (896, 0, 0.0),
        (948, 0, 0.5),  # clients have what they may have, and half of the rest is in use
        (948, 52, 0.0),  # or would be, if those were not idle
        (1000, 0, 1.0),
        (1010, 0, 1.0),
    ],
)
def test_files_are_short_when_those_for_services_are(open_: int, idle: int, share: float) -> None:
    assert load.files_share(open_, 1000, services(idle), 100) == pytest.approx(share)


def test_with_few_files_half_of_them_are_for_services() -> None:
    assert load.files_share(48, 64, services(0), 256) == 0.5


def test_giving_memory_back_breaks_nothing() -> None:
    class Knot:
        def __init__(self) -> None:
            self.me = self

    gc.collect()
    Knot()
    load.giver_back()()
    assert not [each for each in gc.get_objects() if isinstance(each, Knot)]
