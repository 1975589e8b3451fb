from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.core.classes import CLASSES, Rule, TrafficClass, class_of, note_bypass, raise_to, session_key

RISK = Rule(TrafficClass.CRISIS, "risk", frozenset(("acute", "high", "true")))
CARE = Rule(TrafficClass.THERAPEUTIC, "care", frozenset(("yes",)))


def test_the_order_is_that_of_the_domain() -> None:
    assert sorted(CLASSES, key=CLASSES.__getitem__) == ["low", "normal", "high", "therapeutic", "crisis"]


@pytest.mark.parametrize("value", ["acute", "high", True, ["low", "high"], [1, None, "acute"]])
def test_a_value_that_is_listed_speaks_for_the_class(value: object) -> None:
    assert class_of({"risk": value}, [RISK, CARE]) is TrafficClass.CRISIS


@pytest.mark.parametrize(
    "value", ["Acute", " acute", "", "acute,high", None, False, 1, 1.0, [], [True], [["acute"]], {"acute": True}]
)
def test_any_other_value_says_nothing(value: object) -> None:
    assert class_of({"risk": value}, [RISK]) is TrafficClass.LOW


def test_true_says_nothing_where_it_is_not_listed() -> None:
    assert class_of({"care": True}, [CARE]) is TrafficClass.LOW


def test_without_claims_or_rules_nothing_is_said() -> None:
    assert class_of({}, [RISK, CARE]) is class_of({"risk": "acute"}, []) is TrafficClass.LOW


@given(st.permutations([RISK, CARE]))
def test_of_several_the_highest_wins_in_any_order(rules: list[Rule]) -> None:
    assert class_of({"risk": "high", "care": "yes"}, rules) is TrafficClass.CRISIS
    assert class_of({"risk": "low", "care": "yes"}, rules) is TrafficClass.THERAPEUTIC


@given(st.lists(st.sampled_from(TrafficClass), min_size=1))
def test_evidence_raises_and_never_lowers(found: list[TrafficClass]) -> None:
    exchange = SimpleNamespace(rank=found[0])
    for each in found:
        raise_to(exchange, each)
    assert exchange.rank is max(found)


def test_a_bypass_is_noted_once() -> None:
    exchange = SimpleNamespace(bypass="")
    for each in ("breaker", "health", "breaker", "health", "break"):
        note_bypass(exchange, each)
    assert exchange.bypass == "breaker,health,break"


@given(st.text(min_size=1, max_size=255).filter(lambda text: text.isascii()))
def test_the_key_of_a_session_says_nothing_and_fits_a_store(session: str) -> None:
    key = session_key(session)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")
    assert session_key(session + "x") != key
