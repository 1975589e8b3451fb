from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.test_keyfile import HASH, NAMES, OTHERS
from ttagw.auth.keyfile import KeyFileError, add, load, remove
from ttagw.auth.keyrotation import NEVER, end_of, remove_old, rotate

NOW = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=UTC)
NEW = HASH.replace("lyrbup", "AAAAAA")
NEWER = HASH.replace("lyrbup", "BBBBBB")
HOUR = 3600.0


# When


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("90d", datetime(2027, 2, 24, 12, tzinfo=UTC)),
        ("1s", datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC)),
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T02:00:00+02:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("never", NEVER),
    ],
)
def test_the_end_of_a_key_as_people_say_it(text: str, end: datetime) -> None:
    assert end_of(text, NOW) == end


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a duration"),
        ("soon", "expected a duration"),
        ("90", "expected a duration"),
        ("-1d", "expected a duration"),
        ("101y", "expected a duration"),
        ("2027-13-01", "expected a duration"),
        ("2027-01-01T00:00:00", "expected a time with its offset"),
        ("2026-11-26", "is over already"),
        ("2026-11-26T13:00:00+02:00", "is over already"),
        ("0s", "is over already"),
    ],
)
def test_what_is_no_end_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        end_of(text, NOW)


@given(st.text(max_size=30))
def test_whatever_is_said_is_an_end_to_come_or_an_error(text: str) -> None:
    try:
        end = end_of(text, NOW)
    except ValueError:
        return
    assert end > NOW - timedelta(seconds=1)


# Another key


def test_both_keys_are_there_and_everything_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    until = rotate(file, "first", NEW, HOUR, NOW)
    assert until == datetime(2026, 11, 26, 13, tzinfo=UTC)
    previous = f'\n[keys.first.previous]\nhash = "{HASH}"\nexpires = 2026-11-26T13:00:00Z\n'
    assert file.read_text() == OTHERS.replace(f"hash = '{HASH}'\n", f"hash = '{NEW}'\n{previous}")
    entry = load(file)["first"]
    assert entry.previous is not None
    assert (entry.hash, entry.previous.hash, entry.previous.expires) == (NEW, HASH, until)
    remove_old(file, "first")
    assert file.read_text() == OTHERS.replace(f"hash = '{HASH}'\n", f"hash = '{NEW}'\n")
    assert load(file)["first"].previous is None


def test_roles_and_permissions_go_on(tmp_path: Path) -> None:
    file = tmp_path / "k"
    add(file, "a.b", HASH, ("service", "x"), ("register:a",))
    rotate(file, "a.b", NEW, HOUR, NOW)
    assert file.read_text() == (
        f'[keys."a.b"]\nhash = "{NEW}"\nroles = ["service", "x"]\npermissions = ["register:a"]\n'
        f'\n[keys."a.b".previous]\nhash = "{HASH}"\nexpires = 2026-11-26T13:00:00Z\n'
    )


