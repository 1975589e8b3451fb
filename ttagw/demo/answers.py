"""JSON answers of the demo services; each tells what reached the service, so that the gateway's work can be seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

HIDDEN = ("authorization", "cookie")  # credentials are not echoed, not even a demo's


class BadBodyError(Exception):
    """The body of a request is not a JSON object."""


def seen(request: Request) -> dict[str, object]:
    """Describe the request as it arrived; of credentials only that they were there."""
    path, _, query = request.uri.partition(b"?")
    headers: dict[str, str] = {}
    for raw_name, raw_values in request.requestHeaders.getAllRawHeaders():
        name = raw_name.decode("latin-1")
        values = ", ".join(value.decode("latin-1") for value in raw_values)
        headers[name] = "(hidden)" if name.lower() in HIDDEN else values
    return {
        "method": request.method.decode("latin-1"),
        "path": path.decode("latin-1"),
        "query": query.decode("latin-1"),
        "headers": headers,
    }


def answer(request: Request, body: Mapping[str, object], status: int = 200) -> bytes:
    """Set status and type, and return `body` plus what was seen, as JSON."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps({**body, "seen": seen(request)}, indent=2, ensure_ascii=False).encode() + b"\n"


def read_object(request: Request) -> dict[str, Any]:
    """Return the body as a JSON object; an empty body is an empty object.

    Raises BadBodyError for anything else.
    """
    text = request.content.read() if request.content is not None else b""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise BadBodyError("the body is not JSON") from fault
    if not isinstance(value, dict):
        raise BadBodyError("the body is not a JSON object")
    return value


class JsonResource(Resource):
    """A resource whose refusals are JSON as well: 400 for a bad body, 404 where no method is, 405 with Allow."""

    def __init__(self) -> None:
        Resource.__init__(self)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Whatever has not been put below this resource is not there; a final slash is the resource itself."""
        return self if path == b"" and not request.postpath else Missing()

    def render(self, request: Request) -> bytes | int:
        """Render by method; a refusal becomes a JSON answer."""
        allowed = self._allowed()
        if not allowed:
            return answer(request, {"error": "not found"}, 404)
        if request.method not in allowed:
            request.setHeader(b"allow", b", ".join(allowed))
            return answer(request, {"error": "method not allowed"}, 405)
        try:
            rendered: bytes | int = Resource.render(self, request)
            return rendered
        except BadBodyError as fault:
            return answer(request, {"error": str(fault)}, 400)

    def _allowed(self) -> list[bytes]:
        """The methods there are; twisted.web's own HEAD works only where there is a GET."""
        methods = {name.removeprefix("render_").encode() for name in dir(self) if name.startswith("render_")}
        return sorted(methods if b"GET" in methods else methods - {b"HEAD"})


class Missing(JsonResource):
    """Nothing is here, for any method."""

    isLeaf = True


class Health(JsonResource):
    """`/health`: the service is up."""

    isLeaf = True

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def render_GET(self, request: Request) -> bytes:
        """Answer 200 with the service's name."""
        return answer(request, {"status": "healthy", "service": self._service})


class Fixed(JsonResource):
    """A resource that answers GET with the same object always."""

    isLeaf = True

    def __init__(self, body: Mapping[str, object]) -> None:
        super().__init__()
        self._body = body

    def render_GET(self, request: Request) -> bytes:
        """Answer with the object."""
        return answer(request, self._body)
