"""Instances that a file lists: `file:` in `[services.*]`."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ttagw.config.faults import ConfigError
from ttagw.config.instances import Listed, load_instances
from ttagw.registry.records import Origin, Record
from ttagw.registry.sources import State, Tell, Update

LOOK = 0.5
"""Seconds between two looks at the file. A change is read once the file has been the same for two of them."""

_Stamp = tuple[int, ...]


class FileSource:
    """Follows a file, however it is changed. Faults in it are told; then what it said last still counts, all of it.

    A file that is replaced in one piece can be read at any time. One that is written in place may be half of what it is
    going to be, and good TOML; hence nothing is read that has changed since the look before.
    """

    log = Logger()

    def __init__(self, service: str, path: str, zone: str, tell: Tell, clock: IReactorTime) -> None:
        """`zone` is that of instances for which the file has none."""
        self._service = service
        self._path = path
        self._zone = zone
        self._state = State(service, tell)
        self._seen: _Stamp | None = None
        self._read: _Stamp | None = None
        self._records: tuple[Record, ...] | None = None
        self._update: Update
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self, update: Update) -> None:
        """Read it now, and then whenever it has changed."""
        self._update = update
        self._seen = stamp(self._path)
        self._load()
        # Not yet `_read`: it may have been in the midst of a change.
        self._looking.start(LOOK, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        try:
            self._follow()
        except Exception:
            # A loop that is left by an exception never runs again.
            self.log.failure("{service}: {path} could not be followed", service=self._service, path=self._path)

    def _follow(self) -> None:
        now = stamp(self._path)
        if now != self._seen:
            self._seen = now
        elif now != self._read or now is None:
            self._read = now
            self._load()

    def _load(self) -> None:
        listed: tuple[Listed, ...] = ()
        fault: ConfigError | None = None
        try:
            listed = load_instances(self._path)
        except ConfigError as error:
            fault = error
        if stamp(self._path) != self._seen:
            return  # changed under our eyes; what was read may be half of each
        if fault is not None:
            self._bad(fault)
            return
        if self._state.good():
            self.log.info("{service}: {path} is good again", service=self._service, path=self._path)
        records = tuple([self._record(each) for each in listed])
        if records != self._records:
            self._records = records
            self._update(records)

    def _bad(self, error: ConfigError) -> None:
        if self._state.bad("bad_file", str(error)):
            for fault in error.faults:
                self.log.warn("{service}: {fault}", service=self._service, fault=str(fault))

    def _record(self, listed: Listed) -> Record:
        return Record(
            self._service,
            listed.name,
            listed.url,
            listed.weight,
            listed.zone or self._zone,
            listed.tags,
            listed.version,
            origin=Origin.FILE,
        )


def stamp(path: str) -> _Stamp | None:
    """What is different once a file has been changed; None while there is none."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
