"""The most specific route answers; a brute-force model agrees."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.core.routing import Found, Miss, Pattern, Table, conflicts

Fields = list[tuple[bytes, bytes]]


def answer(table: Table[str], request: str, host: str = "h", fields: Fields | None = None) -> str | tuple[str, ...]:
    """The target that answers "METHOD /path", or the methods of a miss."""
    method, path = request.encode().split(b" ")
    found = table.find(host.encode(), method, path, fields or [])
    return found.allow if isinstance(found, Miss) else found.target


def table(*entries: tuple[Pattern, str]) -> Table[str]:
    return Table(entries)


@pytest.mark.parametrize(
    ("request_line", "winner"),
    [
        ("GET /a/b", "literal"),
        ("GET /a/c", "param"),
        ("GET /a", "tail"),
        ("GET /a/", "tail"),
        ("GET /a/b/c", "tail"),
        ("GET /a/b/", "tail"),
        ("GET /ab", ()),
        ("GET /", ()),
        ("GET /A/b", ()),
    ],
)
def test_literal_before_param_before_tail(request_line: str, winner: str | tuple[str, ...]) -> None:
    routes = table((Pattern("/a/*"), "tail"), (Pattern("/a/{x}"), "param"), (Pattern("/a/b"), "literal"))
    assert answer(routes, request_line) == winner


def test_left_segments_decide_first() -> None:
    routes = table((Pattern("/{x}/b/c"), "right"), (Pattern("/a/*"), "left"))
    assert answer(routes, "GET /a/b/c") == "left"


def test_dead_end_is_left_again() -> None:
    routes = table((Pattern("/a/b/c"), "literal"), (Pattern("/{x}/b/d"), "param"), (Pattern("/*"), "all"))
    assert answer(routes, "GET /a/b/d") == "param"
    assert answer(routes, "GET /a/b/e") == "all"


def test_here_comes_before_tail() -> None:
    routes = table((Pattern("/a/*"), "tail"), (Pattern("/a"), "here"), (Pattern("/a/"), "slash"))
    assert [answer(routes, f"GET {path}") for path in ("/a", "/a/", "/a/b")] == ["here", "slash", "tail"]


def test_host_by_name_before_wildcard_before_any() -> None:
    routes = table(
        (Pattern("/a"), "any"), (Pattern("/*", hosts=("*.x.y",)), "wild"), (Pattern("/*", hosts=("b.x.y",)), "exact")
    )
    hosts = ("b.x.y", "c.x.y", "x.y", "d.c.x.y", "z")
    assert [answer(routes, "GET /a", host) for host in hosts] == ["exact", "wild", "any", "any", "any"]
    assert answer(routes, "GET /b", "z") == ()


def test_host_without_the_path_falls_to_less_specific_hosts() -> None:
    routes = table((Pattern("/a", hosts=("h",)), "named"), (Pattern("/b"), "any"))
    assert answer(routes, "GET /b", "h") == "any"


def test_more_header_conditions_win() -> None:
    routes = table(
        (Pattern("/a"), "none"), (Pattern("/a", headers={"V": "2"}), "one"),
        (Pattern("/a", headers={"v": "2", "w": "1"}), "two")
    )  # fmt: skip
    assert answer(routes, "GET /a") == "none"
    assert answer(routes, "GET /a", fields=[(b"v", b"3")]) == "none"
    assert answer(routes, "GET /a", fields=[(b"v", b"2")]) == "one"
    assert answer(routes, "GET /a", fields=[(b"w", b"1"), (b"v", b"2")]) == "two"


def test_named_method_before_get_for_head_before_any() -> None:
    routes = table(
        (Pattern("/a"), "any"), (Pattern("/a", methods=("GET",)), "get"), (Pattern("/b", methods=("GET",)), "get"),
        (Pattern("/b", methods=("HEAD",)), "head"),
    )  # fmt: skip
    requests = ("GET /a", "HEAD /a", "PUT /a", "HEAD /b", "GET /b")
    assert [answer(routes, request) for request in requests] == ["get", "get", "any", "head", "get"]


def test_method_is_sought_in_less_specific_paths() -> None:
    routes = table((Pattern("/a/{x}", methods=("GET",)), "get"), (Pattern("/a/*", methods=("POST",)), "post"))
    assert answer(routes, "POST /a/1") == "post"
    assert answer(routes, "PUT /a/1") == ("GET", "HEAD", "POST")
    assert answer(routes, "PUT /a") == ("POST",)


def test_miss_of_a_condition_is_not_a_wrong_method() -> None:
    routes = table((Pattern("/a", methods=("GET",), headers={"v": "1"}), "get"))
    assert answer(routes, "PUT /a") == ()
    assert answer(routes, "PUT /a", fields=[(b"v", b"1")]) == ("GET", "HEAD")


def test_misses_are_shared() -> None:
    routes = table((Pattern("/a", methods=("GET",)), "get"))
    assert routes.find(b"h", b"GET", b"/b", []) is routes.find(b"h", b"GET", b"/c", [])
    assert routes.find(b"h", b"PUT", b"/a", []) is routes.find(b"h", b"POST", b"/a", [])


def test_misses_kept_are_bounded() -> None:
    routes = table(*[(Pattern(f"/{number}", methods=(f"M{number}",)), "x") for number in range(400)])
    assert all(answer(routes, f"GET /{number}") == (f"M{number}",) for number in range(400))
    assert len(routes._misses) <= 256


def test_asterisk_is_no_path() -> None:
    assert table((Pattern("/*"), "all")).find(b"h", b"OPTIONS", b"*", []).__class__ is Miss


def test_empty_table_answers_nothing() -> None:
    assert answer(table(), "GET /") == ()


# The model: match each entry by itself, then sort.


def model_segments(pattern: str, path: str) -> tuple[list[int], list[str], str] | None:
    """Ranks, params and rest if the path matches."""
    wanted, given_ = pattern.split("/")[1:], path.split("/")[1:]
    ranks: list[int] = []
    params: list[str] = []
    for place, want in enumerate(wanted):
        if want == "*" and place == len(wanted) - 1:
            left = given_[place:]
            return [*ranks, 2], params, "".join("/" + text for text in left)
        if place >= len(given_):
            return None
        if want.startswith("{"):
            if not given_[place]:
                return None
            params.append(given_[place])
            ranks.append(1)
        elif want != given_[place]:
            return None
        else:
            ranks.append(0)
    return (ranks, params, "") if len(wanted) == len(given_) else None


def model_host(hosts: tuple[str, ...], host: str) -> int | None:
    if not hosts:
        return 2
    label, _, rest = host.partition(".")
    ranks = [0 for each in hosts if each == host]
    ranks += [1 for each in hosts if each.startswith("*.") and label and rest == each[2:]]
    return min(ranks, default=None)


def model(entries: list[Pattern], host: str, method: str, path: str, fields: Fields) -> object:
    candidates = []
    allow: set[str] = set()
    for index, pattern in enumerate(entries):
        matched, by_host = model_segments(pattern.path, path), model_host(pattern.hosts, host)
        wanted = {(name.encode(), value.encode()) for name, value in pattern.headers.items()}
        if matched is None or by_host is None or not wanted <= set(fields):
            continue
        answered = set(pattern.methods) | ({"HEAD"} if "GET" in pattern.methods else set())
        allow |= answered
        if answered and method not in answered:
            continue
        by_method = 2 if not answered else 0 if method in pattern.methods else 1
        ranks, params, rest = matched
        candidates.append(((by_host, ranks, -len(wanted), by_method, index), params, rest))
    if not candidates:
        return tuple(sorted(allow))
    (*_, index), params, rest = min(candidates)
    return index, tuple(param.encode() for param in params), rest.encode()


def name_params(segments: list[str]) -> str:
    return "/" + "/".join(f"{{p{place}}}" if text == "{}" else text for place, text in enumerate(segments))


pattern_paths = st.builds(
    lambda middle, end: name_params(middle + end),
    st.lists(st.sampled_from(["a", "b", "{}"]), max_size=3),
    st.sampled_from([["a"], ["{}"], ["*"], ["*"], [""]]),
)
methods = st.sampled_from(["GET", "HEAD", "POST"])
hosts = st.sampled_from(["a.x.y", "b.x.y", "*.x.y", "*.y", "x.y"])
patterns = st.builds(
    Pattern,
    path=pattern_paths,
    hosts=st.just(()) | st.lists(hosts, max_size=2).map(tuple),
    methods=st.lists(methods, max_size=2, unique=True).map(tuple),
    headers=st.just({}) | st.dictionaries(st.sampled_from("vw"), st.sampled_from("12"), max_size=2),
)
request_paths = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).flatmap(
    lambda segments: st.sampled_from(["/" + "/".join(segments), "/" + "/".join([*segments, ""]) if segments else "/"])
)
request_fields = st.lists(st.tuples(st.sampled_from([b"v", b"w"]), st.sampled_from([b"1", b"2"])), max_size=2)
request_hosts = st.sampled_from(["a.x.y", "c.x.y", "x.y", "h", ".x.y"])


@settings(max_examples=300)
@given(
    st.lists(patterns, max_size=10),
    request_hosts,
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    request_paths,
    request_fields,
)
def test_table_agrees_with_the_model(entries: list[Pattern], host: str, method: str, path: str, fields: Fields) -> None:
    routes = Table([(pattern, index) for index, pattern in enumerate(entries)])
    found = routes.find(host.encode(), method.encode(), path.encode(), fields)
    seen = found.allow if isinstance(found, Miss) else (found.target, found.params, found.rest)
    assert seen == model(entries, host, method, path, fields)


@settings(max_examples=200)
@given(st.lists(patterns, max_size=8), request_hosts, methods, request_paths, request_fields)
def test_explanation_names_who_answers(
    entries: list[Pattern], host: str, method: str, path: str, fields: Fields
) -> None:
    routes = Table([(pattern, index) for index, pattern in enumerate(entries)])
    found = routes.find(host.encode(), method.encode(), path.encode(), fields)
    answers = [
        line
        for line in routes.explain(host.encode(), method.encode(), path.encode(), fields)
        if line.endswith(": answers")
    ]
    assert answers == ([] if isinstance(found, Miss) else [f"{found.target}: answers"])


def test_explanation_says_why_each_was_passed_over() -> None:
    routes = Table(
        [
            (Pattern("/a/*"), "all"),
            (Pattern("/a/{x}", methods=("POST",)), "one"),
            (Pattern("/a/b", headers={"v": "2"}), "b"),
            (Pattern("/a/{x}", methods=("GET",)), "get"),
            (Pattern("/c"), "other"),
        ],
        label=str.upper,
    )
    assert routes.explain(b"h", b"GET", b"/a/b", []) == [
        "B: passed over: only with v: 2",
        "GET: answers",
        "ONE: passed over: only for POST",
        "ALL: passed over: GET is more specific",
    ]
    assert routes.explain(b"h", b"GET", b"/d", []) == ["no route matches this path"]


def test_equally_specific_routes_are_found() -> None:
    faults = conflicts([(Pattern("/a/{x}"), "x"), (Pattern("/b"), "b"), (Pattern("/a/{y}"), "y")])
    assert faults == [(2, '"y" and "x" are equally specific for every method')]


def test_route_that_others_cover_is_found() -> None:
    faults = conflicts(
        [(Pattern("/a/*"), "all"), (Pattern("/a"), "here"), (Pattern("/a/"), "slash"), (Pattern("/a/{x}/*"), "below")]
    )
    assert faults == [(0, '"all" can never answer: whatever it matches goes to "here" and "slash" and "below"')]


@pytest.mark.parametrize(
    "entries",
    [
        [Pattern("/a/*"), Pattern("/a/{x}/*")],
        [Pattern("/a", methods=("GET",)), Pattern("/a", methods=("POST",)), Pattern("/a")],
        [Pattern("/a", headers={"v": "1"}), Pattern("/a", headers={"v": "2"}), Pattern("/a")],
        [Pattern("/*", hosts=("a.x.y",)), Pattern("/*", hosts=("*.x.y",)), Pattern("/*")],
        [Pattern("/*"), Pattern("/{a}/*"), Pattern("/{a}/{b}/*")],
    ],
)
def test_routes_that_specificity_tells_apart_are_no_conflict(entries: list[Pattern]) -> None:
    assert conflicts([(pattern, str(index)) for index, pattern in enumerate(entries)]) == []


@settings(max_examples=200)
@given(
    st.lists(patterns.map(lambda pattern: Pattern(pattern.path, pattern.hosts, pattern.methods)), max_size=6),
    request_hosts, methods, request_paths,
)  # fmt: skip
def test_route_that_answers_is_never_called_unreachable(
    entries: list[Pattern], host: str, method: str, path: str
) -> None:
    found = Table([(pattern, index) for index, pattern in enumerate(entries)]).find(
        host.encode(), method.encode(), path.encode(), []
    )
    dead = {index for index, text in conflicts([(each, "x") for each in entries]) if "never" in text}
    assert not isinstance(found, Found) or found.target not in dead
