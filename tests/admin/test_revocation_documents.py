from __future__ import annotations

import time

import pytest
import pytest_twisted

from tests.admin.revoking import DAY, at, serving, unsigned
from tests.admin.test_services import problem
from ttagw.admin.revocation_documents import LONGEST, MOST_TOKEN
from ttagw.auth.claims import LONGEST_ID


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({}, [""]),
        ([], [""]),
        ({"jti": "a", "user": "b"}, ["user"]),
        ({"jti": "a", "key": "b", "token": unsigned({"jti": "c"})}, ["key", "token"]),
        ({"jti": "a", "more": 1}, ["more"]),
        ({"jti": ""}, ["jti"]),
        ({"jti": 7}, ["jti"]),
        ({"jti": "a" * (LONGEST_ID + 1)}, ["jti"]),
        ({"jti": "a\nb"}, ["jti"]),
        ({"user": "a b"}, ["user"]),
        ({"user": "é"}, ["user"]),
        ({"key": "a b"}, ["key"]),
        ({"user": "u", "expires": 2e9}, ["expires"]),
        ({"key": "u", "expires": 2e9, "before": "2020-01-01T00:00:00Z"}, ["expires", "before"]),
        ({"jti": "a", "before": "2020-01-01T00:00:00Z"}, ["before"]),
        ({"token": unsigned({"jti": "c"}), "expires": 2e9}, ["expires"]),
        ({"jti": "a", "expires": "tomorrow"}, ["expires"]),
        ({"jti": "a", "expires": "2027-13-01T00:00:00Z"}, ["expires"]),
        ({"jti": "a", "expires": "2027-01-01T00:00:00"}, ["expires"]),
        ({"jti": "a", "expires": True}, ["expires"]),
        ({"jti": "a", "expires": -5}, ["expires"]),
        ({"jti": "a", "expires": time.time() - 31}, ["expires"]),
        ({"jti": "a", "expires": time.time() + LONGEST + DAY}, ["expires"]),
        ({"jti": "a", "expires": 10**400}, ["expires"]),
        ({"user": "u", "before": 1e9}, ["before"]),
        ({"user": "u", "before": at(DAY)}, ["before"]),
        ({"user": "u", "before": at(-31 * DAY)}, ["before"]),
        ({"token": "nonsense"}, ["token"]),
        ({"token": "a.b.c"}, ["token"]),
        ({"token": "a.!.c"}, ["token"]),
        ({"token": unsigned([1])}, ["token"]),
        ({"token": unsigned({"sub": "u"})}, ["token"]),
        ({"token": unsigned({"jti": 7})}, ["token"]),
        ({"token": unsigned({"jti": ""})}, ["token"]),
        ({"token": unsigned({"jti": "c", "exp": 1000})}, ["token"]),
        ({"token": "x" * (MOST_TOKEN + 1)}, ["token"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_used_names_the_field(document: object, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask("POST", document)
        assert problem(answer) == (400, "invalid_document")
        assert [each["field"] for each in answer.json["errors"]] == fields
        assert served.revocations.counts() == {"jti": 0, "user": 0, "key": 0}


@pytest_twisted.ensureDeferred
async def test_what_is_no_document_is_refused() -> None:
    async with serving() as served:
        assert problem(await served.ask("POST", body=b"{")) == (400, "invalid_document")
        as_text = {"content-type": "text/plain"}
        assert problem(await served.ask("POST", {"jti": "a"}, fields=as_text)) == (415, "unsupported_media_type")
        assert problem(await served.ask("POST", body=b"x" * 70_000)) == (413, "body_too_large")
        assert problem(await served.ask("PUT", {"jti": "a"})) == (405, "method_not_allowed")
        fields = [each["field"] for each in (await served.ask("DELETE", {"jti": "a", "expires": 1})).json["errors"]]
        assert fields == ["expires"]
        assert problem(await served.ask("DELETE", {"jti": "a", "user": "b"})) == (400, "invalid_document")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("?kind=user", ["id"]),
        ("?id=u", ["kind"]),
        ("?kind=user&kind=user&id=u", ["kind"]),
        ("?kind=token&id=u", ["kind"]),
        ("?kind=user&id=a%20b", ["id"]),
        ("?kind=user&id=", ["id"]),
        ("?kind=user&id=u&more=1", ["more"]),
        ("?more=", ["more", "kind", "id"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_question_that_cannot_be_answered_names_the_field(query: str, fields: list[str]) -> None:
    async with serving() as served:
        answer = await served.ask("GET", query=query)
        assert problem(answer) == (400, "invalid_document")
        assert [each["field"] for each in answer.json["errors"]] == fields


@pytest_twisted.ensureDeferred
async def test_every_id_that_a_token_may_have_can_be_revoked() -> None:
    async with serving() as served:
        assert (await served.ask("POST", {"jti": "a" * LONGEST_ID})).status == 201
