"""Programs that show a key on the data path."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, Client, get, once
from tests.integration.kit.waiting import until
from ttagw.auth import keyfile
from ttagw.auth.argon2 import hashed
from ttagw.auth.keyrotation import remove_old, rotate
from ttagw.auth.refusals import MOST_REFUSALS

ROUTES = [
    route("/any/*", name="any", auth="optional"),
    route("/must/*", name="must", auth="required"),
    route("/service/*", name="service", auth="required", roles=["service"]),
    route("/run/*", name="run", auth="required", permissions=["run_reports"]),
    route("/nobody/*", name="nobody", auth="none"),
]


@dataclass
class Place:
    """A gateway with keys, and the folder of their file."""

    gateway: Gateway
    origin: Origin
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "api-keys.toml"

    def ask(self, path: str, key: str, *, field: str = "X-API-Key", source: str = "127.0.0.1") -> Answer:
        value = key if field == "X-API-Key" else f"Bearer {key}"
        with Client(self.gateway.port, source=source) as client:
            return client.ask(get(path, f"{field}: {value}"))

    def made(self, name: str, *, expires: datetime | None = None, permissions: tuple[str, ...] = ()) -> str:
        """A key that the gateway knows by now."""
        text = keyfile.new_key(name, os.urandom(32))
        keyfile.add(self.file, name, hashed(text.encode()), ("service",), permissions, expires)
        return text

    def known(self, key: str, source: str) -> str:
        """The same, once the gateway lets it in."""
        until(lambda: self.ask("/must", key, source=source).status == 200, "the key is known")
        return key

    def refusal(self, key: str, source: str) -> str:
        """Why it is refused, as the log has it."""
        answer = self.ask("/must", key, source=source)
        return "" if answer.status == 200 else str(self.gateway.line(answer.id)["reason"])

    def said(self) -> bytes:
        """Everything that the gateway has written down."""
        return self.gateway.access.read_bytes() + b"".join(
            [self.gateway.child.errors.read_bytes(), self.gateway.child.output.read_bytes()]
        )


@pytest.fixture(scope="module")
def place(folder: Path, origin: Origin) -> Iterator[Place]:
    key = make_key(folder)
    auth = {**key.section, "roles": {"patient": {"permissions": ["access_therapeutic_content"]}}}
    with Gateway(folder, {"s": service(origin.port)}, ROUTES, auth=auth) as running:
        yield Place(running, origin, folder)
        assert running.failures() == []


def told(answer: Answer) -> dict[str, str]:
    """The fields that the service got."""
    assert answer.status == 200
    return {name.lower(): value for name, value in json.loads(answer.body)["fields"]}


@pytest.mark.parametrize("field", ["X-API-Key", "Authorization"])
def test_the_service_is_told_who_it_is_and_not_by_which_key(place: Place, field: str) -> None:
    key = place.known(place.made(f"core.{field}", permissions=("run_reports", "a:b/c")), "127.0.1.1")
    fields = told(place.ask("/service", key, field=field, source="127.0.1.1"))
    assert (fields["x-user-id"], fields["x-user-role"]) == (f"core.{field}", "service")
    assert fields["x-user-permissions"] == "a:b/c,run_reports"
    assert "authorization" not in fields
    assert "x-api-key" not in fields
    assert place.ask("/run", key, field=field, source="127.0.1.1").status == 200
    for path in ("/any", "/must", "/nobody"):
        assert key not in str(told(place.ask(path, key, field=field, source="127.0.1.1")))


def test_what_is_missing_is_refused_and_no_key_is_written_down(place: Place) -> None:
    key = place.known(place.made("weak"), "127.0.2.1")
    unknown = keyfile.new_key("weak", os.urandom(32))
    nobody = keyfile.new_key("nobody-at-all", os.urandom(32))
    over = place.made("over", expires=datetime.now(UTC) + timedelta(seconds=1))
    answer = place.ask("/run", key, source="127.0.2.1")
    assert (answer.status, answer.reason) == (403, b"access_refused")
    assert b"run_reports" in answer.body
    for bad in (unknown, nobody, "nonsense"):
        answer = place.ask("/must", bad, source="127.0.2.2")
        assert (answer.status, answer.reason) == (401, b"credentials_refused")
        assert b'error="invalid_token"' in answer.value(b"www-authenticate")
        assert place.ask("/any", bad, source="127.0.2.2").status == 401
    until(lambda: place.refusal(over, "127.0.2.2") == "key_expired", "the time of the key is over")
    assert once(place.gateway.port, get("/must")).reason == b"credentials_required"
    both = once(place.gateway.port, get("/must", f"X-API-Key: {key}", f"Authorization: Bearer {key}"))
    assert (both.status, both.reason) == (400, b"credentials_unclear")
    place.gateway.line(both.id)
    written = place.said()
    for each in (key, unknown, nobody, over):
        assert each.encode() not in written
        assert each[-43:].encode() not in written
    seen = b"".join([bytes(talk.received) for talk in place.origin.talks])
    assert key[-43:].encode() not in seen


def test_both_keys_are_good_while_requests_go_on_and_the_old_one_ends(place: Place) -> None:
    source = "127.0.3.1"
    old = place.known(place.made("turning"), source)
    new = keyfile.new_key("turning", os.urandom(32))

    def statuses() -> tuple[int, int]:
        # A connection of its own: there are more rounds than one connection takes requests.
        with Client(place.gateway.port, source=source) as client:
            first, second = [client.ask(get("/must", f"X-API-Key: {key}")).status for key in (old, new)]
            return first, second

    end = rotate(place.file, "turning", hashed(new.encode()), 8.0, datetime.now(UTC))
    assert end is not None
    seen: list[tuple[int, int]] = []

    def over() -> bool:
        before = datetime.now(UTC)
        seen.append(statuses())
        # Whatever the machine does in between, one clock decides.
        assert seen[-1][0] == 200 or datetime.now(UTC) >= end
        assert seen[-1][0] == 401 or before < end
        return seen[-1][0] == 401

    until(over, "the old key is over")
    known = [status for _, status in seen].index(200)
    assert {status for _, status in seen[known:]} == {200}
    assert len(seen) - known > 5
    assert statuses()[0] == 401
    with Client(place.gateway.port, source=source) as client:
        assert told(client.ask(get("/must", f"X-API-Key: {new}")))["x-user-id"] == "turning"


def test_an_old_key_that_is_removed_is_refused_and_so_is_the_name(place: Place) -> None:
    source = "127.0.4.1"
    old = place.known(place.made("leaving"), source)
    new = keyfile.new_key("leaving", os.urandom(32))
    rotate(place.file, "leaving", hashed(new.encode()), 3600.0, datetime.now(UTC))
    place.known(new, source)
    assert place.ask("/must", old, source=source).status == 200
    remove_old(place.file, "leaving")
    until(lambda: place.ask("/must", old, source=source).status == 401, "the old key is gone")
    assert place.ask("/must", new, source=source).status == 200
    keyfile.remove(place.file, "leaving")
    until(lambda: place.ask("/must", new, source=source).status == 401, "the key is gone", within=10.0)


def test_an_address_with_too_many_unknown_keys_waits_and_disturbs_nobody(place: Place) -> None:
    fresh = place.made("fresh")
    bad, good = "127.0.5.1", place.known(place.made("steady"), "127.0.5.1")
    unknown = [keyfile.new_key("steady", os.urandom(32)) for _ in range(MOST_REFUSALS + 1)]
    assert {place.ask("/must", each, source=bad).status for each in unknown[:MOST_REFUSALS]} <= {401, 429}
    answer = place.ask("/must", unknown[-1], source=bad)
    assert (answer.status, answer.reason, answer.value(b"retry-after")) == (429, b"too_many_refusals", b"60")
    assert place.ask("/must", good, source=bad).status == 200
    assert place.ask("/must", fresh, source=bad).status == 429
    place.known(fresh, "127.0.5.2")
    assert place.ask("/must", fresh, source=bad).status == 200
    with Client(place.gateway.port, source=bad) as client:
        token = client.ask(get("/must", "Authorization: Bearer a.b.c"))
    assert (token.status, token.reason) == (401, b"token_refused")
    assert any("too many keys that are not known" in str(line) for line in place.gateway.said())


def test_a_key_of_the_data_path_changes_nothing_on_the_admin_side(place: Place) -> None:
    key = place.known(place.made("s-of-nothing"), "127.0.6.1")
    assert Operator(place.gateway, Key(place.file, key)).put("s", "a", place.origin.port) == 403
