from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from tests.auth.keyplace import GOOD, HASH, NOBODY, OTHER, WRONG, Place, Threads, asked, result
from tests.twisted_hygiene import Failures, reactor
from ttagw.auth import keys as module
from ttagw.auth.argon2 import hashed
from ttagw.auth.keyfile import add, new_key, remove
from ttagw.auth.keys import LOOK_EVERY, UNKNOWN_FOR, Caller, Keys, keys_from
from ttagw.config import ConfigError
from ttagw.errors import CheckingBusyError, CredentialsRefusedError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "keys.toml")


@pytest.fixture
def said() -> Any:
    texts: list[str] = []

    def hear(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("ttagw.auth"):
            texts.append(str(event["log_format"]).format(**event))

    globalLogPublisher.addObserver(hear)
    yield texts
    globalLogPublisher.removeObserver(hear)


def test_a_good_key_is_its_caller(place: Place) -> None:
    assert place.keys.known(GOOD) is None
    assert place.answer(GOOD) == Caller("a", ("service",), ("p",))
    assert place.keys.known(GOOD) == Caller("a", ("service",), ("p",))
    assert len(place.threads.asked) == 1
    assert place.answer(GOOD) == Caller("a", ("service",), ("p",))
    assert len(place.threads.asked) == 1


@pytest.mark.parametrize("key", [b"", b"x", GOOD + b"x", GOOD[:-1], b"ttagw_" + b"x" * 500])
def test_what_is_no_key_costs_nothing(place: Place, key: bytes) -> None:
    assert place.answer(key) == "key_form"
    with pytest.raises(CredentialsRefusedError, match="key_form"):
        place.keys.known(key)
    assert place.threads.asked == []


def test_a_wrong_key_is_remembered_for_a_while(place: Place) -> None:
    assert place.keys.known(WRONG) is None
    assert place.answer(WRONG) == "key_unknown"
    assert place.answer(WRONG) == "key_unknown"
    with pytest.raises(CredentialsRefusedError, match="key_unknown"):
        place.keys.known(WRONG)
    assert len(place.threads.asked) == 1
    place.clock.advance(UNKNOWN_FOR)
    assert place.keys.known(WRONG) is None
    assert place.answer(WRONG) == "key_unknown"
    assert len(place.threads.asked) == 2


def test_an_unknown_name_costs_what_a_known_one_costs(place: Place) -> None:
    assert place.answer(NOBODY) == place.answer(WRONG) == "key_unknown"
    (_, nothing), (_, real) = place.threads.asked
    assert nothing != real
    assert nothing.split("$")[:4] == real.split("$")[:4]
    assert len(nothing) == len(real)


def test_a_file_without_keys_costs_the_same(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("")
    threads = Threads()
    keys = Keys(str(tmp_path / "k"), threads, matches=threads.matches)
    asking = asked(keys.check(NOBODY))
    threads.finish()
    assert result(asking) == "key_unknown"
    assert threads.asked[0][1].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_nothing_of_a_key_is_kept(place: Place) -> None:
    place.answer(GOOD)
    place.answer(WRONG)
    kept = repr(vars(place.keys))
    assert GOOD.decode() not in kept
    assert WRONG.decode() not in kept


def test_two_are_checked_at_once_sixteen_wait_and_more_are_refused(place: Place) -> None:
    keys = [new_key("a", bytes([number]) * 32).encode() for number in range(19)]
    asking = [place.ask(key) for key in keys]
    assert len(place.threads.checks) == 2
    assert result(asking[-1]) == "checking_busy"
    seen = []
    while place.threads.checks:
        seen.append(len(place.threads.checks))
        place.threads.finish()
    assert max(seen) == 2
    assert [result(each) for each in asking[:-1]] == ["key_unknown"] * 18


def test_those_who_ask_the_same_wait_for_one_answer(place: Place) -> None:
    asking = [place.ask(GOOD) for _ in range(50)]
    place.threads.finish()
    assert {str(result(each)) for each in asking} == {str(Caller("a", ("service",), ("p",)))}
    assert len(place.threads.asked) == 1


def test_one_that_no_longer_waits_leaves_the_others_alone(place: Place) -> None:
    first, second = place.ask(GOOD), place.ask(GOOD)
    first.cancel()
    assert result(first) == "cancelled"
    place.threads.finish()
    assert isinstance(result(second), Caller)


def test_a_check_that_nobody_waits_for_is_not_made(place: Place) -> None:
    running = [place.ask(WRONG), place.ask(NOBODY)]
    left = place.ask(GOOD)
    left.cancel()
    assert result(left) == "cancelled"
    place.threads.finish()
    assert [result(each) for each in running] == ["key_unknown"] * 2
    assert place.threads.checks == []
    assert isinstance(place.answer(GOOD), Caller)


def test_a_check_that_fails_lets_nobody_in(place: Place, failures: Failures) -> None:
    asking = place.ask(GOOD)
    place.threads.finish(MemoryError())
    assert result(asking) == "check_failed"
    assert len(failures.take(MemoryError)) == 1
    assert isinstance(place.answer(GOOD), Caller)


def test_time_runs_out(place: Place) -> None:
    with place.file.open("a") as file:
        file.write("expires = 1970-01-01T00:20:00Z\n")
    place.clock.advance(LOOK_EVERY)
    assert isinstance(place.answer(GOOD), Caller)
    place.wall.now = 1200.0
    with pytest.raises(CredentialsRefusedError, match="key_expired"):
        place.keys.known(GOOD)
    assert place.answer(GOOD) == place.answer(GOOD) == "key_expired"
    assert len(place.threads.asked) == 1


def test_one_that_is_over_when_it_comes_first_is_told_so(place: Place) -> None:
    with place.file.open("a") as file:
        file.write("expires = 1970-01-01T00:00:01Z\n")
    place.clock.advance(LOOK_EVERY)
    assert place.answer(GOOD) == place.answer(GOOD) == "key_expired"
    assert place.answer(WRONG) == "key_unknown"
    assert [key for key, _ in place.threads.asked] == [GOOD, WRONG]


# The file changes


def test_who_is_not_changed_with_the_file_is_not_checked_again(place: Place) -> None:
    assert isinstance(place.answer(GOOD), Caller)
    text = place.file.read_text()
    add(place.file, "b", HASH.format("Q"), (), ())
    place.clock.advance(LOOK_EVERY)
    assert place.keys.known(GOOD) == Caller("a", ("service",), ("p",))
    place.file.write_text(text.replace('["service"]', '["other"]'))
    place.clock.advance(LOOK_EVERY)
    assert place.keys.known(GOOD) == Caller("a", ("other",), ("p",))
    place.file.write_text(text.replace(HASH.format("A"), HASH.format("E")))
    place.clock.advance(LOOK_EVERY)
    assert place.keys.known(GOOD) is None
    assert len(place.threads.asked) == 1


def test_keys_come_and_go_with_the_file(place: Place, said: list[str]) -> None:
    assert place.answer(OTHER) == "key_unknown"
    assert isinstance(place.answer(GOOD), Caller)
    add(place.file, "b", HASH.format("Q"), (), ())
    remove(place.file, "a")
    assert isinstance(place.answer(GOOD), Caller)
    place.clock.advance(LOOK_EVERY)
    assert place.keys.known(GOOD) is None
    assert place.answer(GOOD) == "key_unknown"
    assert place.answer(OTHER) == Caller("b")
    assert said == [f"{place.file}: read again, 1 keys"]


def test_a_file_that_changes_during_a_check_is_what_counts(place: Place) -> None:
    asking = place.ask(GOOD)
    remove(place.file, "a")
    place.clock.advance(LOOK_EVERY)
    assert place.keys.known(OTHER) is None
    place.threads.finish()
    place.threads.finish()
    assert result(asking) == "key_unknown"


def test_a_bad_file_changes_nothing_and_is_said_once(place: Place, said: list[str]) -> None:
    good = place.file.read_bytes()
    place.file.write_text("[keys.a]\nhash = 5\n")
    for _ in range(3):
        place.clock.advance(LOOK_EVERY)
        assert isinstance(place.answer(GOOD), Caller)
    fault = f"{place.file}:2: keys.a.hash: expected a string, got 5"
    assert said == [f"the keys stay as they were, because their file cannot be used: {fault}"]
    place.file.unlink()
    place.clock.advance(LOOK_EVERY)
    assert isinstance(place.answer(GOOD), Caller)
    assert said[1].endswith("cannot be read: No such file or directory")
    place.file.write_bytes(good)
    place.clock.advance(LOOK_EVERY)
    assert isinstance(place.answer(GOOD), Caller)
    assert len(said) == 3


def test_it_is_looked_at_once_a_second(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(module, "signature", lambda path: looks.append(path))
    for _ in range(40):
        place.clock.advance(LOOK_EVERY / 4)
        place.keys.known(GOOD)
    assert len(looks) == 10


def test_a_file_that_cannot_be_used_at_the_start_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Keys(str(tmp_path / "none"), Threads())


def test_what_is_remembered_has_bounds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 1)
    monkeypatch.setattr(module, "MOST_UNKNOWN", 2)
    add(place.file, "b", HASH.format("Q"), (), ())
    place.clock.advance(LOOK_EVERY)
    place.answer(GOOD)
    place.answer(OTHER)
    assert place.keys.known(GOOD) is None
    assert place.keys.known(OTHER) == Caller("b")
    for number in range(5):
        place.answer(new_key("a", bytes([number]) * 32).encode())
    assert len(place.keys._unknown) == 2


# With real threads


@pytest_twisted.ensureDeferred
async def test_in_the_threads_of_the_reactor(tmp_path: Path) -> None:
    key = new_key("core-gameplay", os.urandom(32))
    add(tmp_path / "k", "core-gameplay", hashed(key.encode()), ("service",), ())
    keys = keys_from(reactor, str(tmp_path / "k"))
    assert await keys.check(key.encode()) == Caller("core-gameplay", ("service",))
    with pytest.raises(CredentialsRefusedError):
        await keys.check(key[:-2].encode() + b"AA")
    with pytest.raises(CredentialsRefusedError) as caught:
        await keys.check(NOBODY)
    assert caught.value.fields == ((b"www-authenticate", b'Bearer realm="tta", error="invalid_token"'),)
    assert not isinstance(caught.value, CheckingBusyError)
