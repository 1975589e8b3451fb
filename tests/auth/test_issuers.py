"""Keys and secrets in files, at the start, when they change, and as `ttagw check` sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.issuing import ISSUER, Signer, key_set
from ttagw import checks
from ttagw.auth.issuers import KeysOfFile, Secret
from ttagw.config import ConfigError, load
from ttagw.config.auth import Issuer
from ttagw.errors import TokenRefusedError

OLD, NEW = Signer("RS256", "old"), Signer("RS256", "new")


class Changes:
    """How often it was said that keys are gone."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def secret(file: Path, content: bytes, algorithms: Any = ("HS256",)) -> tuple[Secret, Changes]:
    file.write_bytes(content)
    changes = Changes()
    return Secret(Issuer(issuer=ISSUER, secret_file=str(file), algorithms=algorithms), changes), changes


def keys(file: Path, *content: Any) -> tuple[KeysOfFile, Changes]:
    file.write_bytes(key_set(*content))
    changes = Changes()
    return KeysOfFile(Issuer(issuer=ISSUER, jwks_file=str(file)), changes), changes


def test_a_secret_is_followed_and_what_it_had_signed_is_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    source, changes = secret(file, b"s" * 32 + b"\n")
    source.look()
    assert source.find("any", "HS256") == source.find(None, "HS256") == (b"s" * 32,)
    file.write_bytes(b"\n" + b"s" * 32)
    source.look()
    assert changes.count == 0
    file.write_bytes(b"t" * 32)
    source.look()
    assert (source.find(None, "HS256"), changes.count) == ((b"t" * 32,), 1)
    for bad in (b"t" * 31, b"", Signer().pem()):
        file.write_bytes(bad)
        source.look()
        assert (source.find(None, "HS256"), changes.count) == ((b"t" * 32,), 1)


def test_keys_of_a_file_are_followed_and_those_that_are_gone_are_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    source, changes = keys(file, OLD)
    assert source.find("old", "RS256") == source.find(None, "RS256") == (OLD.private.public_key(),)
    with pytest.raises(TokenRefusedError, match="token_key"):
        source.find("new", "RS256")
    file.write_bytes(key_set(OLD, NEW))
    source.look()
    assert source.find("new", "RS256") == (NEW.private.public_key(),)
    assert changes.count == 0
    for bad in (b"{", b"", key_set(), b"x" * 300_000):
        file.write_bytes(bad)
        source.look()
        assert source.find("old", "RS256") == (OLD.private.public_key(),)
    file.write_bytes(key_set(NEW))
    source.look()
    assert changes.count == 1
    with pytest.raises(TokenRefusedError, match="token_key"):
        source.find("old", "RS256")


# Faults, at the start and by `ttagw check`

BASE = """
[gateway]
listen = ["tcp:0"]
store = "memory:"
[services.a]
instances = ["http://127.0.0.1:1"]
[[routes]]
name = "r"
path = "/*"
service = "a"
"""


def checked(folder: Path, *tables: str) -> list[tuple[str, str]]:
    """What `ttagw check` says, by key."""
    text = BASE + "".join([f"[[auth.issuers]]\n{table}\n" for table in tables])
    (folder / "ttagw.toml").write_text(text)
    try:
        load(folder / "ttagw.toml", {}, checks.EXTRA)
    except ConfigError as error:
        return [(fault.key, fault.message) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("algorithms", "length", "wanted"),
    [
        (["HS256"], 32, 0),
        (["HS384"], 48, 0),
        (["HS512"], 64, 0),
        (["HS384"], 47, 48),
        (["HS512"], 63, 64),
        (["HS256", "HS512"], 40, 64),
        (["HS512"], 31, 32),
    ],
)
def test_a_secret_that_is_too_short_for_an_algorithm_is_told(
    tmp_path: Path, algorithms: list[str], length: int, wanted: int
) -> None:
    (tmp_path / "s").write_bytes(b"s" * length)
    said = checked(tmp_path, f'issuer = "i"\nalgorithms = {algorithms}\nsecret_file = "s"')
    if not wanted:
        assert said == []
        return
    name = "" if length < 32 else f" for {algorithms[-1]}, got {length}"
    assert said == [("auth.issuers[0].secret_file", f"{tmp_path}/s: expected a secret of {wanted} bytes or more{name}")]
    with pytest.raises(ConfigError, match=rf"{tmp_path}/s: expected a secret of"):
        secret(tmp_path / "s", b"s" * length, tuple(algorithms))


@pytest.mark.parametrize(
    "table", ['algorithms = ["RS256"]\nsecret_file = "s"', 'algorithms = ["HS256"]\njwks_file = "s"']
)
def test_a_secret_for_algorithms_that_have_none_is_one_fault_with_its_place(tmp_path: Path, table: str) -> None:
    (tmp_path / "s").write_bytes(b"s" * 64)
    said = checked(tmp_path, f'issuer = "i"\n{table}')
    assert said == [("auth.issuers[0].algorithms", "HMAC goes with secret_file, everything else with jwks")]


def test_a_public_key_as_secret_is_told(tmp_path: Path) -> None:
    for known in (Signer().pem(), Signer().der()):
        (tmp_path / "s").write_bytes(known)
        said = checked(tmp_path, 'issuer = "i"\nalgorithms = ["HS256"]\nsecret_file = "s"')
        assert said == [
            (
                "auth.issuers[0].secret_file",
                f"{tmp_path}/s: expected a secret, got a key of another kind or a certificate",
            )
        ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no key set that can be used: not_json"),
        (b"{}", "no key set that can be used: not_a_key_set"),
        (key_set(), "no key set that can be used: no_usable_key"),
        (
            key_set(OLD.jwk(use="enc"), {"kty": "oct"}),
            "no key set that can be used: no_usable_key; 'old': use; a key: symmetric",
        ),
        (b"x" * 300_000, "more than 256 KiB"),
    ],
)
def test_a_file_without_keys_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "k").write_bytes(content)
    said = checked(tmp_path, 'issuer = "i"\njwks_file = "k"')
    assert said == [("auth.issuers[0].jwks_file", f"{tmp_path}/k: {why}")]
    with pytest.raises(ConfigError, match="k: "):
        KeysOfFile(Issuer(issuer="i", jwks_file=str(tmp_path / "k")), Changes())


def test_good_files_and_what_is_told_already(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(key_set(OLD, {"kty": "oct"}))
    assert checked(tmp_path, 'issuer = "i"\njwks_file = "k"') == []
    (said,) = checked(tmp_path, 'issuer = "i"\njwks_file = "nowhere"')
    assert said == ("auth.issuers[0].jwks_file", f"{tmp_path}/nowhere: cannot be read: No such file or directory")


def test_two_issuers_have_two_names(tmp_path: Path) -> None:
    one = 'issuer = "i"\njwks_url = "http://h/"'
    assert checked(tmp_path, one, one.replace('"i"', '"j"')) == []
    assert checked(tmp_path, one, one) == [("auth.issuers[1].issuer", '"i" is listed twice')]
