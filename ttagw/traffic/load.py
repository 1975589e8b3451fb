"""How much memory and how many open files this process uses, of what it may.

Memory is what is resident, beside the least of `admission.memory` and what the system allows: the control group's limit
(cgroup v2 and v1) and that of the machine. Where `admission.memory` is not set the address space counts as well, beside
`RLIMIT_AS`. Files are looked at
as services need them: what is left for connections to them, beside what is kept from clients for that (`Accepting`).
Idle connections in pools are as good as free files.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ttagw.attempt import Service

FEW_FILES = 4
"""Open files that are left for what is neither a client nor a service."""
_OWN_FILES = 16
"""About how many it has open for itself."""
_PAGE = resource.getpagesize()


def memory_limits(configured: int, root: Path = Path("/")) -> tuple[int, int]:
    """Bytes that may be resident, and bytes of address space; 0: no limit."""
    limits = [_machine(), *_of_groups(root)]
    if configured:
        # Where the system allows less, it would end this process before that much is in use.
        return min(configured, *limits), 0
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(limits), 0 if space == resource.RLIM_INFINITY else space


def _machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE


def _of_groups(root: Path) -> Iterable[int]:
    """The limits of all control groups that this process is in, and of those that they are in."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = path.strip("/")
        while True:
            yield from _number(folder / group / name)
            if not group:
                break
            group = group.rpartition("/")[0]


def _number(file: Path) -> Iterable[int]:
    """What a file says, unless it is not there or says `max`."""
    try:
        text = file.read_text().strip()
    except OSError:
        return
    if text.isdigit():
        yield int(text)


def memory_used() -> tuple[int, int]:
    """Bytes that are resident, and bytes of address space."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        space, resident, _ = file.read().split(b" ", 2)
    return int(resident) * _PAGE, int(space) * _PAGE


def memory_share(used: tuple[int, int], limits: tuple[int, int]) -> float:
    """The part of the memory that is in use."""
    return max([part / whole for part, whole in zip(used, limits, strict=True) if whole], default=0.0)


def files_open(reactor: Any) -> int:
    """How many files this process has open."""
    # Since Linux 6.2 that is the size of the folder; to list ten thousand would take longer than may be. Before, what
    # the reactor reads from is nearly all there is.
    return os.stat("/proc/self/fd").st_size or len(reactor.getReaders()) + _OWN_FILES


def files_share(open_: int, limit: int, services: Mapping[str, Service], most: int) -> float:
    """The part in use of the files that are left for connections to services; `most` is how many to one instance."""
    instances = [instance for service in services.values() for instance in service.instances]
    kept = min(FEW_FILES + len(instances) * most, limit // 2)
    free = limit - open_ + sum([each.pool.idle for each in instances])
    return min(max(1.0 - free / kept, 0.0), 1.0)


def files_limit() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _collect() -> None:
    gc.collect()


def giver_back() -> Callable[[], None]:
    """What gives memory back to the system: what is garbage, and what the C library holds for later.

    The daemon looks for garbage rarely (see `ttagw.tap`), and connections that have ended are in part such.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        # Not every C library has it.
        return _collect

    def give_back() -> None:
        gc.collect()
        trim(0)

    return give_back
