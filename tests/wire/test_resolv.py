from __future__ import annotations

import os
from pathlib import Path

import pytest

from ttagw.wire.resolv import Followed, Resolv, is_address, parse_hosts, parse_resolv


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", Resolv()),
        ("nameserver 10.0.0.1\nnameserver fe80::1%eth0\n", Resolv((("10.0.0.1", 53), ("fe80::1%eth0", 53)))),
        ("nameserver\nnameserver dns.example\n# nameserver 10.0.0.1\n; x\nnonsense 5", Resolv()),
        ("domain a.example.\nsearch b c. .\n", Resolv(search=("b", "c"))),
        ("options rotate ndots:5 ndots:x timeout:1\noptions edns0", Resolv(ndots=5)),
        ("options ndots:500", Resolv(ndots=15)),
    ],
)
def test_what_makes_sense_is_taken(text: str, said: Resolv) -> None:
    assert parse_resolv(text) == said


def test_hosts_have_all_their_names_and_names_all_their_addresses() -> None:
    text = "127.0.0.1 localhost Here # there\n::1 localhost\n127.0.0.1 localhost\n# 1.1.1.1 no\nwrong x\n10.0.0.1\n"
    assert parse_hosts(text) == {"localhost": ("127.0.0.1", "::1"), "here": ("127.0.0.1",)}


def test_addresses_are_no_names() -> None:
    assert is_address("127.0.0.1")
    assert is_address("::1")
    assert not is_address("127.0.0.1.example")


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    parsed: list[str] = []

    def parse(text: str) -> str:
        parsed.append(text)
        return text

    followed = Followed(file, parse)
    assert followed() == ""
    file.write_text("a")
    assert [followed(), followed()] == ["a", "a"]
    assert parsed == ["", "a"]
    file.write_text("bc")
    assert followed() == "bc"
    other = tmp_path / "other"
    other.write_text("de")
    os.replace(other, file)
    assert followed() == "de"
    file.unlink()
    assert [followed(), followed()] == ["", ""]
