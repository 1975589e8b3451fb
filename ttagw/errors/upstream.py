"""Services that did not answer, or not in a way that could be passed on."""

from __future__ import annotations

from ttagw.errors.base import Blame, GatewayError


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
