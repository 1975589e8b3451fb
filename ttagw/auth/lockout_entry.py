"""How what is known of failed logins looks in the store: times there are Unix seconds."""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated

import msgspec

from ttagw.core.lockout import NEVER, Mark, Rules, State

_NAME = re.compile(r"(?:address|account)/[0-9a-f]{32}")

_Nonce = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
_Mark = tuple[float, _Nonce]


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    failures: list[_Mark] = []
    cleared: _Mark | None = None
    pause: _Mark | None = None


_decoder = msgspec.json.Decoder(_Entry)
_encode = msgspec.json.Encoder().encode


def encode(state: State, ahead: float) -> bytes:
    """`ahead`: seconds by which the time of day is ahead of the clock that `state` counts by."""

    def written(mark: Mark) -> tuple[float, str] | None:
        return (round(mark.at + ahead, 3), mark.nonce) if mark.nonce else None

    failures = [(round(each.at + ahead, 3), each.nonce) for each in state.failures]
    return _encode(_Entry(failures, written(state.cleared), written(state.pause)))


def decode(name: str, raw: bytes, ahead: float, rules: Rules) -> State:
    """`ahead`: seconds by which our clock is ahead of the time of day. Raises `ValueError` for what nobody wrote."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("an unknown name")
    try:
        entry = _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if len(entry.failures) >= max(rules.failures, 1000):
        raise ValueError("more failures than a pause needs")

    def read(mark: _Mark | None) -> Mark:
        if mark is None:
            return NEVER
        if not isfinite(mark[0]):
            raise ValueError("no time")
        return Mark(mark[0] + ahead, mark[1])

    return State(tuple([read(each) for each in entry.failures]), read(entry.cleared), read(entry.pause))
