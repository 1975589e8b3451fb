"""A key takes the place of another one of the same name, and both are good for a while."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ttagw.auth.keyfile import Entries, Entry, change, moment
from ttagw.auth.replacing import KeyFileError
from ttagw.auth.tables import Lines, assigned, quoted, span, text, without
from ttagw.config.units import seconds

NEVER = datetime.max.replace(tzinfo=UTC)
"""The end of a key that has none."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXPIRES = re.compile(r"([^=]+=\s*)[^#]*?(\s*(?:#.*)?)\Z")


def end_of(value: str, now: datetime) -> datetime:
    """When what somebody calls `90d`, `2027-01-01`, `2027-01-01T12:00:00Z` or `never` is; a date begins in UTC.

    Raises `ValueError` for anything else, and for what is over.
    """
    if value == "never":
        return NEVER
    try:
        if value[:4].isdigit() and value[4:5] == "-":
            end = datetime.fromisoformat(f"{value}T00:00:00+00:00" if _DATE.fullmatch(value) else value)
        else:
            end = now + timedelta(seconds=seconds(value))
    except ValueError:
        raise ValueError(
            f'expected a duration such as "90d", a date such as "2027-01-01", or "never", got "{value}"'
        ) from None
    if end.tzinfo is None:
        raise ValueError(f'expected a time with its offset, such as "2027-01-01T00:00:00Z", got "{value}"')
    if end <= now:
        raise ValueError(f'"{value}" is over already')
    return end.replace(microsecond=0)


def rotate(
    path: Path, name: str, hashed: str, keep: float, now: datetime, expires: datetime | None = None
) -> datetime | None:
    """Give the name another key; the one it has goes on being good for `keep` seconds, or to its own end before that.

    Returns when that is; None if it is over already. `expires` is the end of the new key, and must be said if the old
    one has an end. Raises `KeyFileError` or `ConfigError`, and changes nothing then.
    """
    until: list[datetime] = []

    def put(before: str, entries: Entries) -> tuple[str, Entries]:
        entry = _entry(path, name, entries)
        _refuse_third(path, name, entry, now)
        if entry.expires is not None and expires is None:
            raise KeyFileError(
                f"{path}: the key of {name} has an end; say when the new one ends, or that it never does"
            )
        end = min([now + timedelta(seconds=keep), *([entry.expires] if entry.expires else [])]).replace(microsecond=0)
        if end > now:
            until.append(end)
        fields = {
            "hash": hashed,
            "roles": entry.roles,
            "permissions": entry.permissions,
            "expires": None if expires is None or expires == NEVER else expires.replace(microsecond=0),
            "previous": {"hash": entry.hash, "expires": end} if until else None,
        }
        after = Entry.model_validate(fields)
        return _written(path, name, before.split("\n"), entry, after), {**entries, name: after}

    change(path, put)
    return until[0] if until else None


def remove_old(path: Path, name: str) -> None:
    """End what was left of the key that the name had before. Raises `KeyFileError` or `ConfigError`."""

    def take_out(before: str, entries: Entries) -> tuple[str, Entries]:
        entry = _entry(path, name, entries)
        if entry.previous is None:
            raise KeyFileError(f"{path}: there is no old key of the name {name}")
        lines = _without_previous(path, name, before.split("\n"))
        return "\n".join(lines), {**entries, name: entry.model_copy(update={"previous": None})}

    change(path, take_out)


def _entry(path: Path, name: str, entries: Entries) -> Entry:
    if name not in entries:
        raise KeyFileError(f"{path}: there is no key of the name {name}")
    return entries[name]


def _refuse_third(path: Path, name: str, entry: Entry, now: datetime) -> None:
    if entry.previous is not None and entry.previous.expires > now:
        end = moment(entry.previous.expires)
        raise KeyFileError(f"{path}: an old key of {name} is good until {end}; remove that one first")


def _by_hand(path: Path, name: str) -> KeyFileError:
    return KeyFileError(f"{path}: {name} has no table of its own with each key on a line; change it by hand")


def _without_previous(path: Path, name: str, lines: Lines) -> Lines:
    place = span(lines, ("keys", name, "previous"))
    if place is None:
        raise _by_hand(path, name)
    return without(lines, place)


def _written(path: Path, name: str, lines: Lines, before: Entry, after: Entry) -> str:
    """The text with what is another now; comments stay where they are."""
    if before.previous is not None:
        lines = _without_previous(path, name, lines)
    place = span(lines, ("keys", name))
    if place is None:
        raise _by_hand(path, name)
    start, end = place
    # Lines may end as on Windows.
    tail = "\r" if lines[start].endswith("\r") else ""
    body = lines[start:end]
    hashes = [number for number, line in enumerate(body) if assigned(line) == {"hash": before.hash}]
    if len(hashes) != 1:
        raise _by_hand(path, name)
    body[hashes[0]] = body[hashes[0]].replace(before.hash, after.hash)
    ends = [number for number, line in enumerate(body) if assigned(line).keys() == {"expires"}]
    if ends and after.expires is None:
        del body[ends[0]]
    elif ends and after.expires is not None:
        body[ends[0]] = _EXPIRES.sub(rf"\g<1>{moment(after.expires)}\g<2>", body[ends[0]], count=1)
    elif after.expires is not None:
        body.insert(hashes[0] + 1, f"expires = {moment(after.expires)}{tail}")
    if after.previous is not None:
        body += [
            each + tail
            for each in (
                "",
                f"[keys.{quoted(name)}.previous]",
                f"hash = {text(after.previous.hash)}",
                f"expires = {moment(after.previous.expires)}",
            )
        ]
    return "\n".join([*lines[:start], *body, *lines[end:]])
