"""The file of API keys: what it says, and how entries come and go without a touch on the rest.

    [keys.core-gameplay]
    hash = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
    roles = ["service"]
    permissions = []
    expires = 2027-01-01T00:00:00Z

    [keys.core-gameplay.previous]
    hash = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
    expires = 2026-12-01T00:00:00Z

A key of the same name that was there before is `previous`, and goes on being good until its end: its holder can change
to the new one without a break.

A key is the text `ttagw_NAME_SECRET`, where SECRET is 32 random bytes as base64url without padding. That is always 43
characters, so the name is what stands between `ttagw_` and the 44th character from the end, whatever is in it. The hash
is that of the whole text: an entry that is renamed, or copied to another name, is of no use.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from ttagw.auth.replacing import KeyFileError as KeyFileError
from ttagw.auth.replacing import alone, replace
from ttagw.auth.tables import listed, quoted, span, text, without
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


Hash = Annotated[str, AfterValidator(_argon2id)]
Moment = Annotated[datetime, AfterValidator(_with_offset)]


class Previous(Section):
    """The key that had this name before."""

    hash: Hash
    """Of that whole key, by Argon2id, in PHC form."""
    expires: Moment
    """From when on it is refused."""


class Entry(Section):
    """What the file says about one key."""

    hash: Hash
    """Of the whole key, by Argon2id, in PHC form."""
    roles: Listing[Name] = ()
    """What it may do, by role."""
    permissions: Listing[Permission] = ()
    """And by permission."""
    expires: Moment | None = None
    """From when on it is refused."""
    previous: Previous | None = None
    """The key that had this name before, with the same roles and permissions."""


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

Entries = Mapping[str, Entry]


def add(
    path: Path,
    name: str,
    hashed: str,
    roles: tuple[str, ...],
    permissions: tuple[str, ...],
    expires: datetime | None = None,
) -> None:
    """Append an entry; without a file there will be one. Raises `KeyFileError` or `ConfigError`, and changes nothing
    then.
    """
    expires = expires and expires.replace(microsecond=0)
    try:
        entry = Entry.model_validate({"hash": hashed, "roles": roles, "permissions": permissions, "expires": expires})
    except ValidationError as error:
        said = [f"{name_of(key)}: {message}" for key, message in findings_of(error)]
        raise KeyFileError("; ".join(said)) from None

    def append(before: str, entries: Entries) -> tuple[str, Entries]:
        if name in entries:
            raise KeyFileError(f"{path}: there is a key of the name {name} already; remove it first, or rotate it")
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        end = "" if expires is None else f"expires = {moment(expires)}\n"
        return (
            f"{before}{gap}[keys.{quoted(name)}]\nhash = {text(hashed)}\n"
            f"roles = {listed(roles)}\npermissions = {listed(permissions)}\n{end}"
        ), {**entries, name: entry}

    change(path, append, fresh=True)


def remove(path: Path, name: str) -> None:
    """Take an entry out, and what it was before. Raises `KeyFileError` or `ConfigError`, and changes nothing then."""

    def take_out(before: str, entries: Entries) -> tuple[str, Entries]:
        if name not in entries:
            raise KeyFileError(f"{path}: there is no key of the name {name}")
        lines = before.split("\n")
        previous = span(lines, ("keys", name, "previous"))
        if previous is not None:
            lines = without(lines, previous)
        place = span(lines, ("keys", name))
        if place is None:
            raise KeyFileError(f"{path}: {name} has no table of its own; take it out by hand")
        return "\n".join(without(lines, place)), {each: entries[each] for each in entries if each != name}

    change(path, take_out)


def moment(value: datetime) -> str:
    """A time as it stands in the file."""
    return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def change(path: Path, make: Callable[[str, Entries], tuple[str, Entries]], *, fresh: bool = False) -> None:
    """Put a changed text into the place of the file, if that says what is expected.

    `make` gets the text and its entries, and returns the new ones. `fresh`: there may be no file yet. Raises
    `KeyFileError` or `ConfigError`, and changes nothing then.
    """
    path = path.resolve()
    with alone(path.parent):
        raw = b"" if fresh and not path.exists() else _read(path)
        after, expected = make(raw.decode("utf-8"), _entries(raw, str(path)))
        data = after.encode("utf-8")
        try:
            right = _entries(data, str(path)) == expected
        except ConfigError:
            right = False
        if not right:
            raise KeyFileError(f"{path}: its form is one that only people can change; every key needs a [keys.NAME]")
        replace(path, data)
