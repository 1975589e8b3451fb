"""Why a check fails before anybody has said a word: fixed tokens for what the system and Twisted report."""

from __future__ import annotations

import errno

from twisted.internet.error import ConnectionRefusedError as RefusedByPeer
from twisted.internet.error import DNSLookupError, UserError
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.python.failure import Failure

LOCAL_FAILURE = "local_failure"
"""The gateway could not even ask, for lack of files, ports or memory: this says nothing about the instance."""

_REASONS = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ETIMEDOUT: "timeout",
    errno.EMFILE: LOCAL_FAILURE,
    errno.ENFILE: LOCAL_FAILURE,
    errno.ENOBUFS: LOCAL_FAILURE,
    errno.ENOMEM: LOCAL_FAILURE,
    errno.EADDRNOTAVAIL: LOCAL_FAILURE,
}


def of_errno(number: int) -> str:
    """Why a socket could not be made or connected."""
    return _REASONS.get(number, "connect_failed")


def of_failure(failure: Failure) -> str:
    """Why an endpoint could not connect."""
    if failure.check(RefusedByPeer):
        return "connection_refused"
    if failure.check(DNSLookupError):
        return "name_not_resolved"
    if failure.check(TookTooLong, UserError):
        return "timeout"
    number = getattr(failure.value, "osError", None)
    return of_errno(number) if isinstance(number, int) else "connect_failed"
