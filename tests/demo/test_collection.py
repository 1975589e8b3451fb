"""The in-memory collection, in process."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.web.resource import getChildForRequest
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from ttagw.demo.collection import Collection
from ttagw.demo.services import tree


class Client:
    """Renders requests on one tree, without a network."""

    def __init__(self, *records: dict[str, Any], capacity: int = 1000) -> None:
        self._root = tree("toys", {"v1/toys": Collection("toys", records, capacity)})

    def ask(self, method: str, path: str, body: object = None) -> tuple[Request, Any]:
        request = Request(DummyChannel(), False)
        request.method, request.uri, request.path = method.encode(), path.encode(), path.encode()
        request.prepath, request.postpath = [], path.encode().split(b"/")[1:]
        request.content = BytesIO(b"" if body is None else json.dumps(body).encode())
        rendered = getChildForRequest(self._root, request).render(request)
        return request, json.loads(rendered)


def test_a_record_lives_from_post_to_delete() -> None:
    client = Client()
    request, made = client.ask("POST", "/v1/toys", {"name": "kite"})
    assert (request.code, request.responseHeaders.getRawHeaders("location")) == (201, ["toys/1"])
    assert client.ask("GET", "/v1/toys")[1]["toys"] == [{"name": "kite", "id": made["id"]}]
    assert client.ask("PUT", "/v1/toys/1", {"name": "boat"})[1]["name"] == "boat"
    assert client.ask("DELETE", "/v1/toys/1")[1]["removed"] == "1"
    assert client.ask("GET", "/v1/toys/1")[0].code == 404


def test_the_location_stays_relative_to_a_final_slash() -> None:
    request, _ = Client().ask("POST", "/v1/toys/", {})
    assert request.responseHeaders.getRawHeaders("location") == ["1"]


def test_an_id_is_not_given_twice() -> None:
    client = Client({"name": "kite"})
    client.ask("DELETE", "/v1/toys/1")
    assert client.ask("POST", "/v1/toys", {})[1]["id"] == "2"


def test_a_full_collection_refuses_one_more() -> None:
    client = Client({"name": "kite"}, capacity=1)
    assert client.ask("POST", "/v1/toys", {})[0].code == 507
    assert len(client.ask("GET", "/v1/toys")[1]["toys"]) == 1


def test_what_is_not_there_is_404_for_every_method() -> None:
    client = Client({"name": "kite"})
    assert [client.ask(method, "/v1/toys/9", {})[0].code for method in ("GET", "POST", "PUT", "PATCH", "DELETE")] == [
        404
    ] * 5
    assert client.ask("GET", "/v1/toys/1/wheels")[0].code == 404


def test_a_post_to_a_record_is_405() -> None:
    request, _ = Client({"name": "kite"}).ask("POST", "/v1/toys/1", {})
    assert (request.code, request.responseHeaders.getRawHeaders("allow")) == (405, ["DELETE, GET, HEAD, PATCH, PUT"])


FIELDS = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name not in ("id", "seen")), st.none() | st.integers(), max_size=5
)


@given(FIELDS, FIELDS)
def test_a_patch_changes_what_it_names_and_null_removes(before: dict[str, Any], change: dict[str, Any]) -> None:
    client = Client(before)
    _, after = client.ask("PATCH", "/v1/toys/1", change)
    expected = {name: value for name, value in {**before, **change}.items() if value is not None}
    assert {name: value for name, value in after.items() if name not in ("id", "seen")} == expected
