"""What all sections have in common, and the plain checks of single values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import core_schema

from ttagw.config.faults import shown

T = TypeVar("T")


class Section(BaseModel):
    """A table of the configuration: frozen, and no key but those it names."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Listing = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
"""A list in the file."""
Texts = Listing[str]
"""A list of strings."""


@dataclass(frozen=True)
class Matches:
    """Text of a form that `expected` says in words. `secret`: what was given is not said."""

    pattern: str
    expected: str
    secret: bool = False

    def check(self, value: str) -> str:
        """The value. Raises `ValueError`."""
        if re.fullmatch(self.pattern, value) is None:
            raise ValueError(f"expected {self.expected}" + ("" if self.secret else f", got {shown(value)}"))
        return value

    def __get_pydantic_core_schema__(self, source: Any, inner: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, inner(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, inner: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**inner(schema), "pattern": f"^(?:{self.pattern})$"}


_TOKEN = r"[!#$%&'*+.^`|~0-9A-Za-z-]+"  # noqa: S105 - the token of RFC 9110, less the underscore that no service can tell
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

Name = Annotated[
    str, Matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", 'a name of up to 64 letters, digits, ".", "_" and "-"')
]
"""What can be a label in logs and metrics."""

OptionalName = Annotated[
    str, Matches(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?", 'a name of up to 64 letters, digits, ".", "_" and "-"')
]
"""The same, or nothing."""

Host = Annotated[
    str,
    Matches(
        rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]",
        'a host such as "tta.example" or "*.tta.example", in lower case and without a port',
    ),
]
Method = Annotated[str, Matches(r"(?!CONNECT$)[A-Z][A-Z-]{0,31}", 'a method such as "GET" (CONNECT is never answered)')]
FieldName = Annotated[str, Matches(_TOKEN, 'the name of a header field, without "_"')]
FieldValue = Annotated[
    str,
    Matches(
        r"(?:[\x21-\x7e\xa0-\xff](?:[\t\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?)?",
        "printable characters of latin-1, with no line breaks, and no space around them",
        secret=True,
    ),
]
FieldTable = dict[FieldName, FieldValue]

Origin = Annotated[str, Matches(r"https?://[a-z0-9.:\[\]-]+", 'an origin such as "https://play.tta.example"')]
WebUrl = Annotated[
    str, Matches(r"https?://[^\s/?#@]+(?:/[^\s#]*)?", 'an address such as "https://host/path"', secret=True)
]
OptionalWebUrl = Annotated[
    str, Matches(r"(?:https?://[^\s/?#@]+(?:/[^\s#]*)?)?", 'an address such as "https://host/path"', secret=True)
]


def network(value: Any) -> IPv4Network | IPv6Network:
    """A CIDR. Raises `ValueError`."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        cause = " (its host bits are set)" if "host bits" in str(error) else ""
        expected = 'expected a network such as "10.0.0.0/8" or "2001:db8::/32"'
        raise ValueError(f"{expected}, got {shown(value)}{cause}") from None


Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(network),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"]}),
]

_ENDPOINT = re.compile(
    r"(?:tcp|tcp6|ssl):([0-9]{1,5})(?::[a-zA-Z]+=.+)?|unix:[^:=]+(?::[a-zA-Z]+=.+)?|systemd:domain=(?:INET|INET6|UNIX):.+"
)


def endpoint(value: str) -> str:
    """A Twisted endpoint string of a kind that we listen on. Raises `ValueError`."""
    match = _ENDPOINT.fullmatch(value)
    if match is None or int(match[1] or 0) > 65535:
        raise ValueError(
            f'expected an endpoint (tcp:, tcp6:, ssl:, unix:, systemd:) such as "tcp:8000:interface=127.0.0.1", '
            f"got {shown(value)}"
        )
    return value


Endpoint = Annotated[str, AfterValidator(endpoint)]
OptionalEndpoint = Annotated[str, AfterValidator(lambda value: value and endpoint(value))]


def not_empty(value: tuple[T, ...]) -> tuple[T, ...]:
    """The list. Raises `ValueError` when nothing is in it."""
    if not value:
        raise ValueError("expected at least one in this list")
    return value


NotEmpty = AfterValidator(not_empty)
