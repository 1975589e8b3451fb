from __future__ import annotations

import os
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from ttagw.auth.assertion import LIFE, About, Assertions
from ttagw.auth.secret import LOOK_EVERY, SecretFile
from ttagw.config.faults import ConfigError
from ttagw.core.classes import TrafficClass
from ttagw.core.identity import Identity
from ttagw.testing import Clock, exchange, route

SECRET = "0123456789abcdef0123456789abcdef"
WALL = 1_795_000_000.9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f" {SECRET}\n")
    return path


class Fixed(SecretFile):
    """A secret that no file holds."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def current(self) -> bytes:
        return self._value


USERS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


@given(USERS, st.sets(st.sampled_from(["patient", "therapist", "a/b:c.d"])), st.binary(min_size=32, max_size=200))
def test_pyjwt_verifies_it_whoever_it_is_about(user: str, roles: set[str], secret: bytes) -> None:
    assertions = Assertions(Fixed(secret), {"r": About("core")}, lambda: WALL)
    made = exchange()
    made.identity = Identity("token", user, roles, ())
    found = jwt.decode_complete(
        assertions.make(made),
        secret,
        algorithms=["HS256"],
        audience="core",
        issuer="ttagw",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert found["header"] == {"alg": "HS256", "typ": "JWT"}
    assert found["payload"] == {
        "iss": "ttagw",
        "aud": "core",
        "sub": user,
        "roles": sorted(roles),
        "class": "normal",
        "request_id": made.id.decode(),
        "iat": int(WALL),
        "exp": int(WALL) + LIFE,
    }


def test_what_is_not_known_is_left_out(file: Path) -> None:
    made = exchange(on=route(name="other"))
    text = Assertions(SecretFile(str(file), Clock()), {}, lambda: WALL).make(made)
    claims = jwt.decode(text, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert (claims["roles"], claims["class"]) == ([], "normal")
    assert not {"sub", "aud"} & claims.keys()


def test_the_class_is_that_of_the_request(file: Path) -> None:
    assertions = Assertions(SecretFile(str(file), Clock()), {}, lambda: WALL)
    made = exchange()
    made.rank = TrafficClass.CRISIS
    text = assertions.make(made)
    options = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(text, SECRET, algorithms=["HS256"], options=options)["class"] == "crisis"  # type: ignore[arg-type]


def test_its_time_is_over_after_a_minute(file: Path) -> None:
    text = Assertions(SecretFile(str(file), Clock()), {}, lambda: 1_000_000_000.0).make(exchange())
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(text, SECRET, algorithms=["HS256"])


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_byte_of_it_can_be_another(place: int, byte: int) -> None:
    text = Assertions(Fixed(SECRET.encode()), {}, lambda: WALL).make(exchange())
    place %= len(text)
    other = text[:place] + bytes((byte,)) + text[place + 1 :]
    if other == text or (place == len(text) - 1 and same_bits(text, other)):
        return
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(other, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})


def same_bits(text: bytes, other: bytes) -> bool:
    """The last digit of a signature has two bits that are not part of it."""
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/"
    if other[-1:] not in (digits[place : place + 1] for place in range(len(digits))):
        return True
    return digits.index(text[-1]) >> 2 == digits.index(other[-1]) >> 2


# The secret


class Heard:
    """What was logged."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, event: dict[str, object]) -> None:
        self.said.append(str(event.get("log_format")) + str(event.get("why", "")))


def test_a_secret_is_read_again_when_its_file_has_changed(file: Path) -> None:
    clock = Clock()
    secret = SecretFile(str(file), clock)
    assert secret.current() == SECRET.encode()
    other = file.with_name("other")
    other.write_text("x" * 40)
    os.replace(other, file)
    assert secret.current() == SECRET.encode()
    clock.advance(LOOK_EVERY)
    assert secret.current() == b"x" * 40


def test_a_secret_that_is_none_any_more_changes_nothing_and_is_said_once(file: Path) -> None:
    clock, heard = Clock(), Heard()
    secret = SecretFile(str(file), clock)
    globalLogPublisher.addObserver(heard)
    try:
        for text in ("too short", None):
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            for _ in range(3):
                clock.advance(LOOK_EVERY)
                assert secret.current() == SECRET.encode()
    finally:
        globalLogPublisher.removeObserver(heard)
    assert [each.rpartition("}")[2] for each in heard.said] == [
        "expected a secret of 32 bytes or more",
        "cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize("text", ["", "x" * 31, " " * 40])
def test_a_secret_that_is_too_short_is_no_secret(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        SecretFile(str(file), Clock())
    assert str(caught.value) == f"{file}: expected a secret of 32 bytes or more"


def test_a_secret_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        SecretFile(str(tmp_path / "none"), Clock())
    assert str(caught.value) == f"{tmp_path}/none: cannot be read: No such file or directory"
