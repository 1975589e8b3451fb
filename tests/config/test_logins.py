from __future__ import annotations

import tomllib

import pytest

from ttagw.config.logins import notices
from ttagw.config.model import Config

TEXT = """
services.a = {instances = ["http://h"]}
services.b = {instances = ["http://i"]}
[[routes]]
name = "login"
path = "%s"
methods = ["POST"]
service = "a"
auth = "none"
login = "username"
[[routes]]
name = "wide"
%s
"""


def told(wide: str, login: str = "/auth/login") -> list[tuple[object, str]]:
    return [(key, text) for key, text in notices(Config.model_validate(tomllib.loads(TEXT % (login, wide))))]


@pytest.mark.parametrize(
    ("wide", "login", "way"),
    [
        ('path = "/auth/*"\nservice = "a"\nauth = "none"', "/auth/login", "/auth/login/"),
        ('path = "/*"\nservice = "a"\nauth = "optional"\nmethods = ["PUT"]', "/auth/login", "/auth/login/"),
        ('path = "/*"\nsplit = {b = 1, a = 1}\nauth = "none"', "/auth/login", "/auth/login/"),
        ('path = "/auth/{what}"\nservice = "a"\nauth = "none"', "/auth/login", "/auth/LOGIN"),
        ('path = "/*"\nservice = "a"\nauth = "none"', "/auth/login/*", "/auth/LOGIN"),
    ],
)
def test_a_way_around_a_login_is_told(wide: str, login: str, way: str) -> None:
    [(key, text)] = told(wide, login)
    assert key == ("routes", 1, "path")
    assert text.startswith(f'leads to "{way}" too')


@pytest.mark.parametrize(
    "wide",
    [
        'path = "/auth/*"\nservice = "a"',
        'path = "/auth/*"\nservice = "b"\nauth = "none"',
        'path = "/auth/*"\nservice = "a"\nauth = "none"\nmethods = ["GET"]',
        'path = "/auth/*"\nservice = "a"\nauth = "none"\nlogin = "username"',
        'path = "/other/*"\nservice = "a"\nauth = "none"',
        'path = "/auth"\nservice = "a"\nauth = "none"',
    ],
)
def test_what_is_no_way_around_is_not(wide: str) -> None:
    assert told(wide) == []
