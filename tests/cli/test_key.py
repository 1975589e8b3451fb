"""`ttagw key`."""

from __future__ import annotations

from pathlib import Path

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


def test_what_goes_wrong_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "k"
    run("new", "a", "--file", file)
    again = run("new", "a", "--file", file)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"Error: {file}: there is a key of the name a already; remove it first, or rotate it\n"
    assert "expected a name" in run("new", "a b", "--file", file).stderr
    assert "there is no key of the name b" in run("remove", "b", "--file", file).stderr
    assert "No such file" in run("list", "--file", tmp_path / "none").stderr
