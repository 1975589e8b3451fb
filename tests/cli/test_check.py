"""`ttagw check`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from ttagw.cli import main

GOOD = '[services.a]\ninstances = ["http://h"]\n[[routes]]\nname = "r"\npath = "/"\nservice = "a"\nauth = "none"\n'


def test_a_good_file_is_one_calm_line(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text(GOOD)
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stdout == f"{file}: 2 listeners, 1 service, 1 route: good\n"
    assert result.stderr == ""


def test_the_admin_side_may_be_off(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text('[gateway]\nadmin = ""\n')
    assert CliRunner().invoke(main, ["check", str(file)]).stdout == f"{file}: 1 listener, 0 services, 0 routes: good\n"


def test_what_has_no_effect_is_a_notice(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text(GOOD.replace("[[routes]]", 'hash_key = "ip"\n[[routes]]', 1))
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stdout.endswith(": good\n")
    assert result.stderr == (
        f'notice: {file}:3: services.a.hash_key: has no effect: it is for balance = "hash", and balance is "p2c"\n'
    )


def test_all_faults_are_lines_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text("[http]\nmax_uri = 0\nmax_headers = 0\n")
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"{file}:2: http.max_uri: expected a size of one byte or more, got 0\n"
        f"{file}:3: http.max_headers: expected a number of 1 or more, got 0\n"
    )


def test_routes_and_endpoints_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text('[gateway]\nadmin = "tcp:8000"\n' + GOOD.replace('path = "/"', 'path = "//"'))
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["gateway.admin", "routes[0].path"]


def test_a_file_that_is_not_there() -> None:
    result = CliRunner().invoke(main, ["check", "/no/such/file.toml"])
    assert result.exit_code == 1
    assert result.stderr == "/no/such/file.toml: cannot be read: No such file or directory\n"
