from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttagw.auth import keyfile
from ttagw.auth.keyfile import LONGEST_KEY, KeyFileError, add, load, name_in, new_key, remove
from ttagw.config import ConfigError

HASH = "$argon2id$v=19$m=19456,t=2,p=1$lyrbupMPiMTJcoGSpGjx3g$Z48zWCl2KTPFTKv978HFDVFUDvSgnxHyqHD88Sn116Q"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)


def faults(path: Path) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [(fault.line, fault.key, fault.message) for fault in caught.value.faults]


# The text of a key


@given(NAMES, st.binary(min_size=32, max_size=32))
def test_a_key_says_its_name_whatever_is_in_either(name: str, secret: bytes) -> None:
    key = new_key(name, secret).encode()
    assert name_in(key) == name
    assert len(key) <= LONGEST_KEY
    assert key.startswith(b"ttagw_")


@given(st.binary(max_size=200))
def test_anything_may_be_presented(key: bytes) -> None:
    assert name_in(key) == "" or name_in(b"ttagw_" + key) != ""


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 65, "é", 'a"b', "a\n"])
def test_what_is_no_name_gets_no_key(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        new_key(name, bytes(32))


@pytest.mark.parametrize("key", [b"", b"ttagw_a", b"ttagw__" + b"x" * 43, b"x" * 60, b"ttagw_a_" + b"x" * 42 + b"="])
def test_what_is_no_key_has_no_name(key: bytes) -> None:
    assert name_in(key) == ""


# The file


def test_all_that_can_be_said_about_a_key(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(
        f'[keys."a.b:c"]\nhash = "{HASH}"\nroles = ["service"]\npermissions = ["register:x"]\n'
        "expires = 2027-01-01T00:00:00Z\n"
    )
    entry = load(file)["a.b:c"]
    assert (entry.hash, entry.roles, entry.permissions) == (HASH, ("service",), ("register:x",))
    assert entry.expires is not None
    assert entry.expires.isoformat() == "2027-01-01T00:00:00+00:00"


def test_a_file_without_keys_is_one(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("# nobody yet\n")
    assert load(tmp_path / "k") == {}


PHC = "expected an Argon2id hash in PHC form, as `ttagw key new` makes it"
BOUNDS = "expected an Argon2id hash with m of 8 p to 262144, and p of 16 or less"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[keys.a]\nroles = []\n", (1, "keys.a.hash", "must be given")),
        ("[keys.a]\nhash = 'secret'\n", (2, "keys.a.hash", PHC)),
        (f"[keys.a]\nhash = '{HASH.replace('argon2id', 'argon2i')}'\n", (2, "keys.a.hash", PHC)),
        (f"[keys.a]\nhash = '{HASH[:-2]}'\n", (2, "keys.a.hash", PHC)),
        (f"[keys.a]\nhash = '{HASH.replace('19456', '9999999')}'\n", (2, "keys.a.hash", BOUNDS)),
        (f"[keys.a]\nhash = '{HASH.replace('p=1', 'p=17')}'\n", (2, "keys.a.hash", BOUNDS)),
        (f"[keys.a]\nhash = '{HASH.replace('m=19456', 'm=7')}'\n", (2, "keys.a.hash", BOUNDS)),
        (f"[keys.a]\nhash = '{HASH}'\nrole = 'x'\n", (3, "keys.a.role", "there is no such key here")),
        (
            f"[keys.a]\nhash = '{HASH}'\nexpires = 2027-01-01T00:00:00\n",
            (3, "keys.a.expires", "expected a time with its offset, such as 2027-01-01T00:00:00Z"),
        ),
        (
            f"[keys.a]\nhash = '{HASH}'\nexpires = 'soon'\n",
            (3, "keys.a.expires", 'expected a date with a time, got "soon"'),
        ),
        (
            f"[keys.'a b']\nhash = '{HASH}'\n",
            (1, 'keys."a b"', 'expected a name of up to 64 letters, digits, ".", "_", ":" and "-", got "a b"'),
        ),
        (
            f"[keys.a]\nhash = '{HASH}'\n[keys.a.previous]\nhash = '{HASH}'\n",
            (3, "keys.a.previous.expires", "must be given"),
        ),
        (
            f"[keys.a]\nhash = '{HASH}'\n[keys.a.previous]\nhash = 'x'\nexpires = 2027-01-01T00:00:00Z\n",
            (4, "keys.a.previous.hash", PHC),
        ),
        (
            f"[keys.a]\nhash = '{HASH}'\n[keys.a.previous]\nhash = '{HASH}'\nexpires = 2027-01-01\n",
            (5, "keys.a.previous.expires", "expected a date with a time, got 2027-01-01"),
        ),
        ("[keys\n", (1, "", "not TOML: Expected ']' at the end of a table declaration")),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, fault: tuple[int, str, str]) -> None:
    (tmp_path / "k").write_text(text)
    assert faults(tmp_path / "k") == [fault]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert faults(tmp_path / "k") == [(0, "", "cannot be read: No such file or directory")]
    os.mkfifo(tmp_path / "pipe")
    assert faults(tmp_path / "pipe") == [(0, "", "not a file")]
    (tmp_path / "big").write_bytes(b"#" * (keyfile.MOST_BYTES + 1))
    assert faults(tmp_path / "big") == [(0, "", "more than 1 MiB")]


# Changes

OTHERS = f"""# Who may what.
[keys.first]   # the first
hash = '{HASH}'

# Of the night shift:
[keys."second.one"]
hash = "{HASH}" # by hand
roles = [
  "service",
]

# The end.
"""


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    add(tmp_path / "k", "a.b", HASH, ("service",), ("register:a",))
    assert (tmp_path / "k").read_text() == (
        f'[keys."a.b"]\nhash = "{HASH}"\nroles = ["service"]\npermissions = ["register:a"]\n'
    )
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["k"]


def test_an_entry_is_added_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    file.chmod(0o640)
    (tmp_path / "link").symlink_to(file)
    add(tmp_path / "link", "third", HASH, (), ())
    assert file.read_text() == f'{OTHERS}\n[keys.third]\nhash = "{HASH}"\nroles = []\npermissions = []\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (tmp_path / "link").is_symlink()
    remove(file, "third")
    assert file.read_text() == OTHERS


def test_a_last_line_that_does_not_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("# nobody")
    add(tmp_path / "k", "a", HASH, (), ())
    assert (tmp_path / "k").read_text().startswith("# nobody\n\n[keys.a]\n")


def test_a_name_is_used_once(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(OTHERS)
    with pytest.raises(KeyFileError, match="there is a key of the name first already; remove it first, or rotate it"):
        add(tmp_path / "k", "first", HASH, (), ())
    assert (tmp_path / "k").read_text() == OTHERS


def test_an_entry_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(OTHERS)
    remove(file, "second.one")
    assert file.read_text() == OTHERS[: OTHERS.index('[keys."second')] + "\n# The end.\n"
    remove(file, "first")
    assert file.read_text() == "# Who may what.\n\n# Of the night shift:\n\n# The end.\n"
    with pytest.raises(KeyFileError, match="there is no key of the name first"):
        remove(file, "first")


def test_lines_that_end_as_on_windows_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "k"
    text = OTHERS.replace("\n", "\r\n").encode()
    file.write_bytes(text)
    remove(file, "first")
    assert b"[keys.first]" not in file.read_bytes()
    assert file.read_bytes().count(b"\r\n") == file.read_bytes().count(b"\n")


@pytest.mark.parametrize(
    "text",
    [f"keys = {{a = {{hash = '{HASH}'}}}}\n", f"[keys]\na = {{hash = '{HASH}'}}\n", f"keys.a.hash = '{HASH}'\n"],
)
def test_a_form_that_cannot_be_changed_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "k"
    file.write_text(text)
    with pytest.raises(KeyFileError, match="take it out by hand"):
        remove(file, "a")
    assert file.read_text() == text


def test_a_file_that_could_not_take_a_table_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(f"keys = {{a = {{hash = '{HASH}'}}}}\n")
    with pytest.raises(KeyFileError, match="only people can change"):
        add(file, "b", HASH, (), ())
    assert "[keys.b]" not in file.read_text()


def test_what_looks_like_a_table_in_a_text_is_none(tmp_path: Path) -> None:
    file = tmp_path / "k"
    text = f"[keys.a]\nhash = '{HASH}'\npermissions = ['''\n[keys.b]\n''']\n"
    file.write_text(text)
    with pytest.raises(ConfigError):
        remove(file, "b")
    assert file.read_text() == text


def test_a_file_with_faults_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("[keys.a]\n")
    with pytest.raises(ConfigError):
        add(tmp_path / "k", "b", HASH, (), ())
    with pytest.raises(ConfigError):
        remove(tmp_path / "none", "b")


def test_roles_and_permissions_have_a_form(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"roles\[0\]: expected a name"):
        add(tmp_path / "k", "b", HASH, ('"]\n',), ())
    with pytest.raises(KeyFileError, match=r"permissions\[1\]: expected a permission"):
        add(tmp_path / "k", "b", HASH, (), ("ok", ""))
    assert not (tmp_path / "k").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file or directory"):
        add(tmp_path / "no" / "k", "b", HASH, (), ())


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(KeyFileError, match="cannot be written: No space left on device"):
        add(tmp_path / "k", "b", HASH, (), ())


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "k").write_text(OTHERS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(KeyFileError, match="No space left on device"):
        add(tmp_path / "k", "b", HASH, (), ())
    assert (tmp_path / "k").read_text() == OTHERS
    assert [each.name for each in tmp_path.iterdir()] == ["k"]


@settings(max_examples=20, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.randoms())
def test_what_is_added_can_be_removed_in_any_order(names: list[str], chance: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "k"
        file.write_text(OTHERS)
        for name in names:
            if name not in ("first", "second.one"):
                add(file, name, HASH, ("service",), ())
        assert {*names} <= {*tomllib.loads(file.read_text())["keys"], "first", "second.one"}
        chance.shuffle(names)
        for name in names:
            if name not in ("first", "second.one"):
                remove(file, name)
        assert file.read_text() == OTHERS
