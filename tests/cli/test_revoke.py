"""`ttagw revoke`, with an admin side that answers what the test says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ttagw.cli import asking, main

KEY = "ttagw_ops_" + "k" * 43


class Admin(HTTPServer):
    """Answers `status` and `body`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 201
        self.body = b"{}"
        self.asked: list[tuple[str, str, Any, str]] = []
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answers(self, status: int, document: object) -> None:
        self.status = status
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()


class Answering(BaseHTTPRequestHandler):
    server: Admin

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.command, self.path, body, self.headers["authorization"]))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_DELETE = do_POST

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def admin() -> Iterator[Admin]:
    server = Admin()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def run(admin: Admin | str, *words: str | Path, key: str | None = KEY, stdin: str = "") -> Result:
    address = admin if isinstance(admin, str) else admin.address
    environment = {"TTAGW_KEY": key} if key is not None else {"TTAGW_KEY": None}
    return CliRunner().invoke(main, ["revoke", "--admin", address, *map(str, words)], input=stdin, env=environment)


@pytest.mark.parametrize(
    ("words", "document", "answer", "line"),
    [
        (["--jti", "a"], {"jti": "a"}, {"kind": "jti", "end": "E"}, "Revoked: this token; kept until E.\n"),
        (
            ["--user", "u"],
            {"user": "u"},
            {"kind": "user", "before": "B", "end": "E"},
            "Revoked: all tokens of this user that were issued until B; kept until E.\n",
        ),
        (
            ["--key", "k"],
            {"key": "k"},
            {"kind": "key", "end": None},
            "Revoked: this key; kept until it is lifted.\n",
        ),
        (
            ["--jti", "a", "--expires", "2027-01-01T00:00:00Z"],
            {"jti": "a", "expires": "2027-01-01T00:00:00Z"},
            {"kind": "jti", "end": "E"},
            "Revoked: this token; kept until E.\n",
        ),
        (
            ["--jti", "a", "--expires", "1800000000"],
            {"jti": "a", "expires": 1800000000},
            {"kind": "jti", "end": "E"},
            "Revoked: this token; kept until E.\n",
        ),
    ],
)
def test_what_is_asked_and_what_is_said(
    admin: Admin, words: list[str], document: object, answer: object, line: str
) -> None:
    admin.answers(201, answer)
    result = run(admin, *words)
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    assert admin.asked == [("POST", "/revocations", document, f"Bearer {KEY}")]


def test_it_is_lifted(admin: Admin) -> None:
    admin.answers(200, {"kind": "user", "lifted": True})
    result = run(admin, "--user", "u", "--lift")
    assert (result.exit_code, result.stdout) == (0, "Lifted: this user is accepted again.\n")
    assert admin.asked == [("DELETE", "/revocations", {"user": "u"}, f"Bearer {KEY}")]


def test_tokens_and_keys_come_from_files_or_from_stdin(admin: Admin, tmp_path: Path) -> None:
    admin.answers(201, {"kind": "jti", "end": "E"})
    (tmp_path / "token").write_text("a.b.c\n")
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert run(admin, "--token-file", tmp_path / "token", "--key-file", tmp_path / "key", key=None).exit_code == 0
    assert run(admin, "--token-file", "-", stdin="a.b.c\n").exit_code == 0
    assert run(admin, "--token-file", tmp_path / "token", "--key-file", "-", key=None, stdin=KEY).exit_code == 0
    # The file wins over the variable.
    assert run(admin, "--jti", "a.b.c", "--key-file", tmp_path / "key", key="another").exit_code == 0
    assert [asked[2:] for asked in admin.asked[:3]] == [({"token": "a.b.c"}, f"Bearer {KEY}")] * 3
    assert admin.asked[3][3] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "document", "line"),
    [
        (401, {"detail": "It is."}, "The gateway does not know this key (401). It is."),
        (403, {"detail": "It is."}, "This key does not belong to an admin (403). It is."),
        (404, {"detail": "It is."}, "There was nothing to lift (404). It is."),
        (429, {"detail": "It is."}, "Too many keys that are not known came from here (429). It is."),
        (503, {"detail": "Nothing was changed."}, "It was not stored (503). Nothing was changed."),
        (
            400,
            {"detail": "It is.", "errors": [{"field": "jti", "message": "too long"}]},
            "The gateway could not use what was asked (400). It is. jti: too long",
        ),
        (500, b"<html>", "It was not done (500). It gave no reason."),
        (302, b"[]", "It was not done (302). It gave no reason."),
    ],
)
def test_what_was_not_done_is_a_sentence(admin: Admin, status: int, document: object, line: str) -> None:
    admin.answers(status, document)
    result = run(admin, "--jti", "a")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {line}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "One of --jti"),
        (["--jti", "a", "--user", "b"], "not more than one"),
        (["--user", "a", "--expires", "5"], "--expires goes with --jti"),
        (["--jti", "a", "--lift", "--expires", "5"], "--expires goes with --jti"),
        (["--token-file", "-", "--key-file", "-"], "Only one of"),
        (["--jti", "a", "--admin", "localhost:8001"], "an address such as"),
        (["--jti", "a", "--admin", "http://h:x"], "an address such as"),
        (["--jti", "a", "--admin", "http://h/path"], "an address such as"),
    ],
)
def test_what_makes_no_sense_is_not_asked(admin: Admin, words: list[str], sentence: str) -> None:
    result = run(admin, *words)
    assert (result.exit_code, admin.asked) == (2, [])
    assert sentence in result.stderr


def test_a_key_is_needed_and_has_the_form_of_one(admin: Admin, tmp_path: Path) -> None:
    assert run(admin, "--jti", "a", key=None).exit_code == 2
    assert "TTAGW_KEY" in run(admin, "--jti", "a", key=None).stderr
    for wrong in ("a b", "a\nb", "é"):
        result = run(admin, "--jti", "a", key=wrong)
        assert (result.exit_code, wrong in result.stderr) == (1, False)
    missing = run(admin, "--jti", "a", "--key-file", tmp_path / "none")
    assert (missing.exit_code, "No such file" in missing.stderr) == (1, True)
    assert admin.asked == []


def test_nobody_who_answers_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(asking, "TIMEOUT", 0.05)
        result = run(address, "--jti", "a")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "gave no answer in 0.05 s; whether it was done is not known" in result.stderr
    refused = run(address, "--jti", "a")
    assert refused.exit_code == 1
    assert "cannot be asked: Connection refused" in refused.stderr
    secure = run(address.replace("http:", "https:"), "--jti", "a")
    assert secure.exit_code == 1
    assert "cannot be asked" in secure.stderr


def test_what_speaks_no_http_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def babble() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail\r\n")

        thread = Thread(target=babble, daemon=True)
        thread.start()
        result = run(f"http://127.0.0.1:{listening.getsockname()[1]}", "--jti", "a")
        thread.join(10)
    assert result.exit_code == 1
    assert "no answer that makes sense" in result.stderr
