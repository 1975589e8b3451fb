"""An in-memory collection of records over HTTP: list, read, create, replace, change, remove."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.web.server import Request

from ttagw.demo.answers import JsonResource, answer, read_object

CAPACITY = 1000


class Collection(JsonResource):
    """`/name` is the list, `/name/ID` a record; ids are small numbers, given in order.

    At most `capacity` records are kept: one more is refused with 507.
    """

    isLeaf = True

    def __init__(self, name: str, records: Iterable[dict[str, Any]], capacity: int = CAPACITY) -> None:
        super().__init__()
        self._name = name
        self._records = {str(number): record for number, record in enumerate(records, 1)}
        self._next = len(self._records) + 1
        self._capacity = capacity

    def render_GET(self, request: Request) -> bytes:
        """The list, or one record."""
        key = _key(request)
        if key == "":
            return answer(request, {self._name: [self._shown(each) for each in self._records]})
        return self._missing(request) if key not in self._records else answer(request, self._shown(key))

    def render_POST(self, request: Request) -> bytes:
        """Create a record: 201 with its Location, relative, so that it stays true behind a rewriting gateway."""
        if _key(request) != "":
            return self._missing(request) if _key(request) not in self._records else self._needs_list(request)
        record = read_object(request)
        if len(self._records) >= self._capacity:
            return answer(request, {"error": f"{self._name} is full"}, 507)
        key = str(self._next)
        self._next += 1
        self._records[key] = record
        location = key if request.path.endswith(b"/") else f"{self._name}/{key}"
        request.setHeader(b"location", location.encode())
        return answer(request, self._shown(key), 201)

    def render_PUT(self, request: Request) -> bytes:
        """Replace a record."""
        key = _key(request)
        if key not in self._records:
            return self._missing(request)
        self._records[key] = read_object(request)
        return answer(request, self._shown(key))

    def render_PATCH(self, request: Request) -> bytes:
        """Change the fields named; null removes one (RFC 7396, first level)."""
        key = _key(request)
        if key not in self._records:
            return self._missing(request)
        merged = {**self._records[key], **read_object(request)}
        self._records[key] = {field: value for field, value in merged.items() if value is not None}
        return answer(request, self._shown(key))

    def render_DELETE(self, request: Request) -> bytes:
        """Remove a record; the answer names it."""
        key = _key(request)
        if self._records.pop(key, None) is None:
            return self._missing(request)
        return answer(request, {"removed": key})

    def _shown(self, key: str) -> dict[str, object]:
        return {**self._records[key], "id": key}

    def _missing(self, request: Request) -> bytes:
        return answer(request, {"error": f"nothing here in {self._name}"}, 404)

    def _needs_list(self, request: Request) -> bytes:
        request.setHeader(b"allow", b"DELETE, GET, HEAD, PATCH, PUT")
        return answer(request, {"error": f"post to the list of {self._name}"}, 405)


def _key(request: Request) -> str:
    """What follows the collection's own path, "" for the list."""
    return b"/".join(request.postpath or []).decode("latin-1").rstrip("/")
