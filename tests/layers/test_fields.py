from __future__ import annotations

from ttagw.layers.fields import ChangeFields, FieldChanges
from ttagw.model import Fields, Reply
from ttagw.pipeline import Hooks
from ttagw.testing import exchange, route


def hooks(changes: FieldChanges) -> Hooks | None:
    return ChangeFields({"r": changes}).bind(route(name="r"))


def left(changes: FieldChanges, fields: Fields) -> Fields:
    found = hooks(changes)
    assert found is not None
    assert found.leave is not None
    reply = Reply(200, fields)
    found.leave(exchange(), reply)
    return reply.fields


def test_a_route_that_changes_nothing_has_no_hooks() -> None:
    assert hooks(FieldChanges()) is None
    assert ChangeFields({}).bind(route()) is None


def test_only_what_changes_something_is_called() -> None:
    request, response = hooks(FieldChanges({"a": "b"})), hooks(FieldChanges(remove_response=("a",)))
    assert request is not None
    assert response is not None
    assert (request.leave, response.enter) == (None, None)


def test_a_request_field_that_is_set_replaces_what_the_client_sent() -> None:
    found = hooks(FieldChanges({"X-Set": "ours"}))
    assert found is not None
    assert found.enter is not None
    made = exchange(fields=((b"x-SET", b"theirs"), (b"a", b"b")))
    found.enter(made)
    assert made.fields == [(b"a", b"b"), (b"x-set", b"ours")]


def test_an_answer_field_that_is_set_replaces_what_the_service_sent() -> None:
    changes = FieldChanges(set_response={"Server": "ttagw"}, remove_response=("X-Gone",))
    assert left(changes, [(b"server", b"x"), (b"X-GONE", b"1"), (b"a", b"b")]) == [(b"a", b"b"), (b"server", b"ttagw")]


def test_via_is_appended_to() -> None:
    assert left(FieldChanges(set_response={"Via": "1.1 tta"}), [(b"via", b"1.1 up")]) == [
        (b"via", b"1.1 up"),
        (b"via", b"1.1 tta"),
    ]


def test_a_list_that_is_shared_is_not_changed() -> None:
    shared = [(b"a", b"b")]
    left(FieldChanges(set_response={"c": "d"}), shared)
    assert shared == [(b"a", b"b")]
