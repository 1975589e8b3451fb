from __future__ import annotations

import pytest

from ttagw.core.routing import Pattern, Table
from ttagw.errors import GatewayError, MethodNotAllowedError, RouteNotFoundError
from ttagw.model import Exchange
from ttagw.pipeline import Pipeline, Route
from ttagw.testing import RecordingSink, exchange, nothing, route
from ttagw.tree import SERVER_METHODS, Tree, refuse
from ttagw.web.render import render

NOWHERE, ASTERISK = route(name="-"), route(name="star")


def tree(*routes: tuple[Pattern, Route]) -> Tree:
    return Tree(Table(routes), NOWHERE, ASTERISK, conditional=any(pattern.headers for pattern, _ in routes))


def located(found: Tree, path: bytes, method: bytes = b"GET", fields: tuple[tuple[bytes, bytes], ...] = ()) -> Exchange:
    made = exchange(method, fields=fields)
    made.path = path
    found.locate(made)
    return made


def test_a_route_gets_params_rest_and_its_limits() -> None:
    target = route(name="players")
    made = located(tree((Pattern("/players/{id}/*"), target)), b"/players/7/a/b")
    assert made.route is target
    assert (made.params, made.max_body) == ((b"7",), target.max_body)
    assert made.rest.endswith(b"a/b")
    assert made.refusal is None


@pytest.mark.parametrize(("timeout", "deadline"), [(30.0, 1030.0), (0.0, 0.0)])
def test_a_timeout_is_counted_from_the_first_byte(timeout: float, deadline: float) -> None:
    target = Route("p", "/p", nothing, max_body=0, timeout=timeout)
    assert located(tree((Pattern("/p"), target)), b"/p").deadline == deadline


def test_what_no_route_answers_is_refused_as_not_found() -> None:
    made = located(tree((Pattern("/a"), route())), b"/b")
    assert made.route is NOWHERE
    assert isinstance(made.refusal, RouteNotFoundError)


def test_a_method_that_no_route_takes_is_refused_with_those_that_are() -> None:
    found = tree((Pattern("/a", methods=("GET", "POST")), route()))
    made = located(found, b"/a", b"DELETE")
    assert isinstance(made.refusal, MethodNotAllowedError)
    assert dict(made.refusal.fields)[b"allow"] == b"GET, HEAD, POST"


def test_header_conditions_do_not_care_about_spelling() -> None:
    special, plain = route(name="special"), route(name="plain")
    found = tree((Pattern("/a", headers={"x-beta": "1"}), special), (Pattern("/a"), plain))
    assert located(found, b"/a", fields=((b"X-BETA", b"1"),)).route is special
    assert located(found, b"/a").route is plain


def test_an_asterisk_has_a_route_of_its_own() -> None:
    assert located(tree((Pattern("/*"), route())), b"*", b"OPTIONS").route is ASTERISK
    names = SERVER_METHODS.split(b", ")
    assert names == sorted(names)


@pytest.mark.parametrize("refusal", [None, MethodNotAllowedError()])
def test_a_refused_exchange_is_answered_with_its_refusal(refusal: GatewayError | None) -> None:
    sink = RecordingSink()
    made = exchange(sink=sink)
    made.refusal = refusal
    refuse(Pipeline(render), made)
    assert sink.reply is not None
    assert sink.reply.status == (404 if refusal is None else 405)
