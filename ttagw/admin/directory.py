"""What the admin API acts on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ttagw.registry.records import Record

FORCED_OPEN = "forced_open"
FORCED_CLOSED = "forced_closed"
AUTO = "auto"
"""What the breaker of a service or an instance can be set to."""


class Directory(Protocol):
    """The services and their instances. What is returned can be written as JSON; what is raised is a `GatewayError`."""

    def services(self) -> Sequence[Mapping[str, Any]]:
        """All services, as `service` describes each."""

    def service(self, name: str) -> Mapping[str, Any] | None:
        """One service; `instances` is a list of mappings with an `id` each. None: there is none of this name."""

    async def register(self, record: Record) -> bool:
        """An instance is there, or has changed. Returns whether it is new. Raises `ServiceNotFoundError`,
        `InstanceConflictError`, or what the store has to say.
        """

    async def renew(self, service: str, id: str) -> float:  # noqa: A002 - the word of the API
        """The instance is still there. Returns the seconds of its lease. Raises `InstanceNotFoundError`."""

    async def deregister(self, service: str, id: str) -> None:  # noqa: A002
        """The instance gets no new requests, and leaves when it has finished. Raises `InstanceNotFoundError`."""

    def force(self, service: str, id: str | None, state: str) -> None:  # noqa: A002
        """Set a breaker: that of an instance, or with None that of the service. Raises `ServiceNotFoundError` or
        `InstanceNotFoundError`.
        """
