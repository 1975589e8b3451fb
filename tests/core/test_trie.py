"""What is found carries the values that the path holds."""

from __future__ import annotations

import pytest

from ttagw.core.pattern import Pattern, Shape
from ttagw.core.trie import Found, Leaf, Node, collect, find


def root(*patterns: Pattern) -> Node[str]:
    node: Node[str] = Node()
    for index, pattern in enumerate(patterns):
        node.add(Leaf(index, Shape(pattern), pattern.path))
    return node


def found(node: Node[str], path: bytes, method: bytes = b"GET") -> Found[str]:
    result = find(node, method, path, ())
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("pattern", "path", "params", "rest"),
    [
        ("/*", b"/", (), b"/"),
        ("/*", b"/a/b", (), b"/a/b"),
        ("/a/*", b"/a", (), b""),
        ("/a/*", b"/a/", (), b"/"),
        ("/a/*", b"/a/b//", (), b"/b//"),
        ("/{x}", b"/a%20b", (b"a%20b",), b""),
        ("/{x}/b/{y}", b"/1/b/22", (b"1", b"22"), b""),
        ("/{x}/b/{y}/*", b"/1/b/22/c", (b"1", b"22"), b"/c"),
        ("/{x}/*", b"/long", (b"long",), b""),
    ],
)
def test_values_are_those_of_the_path(pattern: str, path: bytes, params: tuple[bytes, ...], rest: bytes) -> None:
    result = found(root(Pattern(pattern)), path)
    assert (result.params, result.rest) == (params, rest)


def test_names_are_in_the_order_of_the_path() -> None:
    assert found(root(Pattern("/{b}/{a}")), b"/1/2").names == ("b", "a")


def test_values_after_a_dead_end_are_those_of_the_way_taken() -> None:
    node = root(Pattern("/a/{x}/c"), Pattern("/{x}/b/{y}"))
    result = found(node, b"/a/b/d")
    assert (result.target, result.params) == ("/{x}/b/{y}", (b"a", b"d"))


def test_deepest_tail_with_the_method_is_taken() -> None:
    node = root(Pattern("/*"), Pattern("/a/*", methods=("PUT",)), Pattern("/a/b/*", methods=("POST",)))
    assert [found(node, b"/a/b/c", method).target for method in (b"POST", b"PUT", b"GET")] == ["/a/b/*", "/a/*", "/*"]


def test_param_branch_comes_before_a_tail_above_it() -> None:
    node = root(Pattern("/*"), Pattern("/a/x"), Pattern("/{p}/y"))
    assert found(node, b"/a/y").target == "/{p}/y"


def test_tail_below_a_literal_comes_before_the_param_branch() -> None:
    node = root(Pattern("/a/*"), Pattern("/{p}/y"))
    assert found(node, b"/a/y").target == "/a/*"


def test_path_without_values_gives_a_shared_object() -> None:
    node = root(Pattern("/a/b"))
    assert found(node, b"/a/b") is found(node, b"/a/b")


def test_collect_takes_the_methods_of_every_match() -> None:
    node = root(Pattern("/a", methods=("GET",)), Pattern("/{x}", methods=("PUT",)), Pattern("/b", methods=("PATCH",)))
    methods: set[str] = set()
    collect(node, [b"", b"a"], 0, (), methods)
    assert methods == {"GET", "HEAD", "PUT"}
