"""Rewrites carry what was matched, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core import rewrite as rewriting
from ttagw.core.rewrite import RewriteError
from ttagw.core.routing import Found, Pattern, Table


@pytest.mark.parametrize(
    ("pattern", "rewrite", "path", "taken"),
    [
        ("/api/v1/sessions/*", "/gameplay/v1/sessions/*", b"/api/v1/sessions", b"/gameplay/v1/sessions"),
        ("/api/v1/sessions/*", "/gameplay/v1/sessions/*", b"/api/v1/sessions/", b"/gameplay/v1/sessions/"),
        ("/api/v1/sessions/*", "/gameplay/v1/sessions/*", b"/api/v1/sessions/7/x", b"/gameplay/v1/sessions/7/x"),
        ("/api/*", "/*", b"/api", b"/"),
        ("/api/*", "/*", b"/api/a%20b", b"/a%20b"),
        ("/*", "/v1/*", b"/", b"/v1/"),
        ("/a/{x}/{y}", "/b/{y}/c/{x}", b"/a/1/%25b", b"/b/%25b/c/1"),
        ("/a/{x}", "/b/{x}/{x}.json", b"/a/7", b"/b/7/7.json"),
        ("/a/{x}/*", "/{x}/*", b"/a/7/8/", b"/7/8/"),
        ("/a/{x}/*", "/fixed%20path", b"/a/7/8", b"/fixed%20path"),
        ("/a/{x}", "/%25/{x}", b"/a/7", b"/%25/7"),
        ("/a", "/", b"/a", b"/"),
    ],
)
def test_rewritten_path(pattern: str, rewrite: str, path: bytes, taken: bytes) -> None:
    found = Table([(Pattern(pattern), "")]).find(b"h", b"GET", path, [])
    change = rewriting.compile(pattern, rewrite)
    assert isinstance(found, Found)
    assert change is not None
    assert change.apply(found.params, found.rest) == taken


@pytest.mark.parametrize("rewrite", ["", "/a/{x}/*"])
def test_same_path_needs_no_rewrite(rewrite: str) -> None:
    assert rewriting.compile("/a/{x}/*", rewrite) is None


@pytest.mark.parametrize(
    ("pattern", "rewrite", "fact"),
    [
        ("/a", "/b/*", "does not"),
        ("/a/*", "/b/*/c", "not a final"),
        ("/a/*", "/b*", "not a final"),
        ("/a/{x}", "/b/{y}", "it has {x}"),
        ("/a", "/b/{y}", "it has none"),
        ("/a/{x}", "/b/{x", "is not a param"),
        ("/a/{x}", "/b/x}", "stands without"),
        ("/a", "/b//c", "empty segment"),
        ("/a", "/b?c=d", "byte in path"),
        ("/a", "b", "path without slash"),
        ("/a", "/%7e", 'write "/~"'),
        ("/a", "/é", "outside ASCII"),
        ("/a//", "/b", "empty segment"),
    ],
)
def test_rewrite_that_does_not_fit_is_refused(pattern: str, rewrite: str, fact: str) -> None:
    with pytest.raises(RewriteError, match=fact.replace("{", r"\{")):
        rewriting.compile(pattern, rewrite)


values = st.binary(min_size=1).filter(lambda value: b"/" not in value)


@given(values, values, st.binary())
def test_every_byte_is_carried(one: bytes, two: bytes, tail: bytes) -> None:
    change = rewriting.compile("/a/{one}/{two}/*", "/%25/{two}-{one}/*")
    assert change is not None
    assert change.apply((one, two), b"/" + tail) == b"/%25/" + two + b"-" + one + b"/" + tail
