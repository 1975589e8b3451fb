"""Who is asking the admin API, and how often somebody may ask with a key that is not known."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from twisted.logger import Logger

from ttagw.admin.channel import AdminRequest
from ttagw.auth.keys import Caller
from ttagw.core.window import Window
from ttagw.errors import CredentialsRefusedError, CredentialsRequiredError, NotAllowedError, TooManyRefusalsError

MOST_REFUSALS = 20
PER_SECONDS = 60.0
"""So many unknown keys in so many seconds, by one address."""
MOST_ADDRESSES = 10_000

ADMIN = "admin"
SERVICE = "service"
REVIEW = "access_audit_logs"
"""Roles: what may do everything here, and what may register the service that has its name. The permission to review."""


class Keys(Protocol):
    """Who a key belongs to; see `ttagw.auth.keys`."""

    def known(self, key: bytes) -> Caller | None:
        """Who it is, if that is remembered."""

    async def check(self, key: bytes) -> Caller:
        """Who it is. Raises a `GatewayError`."""


class Callers:
    """Tells who has sent a request."""

    log = Logger()

    def __init__(self, keys: Keys | None, monotonic: Callable[[], float]) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._refused: dict[str, Window] = {}

    async def caller(self, request: AdminRequest) -> Caller:
        """Who it is. Raises `NotAllowedError` if nobody can be known, `CredentialsRequiredError`,
        `CredentialsRefusedError`, `TooManyRefusalsError` or `CheckingBusyError`.

        A key that is remembered as good is let through whatever others at its address do.
        """
        if self._keys is None:
            raise NotAllowedError("no_keys", detail="Nothing can be changed here: auth.api_keys.file is not set.")
        key = _presented(request)
        if not key:
            raise CredentialsRequiredError
        known = self._keys.known(key)
        if known is not None:
            return known
        address = _network(getattr(request.getClientAddress(), "host", "local"))
        window = self._window(address)
        if window.totals[0] >= MOST_REFUSALS:
            raise TooManyRefusalsError(retry_after=int(PER_SECONDS))
        try:
            return await self._keys.check(key)
        except CredentialsRefusedError:
            window.count(0)
            if window.totals[0] == MOST_REFUSALS:
                self.log.warn("{address}: too many keys that are not known", address=address)
            raise

    def _window(self, address: str) -> Window:
        now = self._monotonic()
        window = self._refused.pop(address, None) or Window(PER_SECONDS, 1, now)
        window.move(now)
        # The one that was used last is the last to go.
        self._refused[address] = window
        if len(self._refused) > MOST_ADDRESSES:
            del self._refused[next(iter(self._refused))]
        return window


def must_be_admin(caller: Caller) -> None:
    """Raises `NotAllowedError`."""
    if ADMIN not in caller.roles:
        raise NotAllowedError(detail="This needs a key with the role admin.")


def must_be_reviewer(caller: Caller) -> None:
    """Whether the caller may see what is recorded about people. Raises `NotAllowedError`."""
    if ADMIN not in caller.roles and REVIEW not in caller.permissions:
        raise NotAllowedError(detail=f"This needs a key with the role admin or the permission {REVIEW}.")


def must_be_for(service: str, caller: Caller) -> None:
    """Whether the caller may say which instances this service has. Raises `NotAllowedError`."""
    own = caller.name == service and SERVICE in caller.roles
    if not (own or ADMIN in caller.roles or f"register:{service}" in caller.permissions):
        raise NotAllowedError(
            detail="This needs a key of the service's name with the role service, one with the permission "
            "register:SERVICE, or one with the role admin."
        )


def _presented(request: AdminRequest) -> bytes:
    scheme, _, key = (request.getHeader(b"authorization") or b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return key.strip()
    return b"" if scheme else (request.getHeader(b"x-api-key") or b"").strip()


def _network(host: str) -> str:
    """One address, or with IPv6 the network that one customer has."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return host
