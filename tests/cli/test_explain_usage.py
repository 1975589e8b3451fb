"""`ttagw explain`: what it is asked, how it says it, and what it does not say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.explained import STRANGER, Place, token
from ttagw.auth import keyfile

OWN = "GET /api/v1/players/7"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_token_can_come_from_a_file_or_from_standard_input(place: Place) -> None:
    (place.folder / "token").write_text(token() + "\n")
    assert place.run(OWN, "--token-file", str(place.folder / "token")).exit_code == 0
    assert place.run(OWN, "--token-file", "-", given=token() + "\n").exit_code == 0


def test_the_service_is_told_of_the_client_and_the_host(place: Place) -> None:
    place.file.write_text('[gateway]\ntrusted_proxies = ["10.0.0.0/8"]\n' + place.file.read_text())
    found = place.explain(
        "GET /sessions", "--client", "10.0.0.1", "--host", "play.example", "--header", "X-Forwarded-For: 192.0.2.9"
    )
    assert found.row("request", "client") == ("192.0.2.9", "")
    assert found.row("service gets", "x-forwarded-for") == ("192.0.2.9, 10.0.0.1", "")
    assert found.row("service gets", "x-forwarded-host") == ("play.example", "")
    assert place.explain("GET http://h.example/sessions").row("request", "host") == ("h.example", "")


def test_client_fields_that_only_the_gateway_sets_do_not_arrive(place: Place) -> None:
    found = place.explain("GET /sessions", "--header", "X-User-ID: admin", "--header", "X-Other: 1")
    assert found.rows("service gets", "x-user-id") == []
    assert found.row("service gets", "x-other") == ("1", "")


def test_what_a_terminal_would_obey_is_not_printed(place: Place) -> None:
    found = place.explain(OWN, "--token", token(sub="\x1b[31mred\n", iss="x" * 5000))
    assert found.row("token", "subject") == ("?[31mred?", "")
    assert len(found.row("token", "issuer")[0]) < 250


def test_columns_stand_one_below_the_other(place: Place) -> None:
    rows = place.explain(OWN, "--token", token()).text.splitlines()[:-1]
    parts = [row for row in rows if row[0] != " "]
    assert [row.split("  ")[0] for row in parts] == [
        "request",
        "route",
        "token",
        "identity",
        "requirement",
        "service gets",
        "service",
    ]
    assert len({len(row) - len(row[14:].lstrip()) for row in rows}) == 1
    assert "\x1b" not in "".join(rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["GET"], "this command expects a method and a target"),
        ([OWN, "--header", "a"], "--header expects a name and a value"),
        ([OWN, "--token", "a b"], "expected one token or key"),
        ([OWN, "--token", ""], "expected one token or key"),
        ([OWN, "--token", "aé"], "expected one token or key"),
        ([OWN, "--token", "abc", "--token-file", "-"], "expected either --token or --token-file, got both"),
        ([OWN, "--token-file", "eyJ.secret.sig"], "cannot be read: No such file or directory"),
        ([OWN, "--client", "somewhere"], "--client expects an address"),
        ([OWN, "--host", "é"], "--host expects a host"),
    ],
)
def test_wrong_usage(place: Place, arguments: list[str], says: str) -> None:
    result = place.run(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "secret" not in result.stderr
    assert result.stdout == ""


def test_files_that_cannot_be_used(place: Place) -> None:
    (place.folder / "keys.toml").write_text("[keys.a]\nhash = 1\n")
    result = place.run(OWN)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "keys.toml:2: keys.a.hash" in result.stderr
    place.file.write_text("[http]\nmax_uri = 0\n")
    result = place.run(OWN)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{place.file}:2: http.max_uri: ")


def test_the_help_says_what_is_better(place: Place) -> None:
    text = " ".join(place.run(OWN, "--help").stdout.split())
    assert "It stays in the history of the shell: --token-file is better." in text


def test_nothing_of_a_token_is_printed(place: Place) -> None:
    place.more = "[auth]\nforward_token = true\n"
    text = place.file.read_text().replace("[[auth.issuers]]", "[auth]\nforward_token = true\n[[auth.issuers]]", 1)
    place.file.write_text(text)
    for made in (token(), token(STRANGER), token(exp=1), place.api_key, keyfile.new_key("x", b"x" * 32)):
        for request in (
            OWN,
            "GET /sessions",
            "GET /clinic",
            "GET /api/v1/x",
            f"GET /api/v1/{made}?access_token={made}",
        ):
            for more in ((), ("--json",)):
                result = place.run(request, "--token", made, *more)
                assert made not in result.output
                assert made[-30:] not in result.output
    found = place.explain("GET /sessions", "--token", token())
    assert found.row("service gets", "authorization") == ("(not shown)", "")


def test_as_a_process_of_its_own(place: Place) -> None:
    command = [str(Path(sys.executable).with_name("ttagw")), "explain", str(place.file)]
    done = subprocess.run(
        [*command, OWN, "--token-file", "-"], input=token(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "forwarded to player-experience /v1/players/7"
    done = subprocess.run([*command, OWN, "--json"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["outcome"]["status"] == 401
    assert subprocess.run([*command, "GET"], capture_output=True, timeout=60).returncode == 2
