"""`[abuse]` beside other keys."""

from __future__ import annotations

import tomllib

import pytest

from ttagw.config.blocking import check, notices
from ttagw.config.model import Config


def config(abuse: str, trusted: str = "[]") -> Config:
    return Config.model_validate(tomllib.loads(f"[gateway]\ntrusted_proxies = {trusted}\n[abuse]\n{abuse}\n"))


@pytest.mark.parametrize(
    ("abuse", "key", "sentence"),
    [
        ('deny = ["0.0.0.0/0"]', "abuse.deny.0", "refuses everybody"),
        ('deny = ["192.0.2.0/24", "::/0"]', "abuse.deny.1", "refuses everybody"),
        ('deny = ["192.0.2.0/24"]\nallow = ["192.0.2.0/24"]', "abuse.deny.0", "is in allow as well"),
        ('deny = ["10.0.0.0/8"]', "abuse.deny.0", "overlaps 10.1.0.0/16 of gateway.trusted_proxies"),
        ('deny = ["10.1.2.3/32"]', "abuse.deny.0", "overlaps 10.1.0.0/16 of gateway.trusted_proxies"),
        ('block_for = "2d"\nlongest = "1d"', "abuse.longest", "is shorter than block_for"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(abuse: str, key: str, sentence: str) -> None:
    [(found, text)] = check(config(abuse, '["10.1.0.0/16"]'))
    assert ".".join(map(str, found)) == key
    assert text.startswith(sentence)


@pytest.mark.parametrize(
    ("abuse", "sentence"),
    [
        ('deny = ["10.0.0.0/8"]\nallow = ["10.1.2.3/32"]', "so 10.1.2.3 is allowed and the rest of 10.0.0.0/8 is not"),
        ('deny = ["10.1.2.3/32"]\nallow = ["10.0.0.0/8"]', "so 10.1.2.3 is denied and the rest of 10.0.0.0/8 is not"),
    ],
)
def test_lists_that_overlap_are_told(abuse: str, sentence: str) -> None:
    made = config(abuse)
    assert list(check(made)) == []
    [(found, text)] = notices(made)
    assert found == ("abuse", "deny", 0)
    assert text.endswith(sentence)


def test_lists_that_have_nothing_in_common_are_as_they_should_be() -> None:
    made = config('deny = ["192.0.2.0/24", "2001:db8::/32"]\nallow = ["10.0.0.0/8", "::1/128"]', '["127.0.0.1/32"]')
    assert [*check(made), *notices(made)] == []
