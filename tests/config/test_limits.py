"""What limits name must be there, and they must let something through."""

from __future__ import annotations

import pytest

from tests.config.test_references import found, route

PER_USER = 'limits.u = {rate = "10/min", key = ["user"]}\n'


@pytest.mark.parametrize(
    ("text", "key", "sentence"),
    [
        ('limits.l = {rate = "1/s", roles = {nobody = 2.0}}', "limits.l.roles.nobody", 'there is no role "nobody"'),
        ('limits.l = {rate = "1/s", key = ["user", "user"]}', "limits.l.key[1]", '"user" is listed twice'),
        ('limits.l = {rate = "1/s", key = ["header:X-User-ID"]}', "limits.l.key[0]", "no limit sees this field"),
        (
            PER_USER + route('service = "a", limits = ["u"], cost = 11'),
            "routes[0].limits[0]",
            '"u" lets 10 through at once, and a request here counts as 11',
        ),
        (
            'limits.u = {rate = "100/min", burst = 5}\n' + route('service = "a", limits = ["u"], cost = 6'),
            "routes[0].limits[0]",
            '"u" lets 5 through at once, and a request here counts as 6',
        ),
    ],
)
def test_what_does_not_fit_is_found(text: str, key: str, sentence: str) -> None:
    assert found(text) == [(key, sentence)]


@pytest.mark.parametrize(
    "text",
    [
        PER_USER + route('service = "a", limits = ["u"], cost = 10'),
        "limits.c = {concurrent = 2}\n" + route('service = "a", limits = ["c"], cost = 1000'),
        'limits.l = {rate = "1/s", roles = {admin = 2.0, own = 3.0}}\nauth.roles.own = {}',
        'limits.l = {rate = "1/s", key = ["header:X-Tenant", "header:X-API-Key", "ip", "role", "route", "service"]}',
    ],
)
def test_what_fits_is_not(text: str) -> None:
    assert found(text) == []
