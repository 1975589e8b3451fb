"""The file of API keys: what it says, and how entries come and go without a touch on the rest.

    [keys.core-gameplay]
    hash = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
    roles = ["service"]
    permissions = []
    expires = 2027-01-01T00:00:00Z

A key is the text `ttagw_NAME_SECRET`, where SECRET is 32 random bytes as base64url without padding. That is always 43
characters, so the name is what stands between `ttagw_` and the 44th character from the end, whatever is in it. The hash
is that of the whole text: an entry that is renamed, or copied to another name, is of no use.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ttagw.config.base import Listing, Matches, Name, Section
from ttagw.config.faults import ConfigError, Fault, name_of, one_line
from ttagw.config.lines import Lines
from ttagw.config.loader import read_toml
from ttagw.config.validation import findings_of

MOST_BYTES = 1024 * 1024
"""Of a file of keys."""

_PREFIX = "ttagw_"
_SECRET = 43
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
_KEY = re.compile(rf"{_PREFIX}({_NAME})_[A-Za-z0-9_-]{{{_SECRET}}}")
LONGEST_KEY = len(_PREFIX) + 64 + 1 + _SECRET

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=([1-9][0-9]?)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
_MOST_MEMORY = 256 * 1024
_MOST_LANES = 16

KeyName = Annotated[str, Matches(_NAME, 'a name of up to 64 letters, digits, ".", "_", ":" and "-"')]
Permission = Annotated[
    str, Matches(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "a permission such as register:core-gameplay")
]


def _argon2id(value: str) -> str:
    """Nothing of what was given is said."""
    match = _PHC.fullmatch(value)
    good = match is not None and all(len(match[part]) % 4 != 1 for part in (4, 5))
    if match is None or not good:
        raise ValueError("expected an Argon2id hash in PHC form, as `ttagw key new` makes it")
    memory, lanes = int(match[1]), int(match[3])
    if not 8 * lanes <= memory <= _MOST_MEMORY or lanes > _MOST_LANES:
        raise ValueError(f"expected an Argon2id hash with m of 8 p to {_MOST_MEMORY}, and p of {_MOST_LANES} or less")
    return value


def _with_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("expected a time with its offset, such as 2027-01-01T00:00:00Z")
    return value


class Entry(Section):
    """What the file says about one key."""

    hash: Annotated[str, AfterValidator(_argon2id)]
    """Of the whole key, by Argon2id, in PHC form."""
    roles: Listing[Name] = ()
    """What it may do, by role."""
    permissions: Listing[Permission] = ()
    """And by permission."""
    expires: Annotated[datetime, AfterValidator(_with_offset)] | None = None
    """From when on it is refused."""


class KeyFile(Section):
    """The whole file."""

    keys: dict[KeyName, Entry] = Field(default_factory=dict)
    """The keys, by name."""


def load(path: str | Path) -> Mapping[str, Entry]:
    """The entries of a file. Raises `ConfigError` with everything that is wrong with it, by line."""
    return _entries(_read(Path(path)), str(path))


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError([Fault(0, "", "not a file", str(path))])
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError([Fault(0, "", f"cannot be read: {error.strerror}", str(path))]) from None
    if len(raw) > MOST_BYTES:
        raise ConfigError([Fault(0, "", "more than 1 MiB", str(path))])
    return raw


def _without_waiting(path: str, flags: int) -> int:
    """What is a pipe would keep us waiting for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _entries(raw: bytes, path: str) -> Mapping[str, Entry]:
    text, document = read_toml(raw, Path(path))
    try:
        return KeyFile.model_validate(document, context={"file": True}).keys
    except ValidationError as error:
        findings = findings_of(error)
    lines = Lines(text)
    raise ConfigError(
        [Fault(lines.of(key), one_line(name_of(key)), one_line(message), path) for key, message in findings]
    )


# Keys as people hold them


def new_key(name: str, secret: bytes) -> str:
    """The key of this name with 32 random bytes. Raises `ValueError` for what cannot be a name."""
    key = f"{_PREFIX}{name}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"
    if not name or name_in(key.encode("utf-8", "replace")) != name:
        raise ValueError('expected a name of up to 64 letters, digits, ".", "_", ":" and "-"')
    return key


