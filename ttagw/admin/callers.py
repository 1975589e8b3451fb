"""Who is asking the admin API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ttagw.admin.channel import AdminRequest
from ttagw.auth.keys import Caller
from ttagw.auth.refusals import Refusals
from ttagw.errors import CredentialsRequiredError, NotAllowedError

ADMIN = "admin"
SERVICE = "service"
REVIEW = "access_audit_logs"
"""Roles: what may do everything here, and what may register the service that has its name. The permission to review."""


class Keys(Protocol):
    """Who a key belongs to; see `ttagw.auth.keys`."""

    def known(self, key: bytes) -> Caller | None:
        """Who it is, if that is remembered. Raises a `GatewayError` for a key that is remembered as refused."""

    async def check(self, key: bytes) -> Caller:
        """Who it is. Raises a `GatewayError`."""


class Callers:
    """Tells who has sent a request."""

    def __init__(
        self,
        keys: Keys | None,
        monotonic: Callable[[], float],
        check: Callable[[Caller], object] = lambda caller: None,  # noqa: ARG005
    ) -> None:
        """`check` raises a `GatewayError` for a caller who was revoked, or of whom that cannot be said."""
        self._keys = keys
        self._check = check
        self._refusals = Refusals(monotonic)

    async def caller(self, request: AdminRequest) -> Caller:
        """Who it is. Raises `NotAllowedError` if nobody can be known, `CredentialsRequiredError`,
        `CredentialsRefusedError`, `TooManyRefusalsError`, `CheckingBusyError` or what `check` raises.

        A key that is remembered as good is let through whatever others at its address do.
        """
        if self._keys is None:
            raise NotAllowedError("no_keys", detail="Nothing can be changed here: auth.api_keys.file is not set.")
        key = _presented(request)
        if not key:
            raise CredentialsRequiredError
        caller = self._keys.known(key)
        if caller is None:
            host = getattr(request.getClientAddress(), "host", "local")
            caller = await self._refusals.guarded(host, partial(self._keys.check, key))
        self._check(caller)
        return caller


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