def test_there_are_never_more_than_two(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    rotate(file, "first", NEW, HOUR, NOW)
    both = file.read_text()
    with pytest.raises(KeyFileError, match="an old key of first is good until 2026-11-26T13:00:00Z; remove that one"):
        rotate(file, "first", NEWER, HOUR, NOW + timedelta(minutes=59))
    assert file.read_text() == both
    rotate(file, "first", NEWER, HOUR, NOW + timedelta(hours=1))
    entry = load(file)["first"]
    assert entry.previous is not None
    assert (entry.hash, entry.previous.hash) == (NEWER, NEW)
    assert HASH not in file.read_text().partition("[keys.first.previous]")[2].partition("[")[0]


def test_an_old_key_is_not_good_for_longer_than_it_would_have_been(tmp_path: Path) -> None:
    file = tmp_path / "k"
    add(file, "a", HASH, (), (), NOW + timedelta(minutes=10))
    with pytest.raises(KeyFileError, match="the key of a has an end; say when the new one ends"):
        rotate(file, "a", NEW, HOUR, NOW)
    assert rotate(file, "a", NEW, HOUR, NOW, NEVER) == datetime(2026, 11, 26, 12, 10, tzinfo=UTC)
    assert load(file)["a"].expires is None


@pytest.mark.parametrize("keep", [0.0, HOUR])
def test_one_that_is_over_is_not_kept(tmp_path: Path, keep: float) -> None:
    file = tmp_path / "k"
    add(file, "a", HASH, (), (), NOW - timedelta(seconds=1) if keep else None)
    assert rotate(file, "a", NEW, keep, NOW, NEVER) is None
    assert file.read_text() == f'[keys.a]\nhash = "{NEW}"\nroles = []\npermissions = []\n'


def test_the_end_of_the_new_key_takes_the_place_of_the_old_ones(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(
        f"[keys.a]\nexpires  =  2026-12-01T00:00:00Z  # by contract\nhash = '{HASH}'\n[keys.b]\nhash='{HASH}'\n"
    )
    rotate(file, "a", NEW, HOUR, NOW, datetime(2027, 1, 1, tzinfo=UTC))
    rotate(file, "b", NEW, HOUR, NOW, datetime(2027, 1, 2, tzinfo=UTC))
    previous = f'hash = "{HASH}"\nexpires = 2026-11-26T13:00:00Z\n'
    assert file.read_text() == (
        f"[keys.a]\nexpires  =  2027-01-01T00:00:00Z  # by contract\nhash = '{NEW}'\n\n[keys.a.previous]\n{previous}"
        f"[keys.b]\nhash='{NEW}'\nexpires = 2027-01-02T00:00:00Z\n\n[keys.b.previous]\n{previous}"
    )


def test_lines_that_end_as_on_windows_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_bytes(OTHERS.replace("\n", "\r\n").encode())
    rotate(file, "second.one", NEW, HOUR, NOW, datetime(2027, 1, 1, tzinfo=UTC))
    written = file.read_bytes()
    assert load(file)["second.one"].previous is not None
    assert written.count(b"\r\n") == written.count(b"\n")


def test_a_key_is_removed_with_the_one_before_it(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    add(file, "third", HASH, (), ())
    rotate(file, "third", NEW, HOUR, NOW)
    remove(file, "third")
    assert file.read_text() == OTHERS


@pytest.mark.parametrize(
    "text",
    [
        f"keys = {{a = {{hash = '{HASH}'}}}}\n",
        f"[keys]\na = {{hash = '{HASH}'}}\n",
        f"[keys]\na.hash = '{HASH}'\n",
        f"[keys.a]\nhash = '''\n{HASH}'''\n",
        f"[keys.a]\nhash = '{HASH}'\nprevious = {{hash = '{HASH}', expires = 2026-01-01T00:00:00Z}}\n",
    ],
)
def test_a_form_that_cannot_be_changed_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "k"
    file.write_text(text)
    with pytest.raises(KeyFileError, match="by hand"):
        rotate(file, "a", NEW, HOUR, NOW)
    assert file.read_text() == text


def test_who_is_not_there_cannot_be_changed(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    with pytest.raises(KeyFileError, match="there is no key of the name a"):
        rotate(file, "a", NEW, HOUR, NOW)
    with pytest.raises(KeyFileError, match="there is no key of the name a"):
        remove_old(file, "a")
    with pytest.raises(KeyFileError, match="there is no old key of the name first"):
        remove_old(file, "first")
    assert file.read_text() == OTHERS


@settings(max_examples=20, deadline=None)
@given(NAMES.filter(lambda name: name not in ("first", "second.one")), st.booleans(), st.floats(1.0, 1e8))
def test_what_was_rotated_can_be_undone_for_any_name(name: str, ends: bool, keep: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "k"
        file.write_text(OTHERS)
        add(file, name, HASH, ("service",), (), NOW + timedelta(days=1) if ends else None)
        once = file.read_text()
        rotate(file, name, NEW, keep, NOW, NOW + timedelta(days=1) if ends else None)
        remove_old(file, name)
        assert file.read_text() == once.replace(once[len(OTHERS) :], once[len(OTHERS) :].replace(HASH, NEW))
        remove(file, name)
        assert file.read_text() == OTHERS
