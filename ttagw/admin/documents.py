"""The documents that the admin API takes: every fault is said at once, and nothing unknown is let pass."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from ttagw.config.base import Listing, Matches, Name, OptionalName, Section
from ttagw.config.faults import name_of, one_line, shown
from ttagw.config.services import Health, url_of_address
from ttagw.config.units import seconds
from ttagw.config.validation import findings_of
from ttagw.errors import InvalidDocumentError
from ttagw.registry.entries import LONGEST_LEASE, SHORTEST_LEASE
from ttagw.registry.records import LEASE, Origin, Record

SHORTEST_INTERVAL, LONGEST_TIMEOUT = 1.0, 10.0
"""Of checks that an instance asks for itself."""
MOST_FAULTS = 50
"""That are told of one document."""

INSTANCE_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
"""What the id of an instance can be."""

D = TypeVar("D", bound=Section)


def _lease(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    found = float(min(max(value, 0), 2 * LONGEST_LEASE)) if number else seconds(value)
    if not SHORTEST_LEASE <= found <= LONGEST_LEASE:
        raise ValueError(f'expected a lease of "1s" to "1h", got {shown(value)}')
    return found


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 32:
        raise ValueError("expected 32 of them at the most")
    return value


def _fair(value: Health | None) -> Health | None:
    """Checks of all services share what there is of time and connections."""
    if value is not None and not (value.interval >= SHORTEST_INTERVAL and value.timeout <= LONGEST_TIMEOUT):
        raise ValueError('expected an interval of "1s" or more and a timeout of "10s" or less')
    return value


def _service(value: str) -> str:
    """Where no service is, but the metadata of a cloud may be, nobody is sent by whoever has a key."""
    try:
        address = ip_address(urlsplit(value).hostname or "")
    except ValueError:
        return value
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError("expected an address where a service can be, not one of a link, of a group or of nowhere")
    return value


_LABEL = r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,63}"
_Label = Annotated[str, Matches(_LABEL, "a label such as canary")]


class InstanceDocument(Section):
    """An instance, as it describes itself."""

    url: Annotated[str, AfterValidator(url_of_address), AfterValidator(_service)]
    """`http://HOST[:PORT]` or `https://HOST[:PORT]`."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the requests."""
    zone: OptionalName = ""
    """Where it is."""
    tags: Annotated[Listing[_Label], AfterValidator(_few)] = ()
    """Labels."""
    version: Annotated[str, Matches(rf"(?:{_LABEL})?", "a version such as 1.2.3")] = ""
    """What runs there."""
    ttl: Annotated[float, BeforeValidator(_lease)] = LEASE
    """How long it counts as there without a heartbeat."""
    health: Annotated[Health | None, AfterValidator(_fair)] = None
    """How it is checked; default: as its service says."""
    dependencies: Annotated[Listing[Name], AfterValidator(_few)] = ()
    """Services without which it is degraded."""

    def record(self, service: str, id: str) -> Record:  # noqa: A002 - the word of the API
        """The same as a record."""
        return Record(
            service,
            id,
            self.url,
            weight=self.weight,
            zone=self.zone,
            tags=self.tags,
            version=self.version,
            dependencies=self.dependencies,
            health=self.health,
            origin=Origin.SELF,
            ttl=self.ttl,
        )


class BreakerDocument(Section):
    """What a breaker is to do."""

    state: Literal["forced_open", "forced_closed", "auto"]


def read(kind: type[D], body: bytes) -> D:
    """The document in a body. Raises `InvalidDocumentError` with everything that is wrong."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidDocumentError(errors=[("", "this is not JSON")]) from None
    try:
        return kind.model_validate(value, context={"file": True})
    except ValidationError as error:
        findings = findings_of(error)[:MOST_FAULTS]
    raise InvalidDocumentError(errors=[(shown_name(name_of(key)), _sentence(message)) for key, message in findings])


def shown_name(name: str) -> str:
    """A field as it is named in an answer; those that nobody knows may be of any length."""
    return one_line(name if len(name) <= 200 else f"{name[:200]}…")


def _sentence(message: str) -> str:
    """Sentences about files, as sentences about JSON."""
    if message == "there is no such key here":
        return "there is no such field"
    return one_line(message.replace("expected a table", "expected an object", 1))
