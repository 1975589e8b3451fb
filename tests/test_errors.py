from __future__ import annotations

import re

import pytest

from ttagw.errors import Blame, GatewayError, InternalError, UpstreamBusyError, UpstreamUnavailableError, catalogue

KINDS = pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.code)


@KINDS
def test_every_error_is_complete(kind: type[GatewayError]) -> None:
    assert 400 <= kind.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", kind.code)
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert kind.detail.endswith(".")
    assert isinstance(kind.blame, Blame)


@KINDS
def test_the_wording_blames_nobody(kind: type[GatewayError]) -> None:
    words = set(re.findall(r"[a-z]+", f"{kind.title} {kind.detail}".lower()))
    assert not words & {"error", "invalid", "illegal", "bad", "forbidden", "failed", "your", "you", "must"}


@KINDS
def test_the_reason_is_a_token_for_the_log(kind: type[GatewayError]) -> None:
    assert kind().reason == kind.code
    assert str(kind("a_token")) == kind("a_token").reason == "a_token"


@KINDS
def test_the_status_fits_who_is_blamed(kind: type[GatewayError]) -> None:
    if kind.blame is Blame.CLIENT:
        assert kind.status < 500
    else:
        assert kind.status >= 500


def test_codes_are_unique_and_sorted_by_status() -> None:
    kinds = catalogue()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert [(kind.status, kind.code) for kind in kinds] == sorted((kind.status, kind.code) for kind in kinds)


def test_a_code_with_two_kinds_is_listed_as_the_general_one() -> None:
    listed = {kind.code: kind for kind in catalogue()}
    assert listed["method_not_allowed"].close is False
    assert listed["internal_error"] is GatewayError
    assert InternalError.code == "internal_error"


def test_what_an_error_says_can_be_made_more_precise() -> None:
    error = UpstreamBusyError(
        "queue_timeout", detail="Soon.", retry_after=1, fields=((b"a", b"b"),), more={"state": "open"}
    )
    assert (error.text, error.retry_after, error.fields) == ("Soon.", 1, ((b"a", b"b"),))
    assert error.more == {"state": "open"}
    assert UpstreamBusyError().text == UpstreamBusyError.detail
    assert isinstance(error, UpstreamUnavailableError)
