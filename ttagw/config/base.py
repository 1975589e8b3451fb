"""What all sections have in common, and the plain checks of single values."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema


class Section(BaseModel):
    """A table of the configuration: frozen, and no key but those it names."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
"""A list of strings."""
Numbers = Annotated[tuple[int, ...], BeforeValidator(_tuple)]
"""A list of whole numbers."""


def _network(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    networks = []
    for each in value:
        try:
            networks.append(ip_network(each))
        except ValueError:
            raise ValueError(f'expected networks such as "10.0.0.0/8" or "2001:db8::/32", got "{each}"') from None
    return tuple(networks)


Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...],
    BeforeValidator(_network),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
"""A list of CIDRs."""

_ENDPOINT = re.compile(r"(tcp|tcp6|ssl):(\d+)(:[a-zA-Z]+=.+)*|unix:[^:]+(:.+)*|systemd:domain=(INET|INET6|UNIX)(:.+)+")


def endpoint(value: str) -> str:
    """A Twisted endpoint string. Raises `ValueError`."""
    match = _ENDPOINT.fullmatch(value)
    if match is None or (match[2] and int(match[2]) > 65535):
        raise ValueError(f'expected an endpoint such as "tcp:8000:interface=127.0.0.1", got "{value}"')
    return value


def one_of(*values: str) -> Callable[[str], str]:
    """A check that a value is one of these."""

    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f'expected one of {", ".join(values)}, got "{value}"')
        return value

    return check


def word(*values: str) -> Any:
    """The type of a key that holds one of these words."""
    return Annotated[str, AfterValidator(one_of(*values)), WithJsonSchema({"enum": list(values)})]
