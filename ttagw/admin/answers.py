"""How the admin API answers: JSON, and problem documents of the same shape as everywhere."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as LateError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ttagw.admin.channel import AdminRequest
from ttagw.errors import (
    GatewayError,
    InternalError,
    MediaTypeError,
    MethodNotAllowedError,
    NotInTimeError,
    RouteNotFoundError,
)
from ttagw.problem import problem

DEADLINE = 10.0
"""Seconds within which what was asked for is done, or not."""

log = Logger()

Ask = Callable[[AdminRequest], Coroutine[Any, Any, None]]


def answer(request: AdminRequest, status: int, document: object) -> None:
    """Answer with a document."""
    finish(request, status, b"application/json", msgspec.json.encode(document) + b"\n")


def refuse(request: AdminRequest, error: GatewayError) -> None:
    """Answer with a problem document."""
    for name, value in error.fields:
        request.setHeader(name, value)
    if error.retry_after is not None:
        request.setHeader(b"retry-after", b"%d" % error.retry_after)
    request.setHeader(b"ttagw-reason", error.code.encode("ascii"))
    finish(request, error.status, b"application/problem+json", problem(error, request.id.decode("ascii")))


def finish(request: AdminRequest, status: int, kind: bytes, body: bytes) -> None:
    """The whole answer."""
    request.setResponseCode(status)
    for name, value in (
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request.id),
    ):
        request.setHeader(name, value)
    request.write(body)
    request.finish()


class Api(Resource):
    """One address. `offers` has a coroutine function for each method; HEAD is GET without the body."""

    offers: Mapping[bytes, Ask]

    def getChild(self, path: bytes, request: Any) -> Resource:  # noqa: ARG002 - Twisted's signature
        """Nothing is below, unless a subclass knows better."""
        return Nothing()

    def render(self, request: Any) -> int:
        """Answers every method, sooner or later."""
        ask = self.offers.get(b"GET" if request.method == b"HEAD" else request.method)
        if ask is None:
            refuse(request, self._refusal())
            return NOT_DONE_YET
        work = Deferred.fromCoroutine(ask(request))
        work.addTimeout(DEADLINE, request.site.reactor)
        gone = request.notifyFinish()
        gone.addErrback(lambda _: work.cancel())
        work.addErrback(_failed, request)
        return NOT_DONE_YET

    def _refusal(self) -> GatewayError:
        methods = {*self.offers, *([b"HEAD"] if b"GET" in self.offers else [])}
        return MethodNotAllowedError(fields=((b"allow", b", ".join(sorted(methods))),))


def _failed(failure: Failure, request: AdminRequest) -> None:
    """Nothing has been sent, unless the client is gone: an answer is the last thing that a coroutine does."""
    if request.gone:
        if not failure.check(CancelledError, GatewayError):
            log.failure("an answer of the admin API failed", failure=failure)
    elif failure.check(LateError):
        refuse(request, NotInTimeError(retry_after=5))
    elif isinstance(failure.value, GatewayError):
        refuse(request, failure.value)
    else:
        log.failure("an answer of the admin API failed", failure=failure)
        refuse(request, InternalError())


class Nothing(Api):
    """An address at which nothing is."""

    offers: Mapping[bytes, Ask] = {}

    def _refusal(self) -> GatewayError:
        return RouteNotFoundError()


class Folder(Nothing):
    """Only what was put into it."""


class Given(Api):
    """Answers GET with what a function returns: status, type, body."""

    def __init__(self, give: Callable[[], tuple[int, bytes, bytes]]) -> None:
        super().__init__()
        self._give = give
        self.offers = {b"GET": self._get}

    async def _get(self, request: AdminRequest) -> None:
        finish(request, *self._give())


def body_of(request: AdminRequest) -> bytes:
    """The body, which says that it is JSON. Raises `MediaTypeError`."""
    kind = request.getHeader(b"content-type") or b""
    if kind.partition(b";")[0].strip().lower() != b"application/json" or request.getHeader(b"content-encoding"):
        raise MediaTypeError
    return request.body()
