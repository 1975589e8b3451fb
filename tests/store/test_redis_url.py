from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.kit import new_store
from ttagw.store.redis_errors import meaning
from ttagw.store.redis_url import Address, RedisSettings, parse

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("redis://h", RedisSettings((Address("h", 6379),))),
        ("redis://h/", RedisSettings((Address("h", 6379),))),
        ("redis://10.0.0.1:1/15", RedisSettings((Address("10.0.0.1", 1),), db=15)),
        ("redis://[::1]:2", RedisSettings((Address("::1", 2),))),
        ("redis://[fe80::1]", RedisSettings((Address("fe80::1", 6379),))),
        ("rediss://r_1.example.com", RedisSettings((Address("r_1.example.com", 6379),), True)),
        ("redis://pw@h", RedisSettings((Address("h", 6379),), password="pw")),
        ("redis://:pw@h", RedisSettings((Address("h", 6379),), password="pw")),
        ("redis://u:p%2Fw%40:x@h:1", RedisSettings((Address("h", 1),), user="u", password="p/w@:x")),
        ("redis://u:p@w@h", RedisSettings((Address("h", 6379),), user="u", password="p@w")),
        ("redis+sentinel://a/main", RedisSettings((Address("a", 26379),), master="main")),
        (
            "redis+sentinel://pw@a:1,[::1]:2,b/my-main/3",
            RedisSettings(
                (Address("a", 1), Address("::1", 2), Address("b", 26379)), password="pw", db=3, master="my-main"
            ),
        ),
    ],
)
def test_what_a_url_says(url: str, settings: RedisSettings) -> None:
    assert parse(url) == settings


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://", "a host that is a name"),
        ("redis://s3cret:x@", "a host that is a name"),
        ("redis://h:0", "from 1 to 65535"),
        ("redis://h:65536", "from 1 to 65535"),
        ("redis://u:s3cret", "from 1 to 65535"),
        ("redis://h:", "from 1 to 65535"),
        ("redis://h:٣", "from 1 to 65535"),
        ("redis://h/s3cret", "is a number from 0"),
        ("redis://h/-1", "is a number from 0"),
        ("redis://h/1/2", "is a number from 0"),
        ("redis://h/9999999", "is a number from 0"),
        ("redis://:s3/cret@h", "written as %2F"),
        ("redis://:s3?cret@h", "no options"),
        ("redis://:s3#cret@h", "no options"),
        ("redis://u:@h", "without a password"),
        ("redis://a b", "a host that is a name"),
        ("redis://-h", "a host that is a name"),
        ("redis://[1.2.3.4]", "a host that is a name"),
        ("redis://[::1]x", "HOST:PORT"),
        ("redis://a,b", "a host that is a name"),
        ("redis+sentinel://a", "ends in the name"),
        ("redis+sentinel://a/", "ends in the name"),
        ("redis+sentinel://a/m m", "ends in the name"),
        ("redis+sentinel://a,/main", "a host that is a name"),
        ("redis+sentinel://a/main/x", "is a number from 0"),
        ("redis:h", "begins with redis://"),
        ("sqlite:", "a store is memory:"),
        ("memory:x", "a store is memory:"),
        ("memory", "a store is memory:"),
        ("sqlite:a\0b", "NUL"),
        ("http://h", "a store is memory:"),
        ("", "a store is memory:"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_secrets(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        new_store(url)
    assert "s3" not in str(caught.value)


def test_settings_do_not_show_the_password() -> None:
    assert "s3cret" not in repr(parse("redis://u:s3cret@h"))


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("LOADING Redis is loading the dataset in memory", "Away", "loading"),
        ("MASTERDOWN Link with MASTER is down", "Away", "master_down"),
        ("BUSY Redis is busy running a script", "Away", "busy"),
        ("NOAUTH Authentication required.", "Away", "no_password"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "Away", "wrong_password"),
        ("ERR invalid password", "Away", "wrong_password"),
        ("ERR max number of clients reached", "Away", "too_many_clients"),
        ("ERR Client sent AUTH, but no password is set", "Away", "password_not_expected"),
        ("ERR DB index is out of range", "Away", "no_such_db"),
        ("MOVED 3999 127.0.0.1:6381", "Away", "cluster"),
        ("DENIED Redis is running in protected mode", "Away", "protected_mode"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "Refused", "full"),
        ("READONLY You can't write against a read only replica. script: x", "Refused", "read_only"),
        ("ERR Error running script (call to f_6b): @user_script:1: -READONLY You can't write", "Refused", "read_only"),
        ("ERR Error running script (call to f_6b): @user_script: 1: -OOM command not allowed", "Refused", "full"),
        ("MISCONF Errors writing to the AOF file", "Refused", "cannot_persist"),
        ("NOREPLICAS Not enough good replicas to write.", "Refused", "no_replicas"),
        ("NOPERM this user has no permissions to run the 'get' command", "Refused", "no_permission"),
        ("NOSCRIPT No matching script.", "Refused", "no_script"),
        ("ERR unknown command 'AUTH', with args beginning with: 's3cret'", "Refused", "error"),
        ("", "Refused", "error"),
        ("s3cret", "Refused", "error"),
    ],
)
def test_what_an_error_of_redis_means(text: str, kind: str, reason: str) -> None:
    error = meaning(text)
    assert (type(error).__name__, error.reason) == (f"Store{kind}Error", reason)
    assert "s3cret" not in str(error)


def test_making_stores_installs_no_reactor() -> None:
    # The daemon chooses its reactor; txredisapi imports one.
    code = (
        "import sys, ttagw.store.make as make\n"
        "make.make_store('redis+sentinel://h/main', None, lambda: 0.0, lambda: 0.0, lambda: 0.0)\n"
        "assert 'twisted.internet.reactor' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
