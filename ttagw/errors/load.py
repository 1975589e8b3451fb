"""Requests that are too many, or come when there is no room for them."""

from __future__ import annotations

from ttagw.errors.base import Blame, GatewayError


class RateLimitedError(GatewayError):
    """More requests than a limit lets through."""

    status = 429
    code = "rate_limited"
    title = "A little too fast"
    detail = "There were more requests than fit into this time. Waiting a moment helps."
    blame = Blame.CLIENT


class TooManyAtOnceError(GatewayError):
    """More requests under way than a limit lets through."""

    status = 429
    code = "too_many_at_once"
    title = "Several requests are still under way"
    detail = "There are as many requests under way as fit at once. When one of them has ended, the next can begin."
    blame = Blame.CLIENT


class BandwidthExceededError(GatewayError):
    """More bytes than a limit lets through."""

    status = 429
    code = "bandwidth_exceeded"
    title = "A lot of data has passed"
    detail = "More data has passed than fits into this time. Waiting a moment helps."
    blame = Blame.CLIENT


class LimitUnknownError(GatewayError):
    """What was used cannot be found out, and the limit says that nobody passes then."""

    status = 503
    code = "limit_unknown"
    title = "This cannot be counted right now"
    detail = "The gateway cannot count requests at the moment, so this one was not passed on. Please try again shortly."


class OverloadedError(GatewayError):
    """There is no room for a request of this class now."""

    status = 503
    code = "overloaded"
    title = "Many people are here right now"
    detail = "There is more to do than can be done well at once. Please try again shortly."


class CrisisCeilingError(GatewayError):
    """More of the class `crisis` than its own ceiling; answered by the fallback, with help in it."""

    status = 503
    code = "crisis_ceiling"
    title = "Help is available"
    detail = "Very many requests came from this address. Help can be reached at the numbers given here."


class BlockedError(GatewayError):
    """An address or a user that is blocked."""

    status = 403
    code = "blocked"
    title = "This is closed for a while"
    detail = "Very many requests from here were refused, so further ones are not taken for a while."
    blame = Blame.CLIENT
