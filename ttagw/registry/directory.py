"""The registry as the admin side speaks to it: facts as mappings, and what cannot be done as errors with a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttagw.errors import (
    InstanceConflictError,
    InstanceNotFoundError,
    InvalidDocumentError,
    RegistryFullError,
    ServiceNotFoundError,
)
from ttagw.registry.ledger import Ledger
from ttagw.registry.records import Record
from ttagw.registry.registry import ConflictError, FullError, Registry


class RegistryDirectory:
    """What the admin API acts on."""

    def __init__(self, registry: Registry, ledger: Ledger) -> None:
        self._registry = registry
        self._ledger = ledger

    def services(self) -> Sequence[Mapping[str, Any]]:
        """All services."""
        return self._registry.views()

    def service(self, name: str) -> Mapping[str, Any] | None:
        """One service, or None."""
        return self._registry.view(name)

    async def register(self, record: Record) -> bool:
        """Whether it is new."""
        groups = self._registry.groups
        if record.service not in groups:
            raise ServiceNotFoundError
        unknown = [name for name in record.dependencies if name not in groups]
        if unknown:
            raise InvalidDocumentError(errors=[("dependencies", f'there is no service "{name}"') for name in unknown])
        try:
            return await self._ledger.register(record)
        except ConflictError as error:
            raise InstanceConflictError(detail=f"This was not changed: {error}.") from None
        except FullError:
            raise RegistryFullError(retry_after=60) from None
        except ValueError:
            raise InvalidDocumentError(errors=[("url", "nothing can be reached under this host")]) from None

    async def renew(self, service: str, id: str) -> float:  # noqa: A002 - the word of the API
        """Seconds of the lease that begins now."""
        lease = await self._ledger.renew(service, id)
        if not lease:
            raise InstanceNotFoundError
        return lease

    async def deregister(self, service: str, id: str) -> None:  # noqa: A002
        """It drains, then leaves."""
        if not await self._ledger.deregister(service, id):
            raise InstanceNotFoundError

    def force(self, service: str, id: str | None, state: str) -> None:  # noqa: A002
        """An operator's word about a breaker."""
        group = self._registry.groups.get(service)
        if group is None:
            raise ServiceNotFoundError
        if id is not None and id not in group.members:
            raise InstanceNotFoundError
        self._registry.force(service, id, state)
