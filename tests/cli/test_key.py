"""`ttagw key`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ttagw.auth.argon2 import matches
from ttagw.auth.keyfile import load, name_in
from ttagw.cli import main


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["key", *map(str, words)])


def test_a_new_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "api-keys.toml"
    result = run("new", "core-gameplay", "--file", file)
    assert result.exit_code == 0
    key = result.stdout.strip()
    assert name_in(key.encode()) == "core-gameplay"
    assert result.stderr == f"This is the key of core-gameplay. It cannot be shown again; only its hash is in {file}.\n"
    entry = load(file)["core-gameplay"]
    assert (entry.roles, entry.permissions) == (("service",), ())
    assert matches(key.encode(), entry.hash)
    assert key not in file.read_text()


def test_roles_and_permissions_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "k"
    assert (
        run("new", "ops", "--file", file, "--role", "admin", "--role", "x", "--permission", "register:a").exit_code == 0
    )
    assert (load(file)["ops"].roles, load(file)["ops"].permissions) == (("admin", "x"), ("register:a",))


def test_the_keys_are_listed_without_their_hashes(tmp_path: Path) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    run("new", "b", "--file", file, "--permission", "register:a")
    with file.open("a") as end:
        end.write("expires = 2027-01-01T00:00:00Z\n")
    result = run("list", "--file", file)
    assert result.stdout == (
        "a  roles: service\nb  roles: service  permissions: register:a  expires: 2027-01-01T00:00:00+00:00\n"
    )


def test_a_key_can_be_removed(tmp_path: Path) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    result = run("remove", "a", "--file", file)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"The key of a is no longer in {file}.\n")
    assert load(file) == {}


def test_a_key_can_have_an_end(tmp_path: Path) -> None:
    file = tmp_path / "k"
    before = datetime.now(UTC).replace(microsecond=0)
    assert run("new", "a", "--file", file, "--expires", "90d").exit_code == 0
    assert run("new", "b", "--file", file, "--expires", "2099-01-01").exit_code == 0
    assert run("new", "c", "--file", file, "--expires", "never").exit_code == 0
    entries = load(file)
    ends = entries["a"].expires
    assert ends is not None
    assert timedelta(0) <= ends - before - timedelta(days=90) < timedelta(minutes=5)
    assert (entries["b"].expires, entries["c"].expires) == (datetime(2099, 1, 1, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("new", "b", "--expires", "soon"), "expected a duration such as"),
        (("new", "b", "--expires", "2020-01-01"), '"2020-01-01" is over already'),
        (("rotate", "a", "--expires", "2030-01-01T00:00:00"), "expected a time with its offset"),
        (("rotate", "a", "--keep", "long"), "expected a duration such as"),
    ],
)
def test_an_end_that_is_none_changes_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    before = file.read_text()
    result = run(*words, "--file", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert file.read_text() == before


def test_a_key_can_be_rotated_and_the_old_one_ended(tmp_path: Path) -> None:
    file = tmp_path / "k"
    old = run("new", "a", "--file", file, "--permission", "register:a").stdout.strip().encode()
    result = run("rotate", "a", "--file", file, "--keep", "1h", "--expires", "2099-01-01")
    new = result.stdout.strip().encode()
    entry = load(file)["a"]
    assert entry.previous is not None
    assert name_in(new) == name_in(old) == "a"
    assert new != old
    assert matches(new, entry.hash)
    assert matches(old, entry.previous.hash)
    assert entry.permissions == ("register:a",)
    until = entry.previous.expires
    assert result.stderr.endswith(f"The old key is good until {until.replace(tzinfo=None).isoformat()}Z.\n")
    assert run("list", "--file", file).stdout == (
        "a  roles: service  permissions: register:a  expires: 2099-01-01T00:00:00+00:00  "
        f"old key expires: {until.isoformat()}\n"
    )
    ended = run("remove-old", "a", "--file", file)
    assert (ended.exit_code, ended.stderr) == (0, f"The old key of a is no longer in {file}.\n")
    assert load(file)["a"].previous is None
    assert "there is no old key of the name a" in run("remove-old", "a", "--file", file).stderr
    file.write_text(file.read_text().replace("2099", "2020"))
    assert run("list", "--file", file).stdout.endswith("expires: 2020-01-01T00:00:00+00:00 (over)\n")


def test_a_rotation_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    assert run("rotate", "a", "--file", file, "--keep", "0s").stderr.endswith("The old key is no longer good.\n")
    assert load(file)["a"].previous is None
    run("rotate", "a", "--file", file)
    again = run("rotate", "a", "--file", file)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "an old key of a is good until" in again.stderr


def test_what_goes_wrong_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    again = run("new", "a", "--file", file)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"Error: {file}: there is a key of the name a already; remove it first, or rotate it\n"
    assert "expected a name" in run("new", "a b", "--file", file).stderr
    assert "there is no key of the name b" in run("remove", "b", "--file", file).stderr
    assert "No such file" in run("list", "--file", tmp_path / "none").stderr
