"""`ttagw routes`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ttagw.cli import main

TEXT = """
[services.a]
instances = ["http://h"]
[services.b]
instances = ["http://h"]
[[routes]]
name = "player"
path = "/players/{id}/*"
methods = ["GET"]
service = "a"
auth = "none"
rewrite = "/v1/{id}/*"
timeout = "90s"
[[routes]]
name = "player-2"
path = "/players/{id}/*"
headers = { "X-API-Version" = "2" }
hosts = ["play.example", "*.example"]
split = { a = 95, b = 5 }
auth = "none"
max_body = "1MiB"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ttagw.toml"
    path.write_text(TEXT)
    return path


def match(file: Path, request: str, *headers: str) -> Result:
    more = [part for header in headers for part in ("--header", header)]
    return CliRunner().invoke(main, ["routes", str(file), "--match", request, *more])


def test_the_table_has_all_routes(file: Path) -> None:
    result = CliRunner().invoke(main, ["routes", str(file)])
    assert result.exit_code == 0
    head, *rows = [line.split("  ") for line in result.stdout.splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in (head, *rows)] == [
        ["name", "hosts", "methods", "path", "service", "service path", "timeout", "max body", "auth"],
        ["player", "any", "GET", "/players/{id}/*", "a", "/v1/{id}/*", "90s", "10MiB", "none"],
        [
            "player-2",
            "play.example *.example",
            "any",
            "/players/{id}/* (X-API-Version: 2)",
            "a=95 b=5",
            "same",
            "-",
            "1MiB",
            "none",
        ],
    ]


def test_columns_stand_one_below_the_other(file: Path) -> None:
    lines = CliRunner().invoke(main, ["routes", str(file)]).stdout.splitlines()
    assert len({line.index("none") for line in lines[1:]} | {lines[0].index("auth")}) == 1


def test_which_route_answers_and_why(file: Path) -> None:
    result = match(file, "GET /players/7/games?x=1")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        'the route "player" answers',
        "  path          /players/{id}/*",
        "  params        id=7",
        "  rest          /games",
        "  service       a",
        "  service path  /v1/7/games?x=1",
        "why:",
        "  player-2: passed over: only with x-api-version: 2",
        "  player: answers",
    ]


def test_host_and_header_pick_another(file: Path) -> None:
    result = match(file, "POST http://play.example:8000/players/7", "X-Api-Version: 2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == 'the route "player-2" answers'
    assert "  service path  /players/7" in lines
    assert "  service       a=95 b=5" in lines
    assert not any(line.startswith("  rest") for line in lines)


def test_a_route_without_params(file: Path) -> None:
    file.write_text(TEXT.replace("{id}/*", "all"))
    assert match(file, "GET /players/all").stdout.splitlines()[:4] == [
        'the route "player" answers',
        "  path          /players/all",
        "  service       a",
        "  service path  /v1/all",
    ]


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ("GET /", "the gateway answers 404: no route matches"),
        ("POST /players/7", "the gateway answers 405: the path is there, but only for GET, HEAD"),
        ("GET /players//7", "the gateway answers 400: empty segment"),
        ("GET /players/%2F", "the gateway answers 400: encoded slash"),
        ("GET http://a@b/", "the gateway answers 400: user info"),
        ("GET *", "the gateway answers 400: only OPTIONS may ask for *"),
        ("OPTIONS *", "the gateway answers 204: OPTIONS * is about the server as a whole"),
        ("CONNECT h:443", "the gateway answers 405: this is a gateway, not a forward proxy"),
    ],
)
def test_what_the_gateway_answers_itself(file: Path, request_: str, line: str) -> None:
    result = match(file, request_)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == line


def test_routes_see_what_the_gateway_lets_through(file: Path) -> None:
    assert match(file, "GET /", "x_y: 1").stdout == (
        "the gateway answers 400: underscore in the name of the field x_y\n"
    )
    file.write_text(TEXT.replace('"X-API-Version"', '"x-forwarded-prefix"'))
    assert match(file, "GET http://play.example/players/7", "x-forwarded-prefix: 2").stdout.startswith(
        'the route "player" '
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--match", "GET"],
        ["--match", "GET a b"],
        ["--match", "GET /é"],
        ["--header", "a: b"],
        ["--match", "GET /", "--header", "a"],
        ["--match", "GET /", "--header", "a : b"],
        ["--match", "GET /", "--header", ": b"],
        ["--match", "GET /", "--header", "a: ✓"],
    ],
)
def test_what_cannot_be_asked(file: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["routes", str(file), *arguments])
    assert result.exit_code == 2
    assert "Error: --" in result.stderr


def test_a_file_with_faults(tmp_path: Path) -> None:
    file = tmp_path / "ttagw.toml"
    file.write_text("[http]\nmax_uri = 0\n")
    result = match(file, "GET /")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"{file}:2: http.max_uri: expected a size of one byte or more, got 0\n"
