"""What the gateway itself can answer instead of a service's answer: one type per fact.

Each error carries the HTTP status, a stable `code` (documented in docs/errors.rst, never changed once published), and
who is to blame. The wording is for the person who reads it: calm, and free of blame. `reason` is for the log: a short
fixed token, never anything the client sent.
"""

from __future__ import annotations

from ttagw.errors.access import (
    AccessRefusedError,
    AccessUnknownError,
    CheckingBusyError,
    CredentialsRefusedError,
    CredentialsRequiredError,
    CredentialsTwiceError,
    GlassLimitError,
    GlassReasonError,
    IdentityUnknownError,
    LoginKindError,
    LoginPausedError,
    LoginRefusedError,
    LoginUnclearError,
    NotAllowedError,
    TokenExpiredError,
    TokenRefusedError,
    TooManyRefusalsError,
)
from ttagw.errors.admin import (
    BlockNotFoundError,
    BlocksFullError,
    InstanceConflictError,
    InstanceNotFoundError,
    InvalidDocumentError,
    LimitNotFoundError,
    MarksFullError,
    MediaTypeError,
    NotInTimeError,
    NotStoredError,
    RegistryFullError,
    RevocationNotFoundError,
    RevocationsFullError,
    ServiceNotFoundError,
    TooManyReadersError,
)
from ttagw.errors.base import (
    Blame,
    GatewayError,
    InternalError,
)
from ttagw.errors.load import (
    BandwidthExceededError,
    BlockedError,
    CrisisCeilingError,
    LimitUnknownError,
    OverloadedError,
    RateLimitedError,
    TooManyAtOnceError,
)
from ttagw.errors.request import (
    BadTargetError,
    BodyTooLargeError,
    ClientClosedError,
    ExpectationError,
    HeadersTooLargeError,
    MalformedRequestError,
    MethodNotAllowedError,
    MethodRefusedError,
    RequestTimeoutError,
    RouteNotFoundError,
    TooManyConnectionsError,
    UpgradeRefusedError,
    UriTooLongError,
)
from ttagw.errors.upstream import (
    CircuitOpenError,
    ConnectTimeoutError,
    NoInstanceError,
    UpstreamBrokenError,
    UpstreamBusyError,
    UpstreamClosedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

__all__ = [
    "AccessRefusedError",
    "AccessUnknownError",
    "BadTargetError",
    "BandwidthExceededError",
    "Blame",
    "BlockNotFoundError",
    "BlockedError",
    "BlocksFullError",
    "BodyTooLargeError",
    "CheckingBusyError",
    "CircuitOpenError",
    "ClientClosedError",
    "ConnectTimeoutError",
    "CredentialsRefusedError",
    "CredentialsRequiredError",
    "CredentialsTwiceError",
    "CrisisCeilingError",
    "ExpectationError",
    "GatewayError",
    "GlassLimitError",
    "GlassReasonError",
    "HeadersTooLargeError",
    "IdentityUnknownError",
    "InstanceConflictError",
    "InstanceNotFoundError",
    "InternalError",
    "InvalidDocumentError",
    "LimitNotFoundError",
    "LimitUnknownError",
    "LoginKindError",
    "LoginPausedError",
    "LoginRefusedError",
    "LoginUnclearError",
    "MalformedRequestError",
    "MarksFullError",
    "MediaTypeError",
    "MethodNotAllowedError",
    "MethodRefusedError",
    "NoInstanceError",
    "NotAllowedError",
    "NotInTimeError",
    "NotStoredError",
    "OverloadedError",
    "RateLimitedError",
    "RegistryFullError",
    "RequestTimeoutError",
    "RevocationNotFoundError",
    "RevocationsFullError",
    "RouteNotFoundError",
    "ServiceNotFoundError",
    "TokenExpiredError",
    "TokenRefusedError",
    "TooManyAtOnceError",
    "TooManyConnectionsError",
    "TooManyReadersError",
    "TooManyRefusalsError",
    "UpgradeRefusedError",
    "UpstreamBrokenError",
    "UpstreamBusyError",
    "UpstreamClosedError",
    "UpstreamTimeoutError",
    "UpstreamUnavailableError",
    "UriTooLongError",
    "catalogue",
]


def catalogue() -> tuple[type[GatewayError], ...]:
    """Every error there is, by status and code: what docs/errors.rst lists."""
    found: dict[str, type[GatewayError]] = {}
    todo: list[type[GatewayError]] = [GatewayError]
    while todo:
        kind = todo.pop()
        todo.extend(kind.__subclasses__())
        found.setdefault(kind.code, kind)
    return tuple(sorted(found.values(), key=lambda kind: (kind.status, kind.code)))
