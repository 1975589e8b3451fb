"""Keys never go on to a service."""

from __future__ import annotations

import pytest

from ttagw.core.identity import Identity
from ttagw.layers.vouch import Vouch
from ttagw.model import Fields
from ttagw.testing import exchange, route

KEY = b"ttagw_core_" + b"k" * 43


def passed(field: tuple[bytes, bytes], *, forward: bool, known: bool) -> Fields:
    made = exchange()
    made.credentials = [field]
    made.identity = Identity("key", "core", (), ()) if known else None
    enter = Vouch(forward, "").bind(route()).enter
    assert enter is not None
    enter(made)
    return made.fields


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "field",
    [
        (b"x-api-key", KEY),
        (b"authorization", b"Bearer " + KEY),
        (b"authorization", b"bearer   " + KEY),
        (b"authorization", KEY),
    ],
)
def test_a_key_stays_here_whatever_is_forwarded(field: tuple[bytes, bytes], forward: bool, known: bool) -> None:
    assert passed(field, forward=forward, known=known) == []


@pytest.mark.parametrize(
    ("field", "forward", "known", "passes"),
    [
        ((b"authorization", b"Bearer a.b.c"), True, True, True),
        ((b"authorization", b"Bearer a.b.c"), True, False, True),
        ((b"authorization", b"Bearer a.b.c"), False, True, False),
        ((b"authorization", b"Bearer a.b.c"), False, False, False),
        ((b"authorization", b"Basic dTpw"), False, False, True),
        ((b"authorization", b"Basic dTpw"), False, True, False),
        ((b"x-api-key", b"of the service"), False, False, True),
    ],
)
def test_other_credentials_are_passed_as_before(
    field: tuple[bytes, bytes], forward: bool, known: bool, passes: bool
) -> None:
    assert passed(field, forward=forward, known=known) == ([field] if passes else [])
