from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.negotiation import preferred

OFFERS = ("application/problem+json", "application/json", "text/html", "text/plain")


@pytest.mark.parametrize(
    ("accept", "offer"),
    [
        (b"*/*", "application/problem+json"),
        (b"application/json", "application/json"),
        (b"APPLICATION/JSON", "application/json"),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        (b"text/*", "text/html"),
        (b"text/*;q=0.5, text/plain", "text/plain"),
        (b"text/html;q=0.2, text/plain;q=0.8", "text/plain"),
        (b"text/html ; level=1 ; q=0.9 , */* ; q=0.1", "text/html"),
        (b"*/*, application/*;q=0", "text/html"),
        (b"text/html;q=0, text/*", "text/plain"),
        (b"image/png", None),
        (b"", None),
        (b"*/*;q=0", None),
        (b"text/html;q=0.000", None),
        (b"text/html;q=2", None),
        (b"text/html;q=-1", None),
        (b"text/html;q=0.1234", None),
        (b"text/html;q=nan", None),
        (b"text/html;q=", None),
        (b"text/html;q=0.\xb2", None),
        (b"text/html;q=1.", "text/html"),
        (b"text/html;q=1.5, text/plain", "text/html"),
        (b"text/html;q=0.1, text/html;q=0.9, text/plain;q=0.5", "text/plain"),
    ],
)
def test_the_offer_is_the_one_that_the_client_would_rather_have(accept: bytes, offer: str | None) -> None:
    assert preferred(accept, OFFERS) == offer


def test_only_the_first_ranges_are_looked_at() -> None:
    assert preferred(b"image/png," * 31 + b"text/html", OFFERS) == "text/html"
    assert preferred(b"image/png," * 32 + b"text/html", OFFERS) is None


@given(st.binary(max_size=200))
def test_anything_at_all_gives_an_offer_or_none(accept: bytes) -> None:
    assert preferred(accept, OFFERS) in (*OFFERS, None)


@given(st.permutations(OFFERS))
def test_among_equals_it_is_the_one_offered_first(offers: list[str]) -> None:
    assert preferred(b"*/*", offers) == offers[0]
