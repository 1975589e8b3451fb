"""What all errors have in common."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar


class Blame(Enum):
    """Whose fault an answer counts as."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class GatewayError(Exception):
    """An answer that the gateway gives itself; as a document it is rendered by `ttagw.problem`."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong here"
    detail: ClassVar[str] = "The gateway could not finish this request. The request id helps to find out why."
    blame: ClassVar[Blame] = Blame.GATEWAY
    close: ClassVar[bool] = False
    """Whether the client's connection ends after this answer, because its framing can no longer be trusted."""

    helps: ClassVar[bool] = False
    """Whether help for the person's region is in it, where any is configured: it may be all that they can reach."""

    def __init__(
        self,
        reason: str = "",
        *,
        detail: str = "",
        retry_after: int | None = None,
        fields: tuple[tuple[bytes, bytes], ...] = (),
        more: Mapping[str, str] | None = None,
    ) -> None:
        """`more`: further members of the problem document (RFC 9457 §3.2)."""
        super().__init__(reason or self.code)
        self.reason = reason or self.code
        self.text = detail or self.detail
        self.retry_after = retry_after
        self.fields = fields
        self.more = more or {}


class InternalError(GatewayError):
    """A layer failed in a way that nobody foresaw."""
