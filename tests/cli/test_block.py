"""`ttagw block`, with an admin side that answers what the test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ttagw.cli import main

KEY = "ttagw_ops_" + "k" * 43


class Admin(HTTPServer):
    """Answers one thing after the other, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, Any, str]] = []
        super().__init__(("127.0.0.1", 0), Answering)


class Answering(BaseHTTPRequestHandler):
    server: Admin

    def _answer(self) -> None:
        size = int(self.headers["content-length"] or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.server.asked.append((self.command, self.path, body, self.headers["authorization"]))
        status, document = self.server.answers.pop(0)
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

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


def run(admin: Admin, *words: str) -> Result:
    address = f"http://127.0.0.1:{admin.server_address[1]}"
    return CliRunner().invoke(main, ["block", *words, "--admin", address], env={"TTAGW_KEY": KEY})


def test_each_command_explains_itself() -> None:
    for name in ("add", "lift", "list"):
        result = CliRunner().invoke(main, ["block", name, "-h"])
        assert result.exit_code == 0
        for option in ("--address", "--user", "--admin", "--key-file"):
            assert option in result.output


@pytest.mark.parametrize(
    ("words", "document", "answer", "line"),
    [
        (
            ["--address", "192.0.2.0/24", "--for", "2h", "--reason", "scraping"],
            {"address": "192.0.2.0/24", "for": "2h", "reason": "scraping"},
            {"address": "192.0.2.0/24", "end": "E"},
            "Blocked: 192.0.2.0/24, until E.\n",
        ),
        (["--user", "u"], {"user": "u"}, {"user": "u", "end": None}, "Blocked: this user, until it is lifted.\n"),
    ],
)
def test_what_is_added(admin: Admin, words: list[str], document: object, answer: object, line: str) -> None:
    admin.answers = [(201, answer)]
    result = run(admin, "add", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    assert admin.asked == [("POST", "/blocks", document, f"Bearer {KEY}")]


def test_what_is_lifted(admin: Admin) -> None:
    admin.answers = [(200, {"address": "2001:db8::/64", "lifted": True}), (200, {"user": "u", "lifted": True})]
    result = run(admin, "lift", "--address", "2001:db8::1")
    assert (result.exit_code, result.stdout) == (0, "Lifted: 2001:db8::/64 is not blocked any more.\n")
    assert run(admin, "lift", "--user", "u").stdout == "Lifted: this user is not blocked any more.\n"
    assert [each[:3] for each in admin.asked] == [
        ("DELETE", "/blocks", {"address": "2001:db8::1"}),
        ("DELETE", "/blocks", {"user": "u"}),
    ]


ONE = {"address": "192.0.2.1", "end": "E", "by": "threshold", "reason": "refusals"}
OTHER = {"user": "u", "end": None, "by": "operator", "reason": "ticket-1"}


def test_all_of_them_are_listed(admin: Admin) -> None:
    admin.answers = [(200, {"blocks": [ONE], "after": "address/192.0.2.1"}), (200, {"blocks": [OTHER], "after": None})]
    result = run(admin, "list")
    assert result.stdout.splitlines() == [
        "address 192.0.2.1  until E  threshold  refusals",
        "user u  until it is lifted  operator  ticket-1",
    ]
    assert [each[1] for each in admin.asked] == ["/blocks?limit=200", "/blocks?limit=200&after=address%2F192.0.2.1"]
    admin.answers = [(200, {"blocks": [], "after": None})]
    assert run(admin, "list").stdout == "Nobody is blocked.\n"


def test_one_is_asked_about(admin: Admin) -> None:
    admin.answers = [(200, {"blocks": [OTHER]}), (200, {"blocks": [], "listed": "deny"})]
    assert run(admin, "list", "--user", "u").stdout.startswith("user u  until")
    result = run(admin, "list", "--address", "192.0.2.1")
    assert result.stdout == "The configuration says: deny.\nNot blocked.\n"
    assert [each[1] for each in admin.asked] == ["/blocks?user=u", "/blocks?address=192.0.2.1"]


def test_what_was_not_done_is_a_sentence(admin: Admin) -> None:
    fault = {"detail": "It is.", "errors": [{"field": "address", "message": "this overlaps"}]}
    for words in (("add", "--address", "10.0.0.1"), ("lift", "--user", "u"), ("list",)):
        admin.answers = [(400, fault)]
        result = run(admin, *words)
        assert (result.exit_code, result.stdout) == (1, "")
        line = "Error: The gateway could not use what was asked (400). It is. address: this overlaps\n"
        assert result.stderr == line


@pytest.mark.parametrize(
    "words",
    [["add"], ["lift"], ["add", "--user", "u", "--address", "192.0.2.1"], ["list", "--user", "u", "--address", "a"]],
)
def test_what_makes_no_sense_is_not_asked(admin: Admin, words: list[str]) -> None:
    result = run(admin, *words)
    assert (result.exit_code, admin.asked) == (2, [])
    assert "One of --address and --user is needed, and not both." in result.stderr
