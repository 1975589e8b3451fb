from __future__ import annotations

import pytest

from ttagw.errors import BodyTooLargeError
from ttagw.layers.bounds import Bounds
from ttagw.model import UNKNOWN, Exchange
from ttagw.pipeline import Route
from ttagw.testing import exchange, nothing


def entered(made: Exchange, *, most: int = 10) -> Exchange:
    hooks = Bounds().bind(Route("r", "/r", nothing, max_body=most))
    assert hooks.enter is not None
    assert hooks.enter(made) is None
    return made


@pytest.mark.parametrize("length", [10, UNKNOWN])
def test_a_body_that_fits_passes(length: int) -> None:
    assert entered(exchange(b"POST", length=length)).length == length


def test_a_body_that_is_announced_as_too_large_is_refused() -> None:
    with pytest.raises(BodyTooLargeError):
        entered(exchange(b"POST", length=11))


def test_a_body_that_is_already_too_large_is_refused() -> None:
    made = exchange(b"POST", length=UNKNOWN)
    made.body.feed(b"x" * 11)
    with pytest.raises(BodyTooLargeError):
        entered(made)


def test_a_request_without_a_body_always_passes() -> None:
    assert entered(exchange(), most=0).length == 0