def name_in(key: bytes) -> str:
    """The name in a key; "" if it does not have the form of one."""
    match = _KEY.fullmatch(key[: LONGEST_KEY + 1].decode("latin-1"))
    return match[1] if match is not None else ""


# Changes


class KeyFileError(Exception):
    """A change that was not made; the message says why."""


def add(path: Path, name: str, hashed: str, roles: tuple[str, ...], permissions: tuple[str, ...]) -> None:
    """Append an entry; without a file there will be one. Raises `KeyFileError` or `ConfigError`, and changes nothing
    then.
    """

    try:
        Entry.model_validate({"hash": hashed, "roles": roles, "permissions": permissions})
    except ValidationError as error:
        said = [f"{name_of(key)}: {message}" for key, message in findings_of(error)]
        raise KeyFileError("; ".join(said)) from None

    def change(text: str, entries: Mapping[str, Entry]) -> str:
        if name in entries:
            raise KeyFileError(f"{path}: there is a key of the name {name} already; remove it first")
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return (
            f"{text}{gap}[keys.{_quoted(name)}]\nhash = {_text(hashed)}\n"
            f"roles = {_list(roles)}\npermissions = {_list(permissions)}\n"
        )

    _change(path, change, {name}, fresh=True)


def remove(path: Path, name: str) -> None:
    """Take an entry out. Raises `KeyFileError` or `ConfigError`, and changes nothing then."""

    def change(text: str, entries: Mapping[str, Entry]) -> str:
        if name not in entries:
            raise KeyFileError(f"{path}: there is no key of the name {name}")
        lines = text.split("\n")
        begins = [number for number, line in enumerate(lines) if _header(line) is not None]
        starts = [number for number in begins if _header(lines[number]) == {"keys": {name: {}}}]
        if len(starts) != 1:
            raise KeyFileError(f"{path}: {name} has no table of its own; take it out by hand")
        start = starts[0]
        end = next((number for number in begins if number > start), len(lines))
        # Comments after the last key belong to what follows.
        while end - 1 > start and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        if start and not lines[start - 1].strip():
            start -= 1
        while not start and end < len(lines) - 1 and not lines[end].strip():
            end += 1
        return "\n".join([*lines[:start], *lines[end:]])

    _change(path, change, {name}, fresh=False)


def _header(line: str) -> dict[str, Any] | None:
    """What a line that begins a table says; None for other lines."""
    if not line.lstrip().startswith("["):
        return None
    try:
        return tomllib.loads(line.rstrip("\r"))
    except ValueError:
        return None


def _change(path: Path, change: Callable[[str, Mapping[str, Entry]], str], names: set[str], *, fresh: bool) -> None:
    """Put the changed text into the place of the file, if nothing but the entries of these names is another then."""
    path = path.resolve()
    with _alone(path.parent):
        raw = b"" if fresh and not path.exists() else _read(path)
        before = _entries(raw, str(path))
        text = change(raw.decode("utf-8"), before)
        try:
            after = dict(_entries(text.encode("utf-8"), str(path)))
        except ConfigError:
            after = {}
        others = {name: entry for name, entry in before.items() if name not in names}
        if {name: entry for name, entry in after.items() if name not in names} != others or (
            fresh == names.isdisjoint(after)
        ):
            raise KeyFileError(f"{path}: its form is one that only people can change; every key needs a [keys.NAME]")
        _replace(path, text.encode("utf-8"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep out others who change files in this folder the same way."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, data: bytes) -> None:
    """At every moment there is either the old file or the new one, whole. Owner and mode stay; a new one is 0600."""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(number, "wb") as file:
            if path.exists():
                about = path.stat()
                if (about.st_uid, about.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(number, about.st_uid, about.st_gid)
                os.fchmod(number, stat.S_IMODE(about.st_mode))
            file.write(data)
            file.flush()
            os.fsync(number)
        os.replace(name, path)
    except OSError as error:
        os.unlink(name)
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """None of these holds what TOML would need to have escaped."""
    return f'"{value}"'


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_text, values))}]"
