"""Files that list the instances of a service: `file:` in `[services.*]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from ttagw.config.base import Listing, Matches, Name, OptionalName, Section
from ttagw.config.faults import ConfigError, Fault, Finding, name_of, one_line
from ttagw.config.files import unreadable
from ttagw.config.lines import Lines
from ttagw.config.loader import read_file, read_toml
from ttagw.config.services import place_of, url_of_address
from ttagw.config.validation import findings_of

LARGEST = 1 << 20
"""Characters of such a file."""

_ID = Matches(
    r"(?:[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]{0,127})?", 'a name of up to 128 letters, digits, ".", "_", ":" and "-"'
)


class Listed(Section):
    """One of the `[[instances]]`."""

    url: Annotated[str, AfterValidator(url_of_address)]
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the requests."""
    zone: OptionalName = ""
    """Where it is; default: the zone that stands beside the `file:`."""
    tags: Listing[Name] = ()
    """Words about it."""
    version: Annotated[str, Matches(r"[A-Za-z0-9._+-]{0,64}", 'a version such as "1.2.3"')] = ""
    """What runs there."""
    id: Annotated[str, _ID] = ""
    """How it is called; default: host and port."""

    @property
    def name(self) -> str:
        """Its id, given or not."""
        return self.id or id_of(self.url)


class Document(Section):
    """Such a file."""

    instances: Listing[Listed]
    """Must be there, so that a file that is not written yet does not mean that there are none."""


def id_of(url: str) -> str:
    """Host and port of an instance's URL."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def load_instances(path: str) -> tuple[Listed, ...]:
    """What a file lists. Raises `ConfigError` with all faults, by line; then nothing of it counts."""
    why = unreadable(path)
    if why:
        raise ConfigError([Fault(0, "", f"cannot be read: {why}", path)])
    raw = read_file(Path(path))
    if len(raw) > LARGEST:
        raise ConfigError([Fault(0, "", f"larger than {LARGEST} bytes", path)])
    text, document = read_toml(raw, Path(path))
    try:
        listed = Document.model_validate(document).instances
        findings = list(_twice(listed))
    except ValidationError as error:
        findings = findings_of(error)
    if findings:
        lines = Lines(text)
        faults = [Fault(lines.of(key), one_line(name_of(key)), one_line(words), path) for key, words in findings]
        raise ConfigError(faults)
    return listed


def _twice(listed: tuple[Listed, ...]) -> Iterator[Finding]:
    places: dict[object, int] = {}
    ids: dict[str, int] = {}
    for index, each in enumerate(listed):
        first = places.setdefault(place_of(each.url), index)
        same = ids.setdefault(each.name, index)
        if first != index:
            yield ("instances", index, "url"), f'"{each.url}" is the same as instances[{first}]'
        elif same != index:
            yield (
                ("instances", index, "id" if each.id else "url"),
                f'the id "{each.name}" is taken by instances[{same}]',
            )
