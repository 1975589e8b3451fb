"""Patterns are taken apart, or refused with a reason."""

from __future__ import annotations

import pytest

from ttagw.core.pattern import LITERAL, NO_HOST, PARAM, TAIL, Pattern, PatternError, Shape, overlap


def test_path_is_taken_apart() -> None:
    shape = Shape(Pattern("/a/{player_id}/*"))
    assert shape.segments == ((LITERAL, b"a"), (PARAM, b""), (TAIL, b""))
    assert shape.names == ("player_id",)


def test_slash_at_the_end_is_an_empty_segment() -> None:
    assert Shape(Pattern("/a/")).segments == ((LITERAL, b"a"), (LITERAL, b""))


def test_hosts_are_lower_cased_and_none_is_any() -> None:
    assert Shape(Pattern("/", hosts=("A.b", "*.X.y"))).hosts == (("a.b", ""), ("", "x.y"))
    assert Shape(Pattern("/")).hosts == (NO_HOST,)


def test_condition_names_are_lower_cased() -> None:
    assert Shape(Pattern("/", headers={"X-Api-Version": "2"})).conditions == ((b"x-api-version", b"2"),)


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("a", "path without slash"),
        ("", "path without slash"),
        ("/a//b", "empty segment"),
        ("/a/../b", "dot segment"),
        ("/a?b", "byte in path"),
        ("/%61", 'write "/a"'),
        ("/é", "outside ASCII"),
        ("/a/*/b", "neither a literal"),
        ("/a*", "neither a literal"),
        ("/{}", "neither a literal"),
        ("/{a-b}", "neither a literal"),
        ("/x{a}", "neither a literal"),
        ("/{a", "neither a literal"),
        ("/{a}/{a}", "uses a name twice"),
    ],
)
def test_bad_path_is_refused_with_the_fact(path: str, fact: str) -> None:
    with pytest.raises(PatternError, match=fact.replace("{", r"\{")):
        Shape(Pattern(path))


@pytest.mark.parametrize("host", ["", "*", "*.", "a.*.b", "*.*.b"])
def test_bad_host_is_refused(host: str) -> None:
    with pytest.raises(PatternError, match="neither a name"):
        Shape(Pattern("/", hosts=(host,)))


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("/a/*", b"/a", True),
        ("/a/*", b"/a/", True),
        ("/a/*", b"/a/b/c", True),
        ("/a/*", b"/ab", False),
        ("/a/*", b"/", False),
        ("/*", b"/", True),
        ("/*", b"/a", True),
        ("/{x}", b"/", False),
        ("/{x}", b"/a", True),
        ("/{x}", b"/a/", False),
        ("/{x}/*", b"/", False),
        ("/A", b"/a", False),
    ],
)
def test_path_matches(pattern: str, path: bytes, matched: bool) -> None:
    assert Shape(Pattern(pattern)).matches_path(path) is matched


def test_host_is_ranked_by_how_it_is_named() -> None:
    shape = Shape(Pattern("/", hosts=("a.x.y", "*.x.y")))
    assert [shape.host_rank(host) for host in ("a.x.y", "b.x.y", "x.y", ".x.y", "c.b.x.y")] == [0, 1, None, None, None]
    assert Shape(Pattern("/")).host_rank("a") == 2


def test_get_answers_head_less_specifically() -> None:
    shape = Shape(Pattern("/", methods=("GET",)))
    assert [shape.method_rank(method) for method in ("GET", "HEAD", "POST")] == [0, 1, None]
    assert shape.allow == {"GET", "HEAD"}


def test_refusal_names_what_is_missing() -> None:
    shape = Shape(Pattern("/", hosts=("*.x.y",), methods=("GET",), headers={"v": "2"}))
    assert shape.refusal("h", "GET", []) == "only for host *.x.y"
    assert shape.refusal("a.x.y", "GET", [(b"v", b"1")]) == "only with v: 2"
    assert shape.refusal("a.x.y", "PUT", [(b"v", b"2")]) == "only for GET, HEAD"
    assert shape.refusal("a.x.y", "HEAD", [(b"v", b"2")]) == ""


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (Pattern("/{a}"), Pattern("/{b}"), "every method"),
        (Pattern("/a", methods=("GET", "PUT")), Pattern("/a", methods=("PUT", "GET")), "GET, PUT"),
        (Pattern("/a", methods=("GET",)), Pattern("/a", methods=("HEAD",)), ""),
        (Pattern("/a", methods=("GET",)), Pattern("/a"), ""),
        (Pattern("/a", headers={"v": "1"}), Pattern("/a", headers={"v": "2"}), ""),
        (Pattern("/a", hosts=("h",)), Pattern("/a"), ""),
        (Pattern("/a", hosts=("h", "i")), Pattern("/a", hosts=("i",)), "every method"),
        (Pattern("/a"), Pattern("/a/*"), ""),
    ],
)
def test_overlap_is_what_is_equally_specific(first: Pattern, second: Pattern, common: str) -> None:
    assert overlap(Shape(first), Shape(second)) == common


def test_witnesses_match_their_pattern() -> None:
    shape = Shape(Pattern("/a/{x}/*", hosts=("*.x.y", "h"), methods=("GET",)))
    witnesses = list(shape.witnesses(3))
    assert {host for host, _, _ in witnesses} == {"__any__.x.y", "h"}
    assert {method for _, method, _ in witnesses} == {"GET", "HEAD"}
    assert all(shape.matches_path(path) and shape.host_rank(host) is not None for host, _, path in witnesses)


def test_witnesses_of_all_paths_begin_with_a_slash() -> None:
    assert {path[:1] for _, _, path in Shape(Pattern("/*")).witnesses(2)} == {b"/"}
