"""Requests that cannot be read, or that no route answers."""

from __future__ import annotations

from ttagw.errors.base import Blame, GatewayError


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


class RouteNotFoundError(GatewayError):
    """No route answers this host, path and headers."""

    status = 404
    code = "route_not_found"
    title = "Nothing is here"
    detail = "There is nothing at this address."
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


class ExpectationError(GatewayError):
    """An `Expect` other than `100-continue` (RFC 9110 §10.1.1)."""

    status = 417
    code = "expectation_failed"
    title = "This expectation is not known here"
    detail = "The only expectation that can be met here is 100-continue."
    blame = Blame.CLIENT
    close = True


class HeadersTooLargeError(GatewayError):
    """More header fields, or bytes of them, than `[http]` allows."""

    status = 431
    code = "headers_too_large"
    title = "The request's headers are too large"
    detail = "The header fields of the request are larger than is accepted here; clearing cookies may help."
    blame = Blame.CLIENT
    close = True


class TooManyConnectionsError(GatewayError):
    """`http.max_connections` clients are connected already."""

    status = 503
    code = "too_many_connections"
    title = "Many people are here right now"
    detail = "The gateway has as many connections as it can serve well. Please try again shortly."
    close = True


class ClientClosedError(GatewayError):
    """The client left before its answer was complete. Never sent; 499 in the log, as in nginx."""

    status = 499
    code = "client_closed"
    title = "The client left"
    detail = "The client closed the connection before the answer was complete."
    blame = Blame.CLIENT
    close = True
