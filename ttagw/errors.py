"""What the gateway itself can answer instead of a service's answer: one type per fact.

Each error carries the HTTP status, a stable `code` (documented in docs/errors.rst, never changed once published), and
who is to blame. The wording is for the person who reads it: calm, and free of blame. `reason` is for the log: a short
fixed token, never anything the client sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class MalformedRequestError(GatewayError):
    """The bytes are not one unambiguous HTTP/1.1 request (RFC 9112)."""

    status = 400
    code = "malformed_request"
    title = "This request could not be read"
    detail = "The request does not follow HTTP/1.1, so it was not passed on."
    blame = Blame.CLIENT
    close = True


class BadTargetError(MalformedRequestError):
    """The request target is not in the one form that is forwarded; see `ttagw.core.target`."""

    code = "bad_target"
    title = "This address could not be read"
    detail = "The path of the request is not in its canonical form, so it was not passed on."


class UpgradeRefusedError(MalformedRequestError):
    """An `Upgrade` to a protocol that is not offered here."""

    code = "upgrade_refused"
    title = "This protocol is not offered here"
    detail = "The request asked for an upgrade to a protocol that this address does not offer."


class InvalidDocumentError(GatewayError):
    """A document of the admin API that is not JSON, or does not have the right form; `errors` says where."""

    status = 400
    code = "invalid_document"
    title = "This document could not be used"
    detail = "The document does not have the form that is expected here; the list says where."
    blame = Blame.CLIENT

    def __init__(self, reason: str = "", *, errors: Sequence[tuple[str, str]] = ()) -> None:
        """`errors`: fields, and a sentence about each."""
        super().__init__(reason)
        self.errors = tuple(errors)


class CredentialsRequiredError(GatewayError):
    """Nobody has said who is asking."""

    status = 401
    code = "credentials_required"
    title = "Please say who is asking"
    detail = "This needs a key. It is sent as Authorization: Bearer KEY."
    blame = Blame.CLIENT
    challenge: ClassVar[bytes] = b"Bearer"
    """`WWW-Authenticate` (RFC 6750 §3)."""

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason, detail=detail, fields=((b"www-authenticate", self.challenge),))


class CredentialsRefusedError(CredentialsRequiredError):
    """A key that is not known, no longer or never."""

    code = "credentials_refused"
    title = "This key is not known here"
    detail = "The key that was sent is not known here, or its time is over."
    challenge = b'Bearer error="invalid_token"'


class NotAllowedError(GatewayError):
    """It is known who is asking, and that is not enough."""

    status = 403
    code = "not_allowed"
    title = "This is for others to do"
    detail = "This key does not have what is needed for this."
    blame = Blame.CLIENT


class RouteNotFoundError(GatewayError):
    """No route answers this host, path and headers."""

    status = 404
    code = "route_not_found"
    title = "Nothing is here"
    detail = "There is nothing at this address."
    blame = Blame.CLIENT


class ServiceNotFoundError(GatewayError):
    """The admin API was asked about a service that does not exist."""

    status = 404
    code = "service_not_found"
    title = "There is no such service"
    detail = "No service has this name."
    blame = Blame.CLIENT


class InstanceNotFoundError(GatewayError):
    """The admin API was asked about an instance that is not registered, or whose lease has run out."""

    status = 404
    code = "instance_not_found"
    title = "There is no such instance"
    detail = "No instance of this service has this id. One that renews its lease registers again."
    blame = Blame.CLIENT


class MethodNotAllowedError(GatewayError):
    """A route answers this path, but not with this method."""

    status = 405
    code = "method_not_allowed"
    title = "This cannot be done here"
    detail = "This address exists, but does not offer that method."
    blame = Blame.CLIENT


class MethodRefusedError(MethodNotAllowedError):
    """CONNECT and TRACE, which no route can offer."""

    close = True


class RequestTimeoutError(GatewayError):
    """Headers or body came too slowly."""

    status = 408
    code = "request_timeout"
    title = "The request took too long to arrive"
    detail = "The request did not arrive in time. It is safe to try again."
    blame = Blame.CLIENT
    close = True


class InstanceConflictError(GatewayError):
    """Another instance has this id or this address, and does not belong to whoever asks."""

    status = 409
    code = "instance_conflict"
    title = "Another instance has this place"
    detail = "Another instance has this id or this address, so it was not changed."
    blame = Blame.CLIENT


class BodyTooLargeError(GatewayError):
    """More request body than the route takes."""

    status = 413
    code = "body_too_large"
    title = "This is more than fits"
    detail = "The request body is larger than this address accepts."
    blame = Blame.CLIENT
    close = True


class UriTooLongError(GatewayError):
    """A request target longer than `http.max_uri`."""

    status = 414
    code = "uri_too_long"
    title = "This address is too long"
    detail = "The address of the request is longer than is accepted here."
    blame = Blame.CLIENT
    close = True


class RegistryFullError(GatewayError):
    """As many instances have registered as there is room for."""

    status = 503
    code = "registry_full"
    title = "There is no room for more instances"
    detail = "As many instances are known as there is room for, so this one was not added."


class MediaTypeError(GatewayError):
    """A document of the admin API that does not say that it is JSON."""

    status = 415
    code = "unsupported_media_type"
    title = "This kind of document is not read here"
    detail = "Documents are read as application/json, and without a Content-Encoding."
    blame = Blame.CLIENT


class ExpectationError(GatewayError):
    """An `Expect` other than `100-continue` (RFC 9110 §10.1.1)."""

    status = 417
    code = "expectation_failed"
    title = "This expectation is not known here"
    detail = "The only expectation that can be met here is 100-continue."
    blame = Blame.CLIENT
    close = True


class TooManyRefusalsError(GatewayError):
    """One address has sent too many keys that are not known."""

    status = 429
    code = "too_many_refusals"
    title = "This is a good moment for a pause"
    detail = "Several keys from this address were not known. Please wait a little before the next one."
    blame = Blame.CLIENT


class HeadersTooLargeError(GatewayError):
    """More header fields, or bytes of them, than `[http]` allows."""

    status = 431
    code = "headers_too_large"
    title = "The request's headers are too large"
    detail = "The header fields of the request are larger than is accepted here; clearing cookies may help."
    blame = Blame.CLIENT
    close = True


class ClientClosedError(GatewayError):
    """The client left before its answer was complete. Never sent; 499 in the log, as in nginx."""

    status = 499
    code = "client_closed"
    title = "The client left"
    detail = "The client closed the connection before the answer was complete."
    blame = Blame.CLIENT
    close = True


class UpstreamBrokenError(GatewayError):
    """The service answered with something that is not one HTTP/1.1 answer."""

    status = 502
    code = "upstream_broken"
    title = "The service's answer could not be read"
    detail = "The service answered in a way that could not be passed on. Please try again in a moment."
    blame = Blame.UPSTREAM


class UpstreamClosedError(UpstreamBrokenError):
    """The service closed or reset the connection before it had answered."""

    code = "upstream_closed"
    title = "The service ended the connection"
    detail = "The service ended the connection before it had answered. Please try again in a moment."


class UpstreamUnavailableError(GatewayError):
    """No instance of the service could be reached; nothing was sent."""

    status = 503
    code = "upstream_unavailable"
    title = "The service is not available right now"
    detail = "The service cannot be reached at the moment. Please try again shortly."
    blame = Blame.UPSTREAM


class UpstreamBusyError(UpstreamUnavailableError):
    """Every connection to the service was in use for all of `queue_timeout`."""

    code = "upstream_busy"
    title = "The service is busy right now"
    detail = "The service is busy at the moment. Please try again shortly."


class NoInstanceError(UpstreamUnavailableError):
    """Checks say that no instance of the service works, or it has none; nobody was asked."""

    code = "no_instance"
    title = "The service is not available right now"
    detail = "No part of the service is working at the moment. It is looked after; please try again shortly."


class CircuitOpenError(UpstreamUnavailableError):
    """The service has failed too often lately and is left alone for a while; nobody was asked."""

    code = "circuit_open"
    title = "The service needs a moment"
    detail = "The service has had trouble and is being given a moment to recover. Please try again shortly."


class TooManyConnectionsError(GatewayError):
    """`http.max_connections` clients are connected already."""

    status = 503
    code = "too_many_connections"
    title = "Many people are here right now"
    detail = "The gateway has as many connections as it can serve well. Please try again shortly."
    close = True


class CheckingBusyError(GatewayError):
    """As many keys are being checked, or wait for it, as there is room for."""

    status = 503
    code = "checking_busy"
    title = "Many keys are being checked right now"
    detail = "This key could not be checked at the moment. Please try again shortly."


class TooManyReadersError(GatewayError):
    """As many follow the events as there is room for."""

    status = 503
    code = "too_many_readers"
    title = "Many people are following the events"
    detail = "There is no room for another reader of the events at the moment. Please try again shortly."


class NotInTimeError(GatewayError):
    """What the admin API was asked for was not done in time; it may be done still."""

    status = 503
    code = "not_in_time"
    title = "This takes longer than it should"
    detail = "It was not done in time. It is safe to ask again."


class ConnectTimeoutError(UpstreamUnavailableError):
    """No instance of the service took the connection within `connect_timeout`; nothing was sent."""

    status = 504
    code = "upstream_connect_timeout"
    title = "The service could not be reached in time"
    detail = "The service could not be reached in time. Please try again shortly."


class UpstreamTimeoutError(GatewayError):
    """The service took longer than `response_timeout` or the route's `timeout`."""

    status = 504
    code = "upstream_timeout"
    title = "The service took too long"
    detail = "The service did not answer in time. Please try again in a moment."
    blame = Blame.UPSTREAM


def catalogue() -> tuple[type[GatewayError], ...]:
    """Every error there is, by status and code: what docs/errors.rst lists."""
    found: dict[str, type[GatewayError]] = {}
    todo: list[type[GatewayError]] = [GatewayError]
    while todo:
        kind = todo.pop()
        todo.extend(kind.__subclasses__())
        found.setdefault(kind.code, kind)
    return tuple(sorted(found.values(), key=lambda kind: (kind.status, kind.code)))
