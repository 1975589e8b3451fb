"""What is revoked at one gateway is refused by all, remembered or not, and stays so through every restart."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Thread

import pytest

from tests.integration.kit.gateway import Gateway
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.redis import Redis
from tests.integration.kit.revoking import (
    EVERYWHERE,
    People,
    TokenPace,
    asked,
    asking,
    lift,
    revoke,
    two_asking,
)
from tests.integration.kit.waiting import until

GOOD = (200, "")
REFUSED = (401, "token_refused")
KEY_REFUSED = (401, "credentials_refused")
BURST = 1000
CALLERS = 20
"""So many are revoked, by so many at once."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People.in_folder(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def pair(folder: Path, people: People, origin: Origin) -> Iterator[tuple[Operator, Operator]]:
    with Redis(folder / "redis") as redis, two_asking(folder, people, origin, redis.url, leeway="1s") as operators:
        yield operators


def soon(operator: Operator, credential: str, found: tuple[int, str]) -> None:
    until(lambda: asked(operator, credential) == found, f"it is answered {found}", within=EVERYWHERE)


def test_one_token_at_one_gateway_is_refused_by_the_other(people: People, pair: tuple[Operator, Operator]) -> None:
    one, other = pair
    token, kept = people.token("ann", "ann-1"), people.token("ann", "ann-2")
    for each in pair:
        assert asked(each, token) == asked(each, kept) == GOOD
    assert revoke(one, jti="ann-1", expires=int(time.time()) + 1800) == 201
    assert asked(one, token) == REFUSED
    soon(other, token, REFUSED)
    assert asked(one, kept) == asked(other, kept) == GOOD
    assert lift(other, jti="ann-1") == 200
    assert asked(other, token) == GOOD
    soon(one, token, GOOD)


def test_all_tokens_of_a_user_and_a_new_one_is_good(people: People, pair: tuple[Operator, Operator]) -> None:
    one, other = pair
    tokens = [people.token("bob") for _ in range(3)]
    another = people.token("bobby")
    for token in (*tokens, another):
        for each in pair:
            assert asked(each, token) == GOOD
    assert revoke(other, user="bob") == 201
    moment = time.time()
    for token in tokens:
        assert asked(other, token) == REFUSED
        soon(one, token, REFUSED)
    undated = people.undated("bob")
    assert asked(one, undated) == asked(other, undated) == REFUSED
    assert asked(one, people.undated("bobby")) == GOOD
    # Signing in again: `iat` is whole seconds.
    until(lambda: int(time.time()) > moment, "the next second")
    new = people.token("bob")
    for each in pair:
        assert asked(each, new) == asked(each, another) == GOOD


def test_a_key(people: People, pair: tuple[Operator, Operator]) -> None:
    one, other = pair
    for each in pair:
        assert asked(each, people.program.text) == GOOD
    assert revoke(one, key="program") == 201
    assert asked(one, people.program.text) == KEY_REFUSED
    soon(other, people.program.text, KEY_REFUSED)
    assert lift(one, key="program") == 200
    soon(other, people.program.text, GOOD)


def test_what_is_revoked_until_a_time_is_not_after_it(people: People, pair: tuple[Operator, Operator]) -> None:
    one, other = pair
    token = people.token("eve", "eve-1")
    ends = time.time() + 4.0
    assert revoke(one, jti="eve-1", expires=ends) == 201
    soon(other, token, REFUSED)
    for each in pair:
        until(lambda each=each: asked(each, token) == GOOD, "it has ended")  # type: ignore[misc]
        assert time.time() >= ends + 1.0


def test_a_thousand_at_once_keep_nobody_waiting(people: People, pair: tuple[Operator, Operator]) -> None:
    late: list[float] = []
    for tried in range(3):
        late.append(through_a_burst(people, pair, f"burst{tried}"))
        # The burst takes time of all processors; what would stall everybody is to look at everything for each.
        if late[-1] < 0.05:
            return
    raise AssertionError(f"requests took {late} s longer than normal")


def through_a_burst(people: People, pair: tuple[Operator, Operator], name: str) -> float:
    """Revoke many, all at one gateway; returns by how much longer requests took than normal, at either."""
    one, other = pair
    tokens = [people.token(f"{name}-{number}", f"{name}-{number}") for number in range(CALLERS)]
    for each in pair:
        assert [asked(each, token) for token in tokens] == [GOOD] * CALLERS
    before = [batches(each) for each in pair]
    statuses: list[int] = []
    calm = people.token("calm")
    with TokenPace(one.gateway.port, calm) as here, TokenPace(other.gateway.port, calm) as there:
        paces = (here, there)
        until(lambda: all(len(each.took) > 100 for each in paces), "requests run")
        normal = [len(each.took) for each in paces]
        threads = [Thread(target=burst, args=(one, name, first, statuses), daemon=True) for first in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for token in tokens:
            assert asked(one, token) == REFUSED
            soon(other, token, REFUSED)
    assert statuses == [201] * BURST
    for each, number in zip(pair, before, strict=True):
        assert 0 < batches(each) - number < BURST
        assert each.gateway.metric("ttagw_revocations_forgotten_total") >= CALLERS
    for pace in paces:
        assert (set(pace.statuses), pace.lost) == ({200}, 0)
    both = list(zip(paces, normal, strict=True))
    return max([median(pace.took[many:]) - median(pace.took[5:many]) for pace, many in both])


def batches(operator: Operator) -> float:
    return operator.gateway.metric("ttagw_revocations_batches_total")


def burst(operator: Operator, name: str, first: int, statuses: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", operator.gateway.admin_port, timeout=30)
    fields = {"Authorization": f"Bearer {operator._key}", "Content-Type": "application/json"}
    for number in range(first, BURST, CALLERS):
        connection.request("POST", "/revocations", json.dumps({"jti": f"{name}-{number}"}), fields)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()


# Restarts


def ended(gateway: Gateway) -> None:
    gateway.restart()


def killed(gateway: Gateway) -> None:
    gateway.kill()
    gateway.restart()


@pytest.mark.parametrize("end", [ended, killed], ids=lambda end: end.__name__)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_what_was_accepted_is_there_after_a_restart(
    tmp_path: Path, people: People, origin: Origin, kind: str, end: Callable[[Gateway], None]
) -> None:
    with Redis(tmp_path / "redis", saved=True) as redis:
        store = redis.url if kind == "redis" else f"sqlite:{tmp_path}/state.db"
        with asking(tmp_path, people, origin, store) as gateway:
            operator = Operator(gateway, people.admin)
            one, all_, kept = people.token("a", "a-1"), people.token("b"), people.token("c")
            assert [revoke(operator, jti="a-1"), revoke(operator, user="b"), revoke(operator, key="program")] == [
                201
            ] * 3
            assert [revoke(operator, user="c"), lift(operator, user="c")] == [201, 200]
            if kind == "redis":
                redis.kill()
                redis.start()
            end(gateway)
            # It is ready, so it knows.
            assert [asked(operator, each) for each in (one, all_, people.program.text, kept)] == [
                REFUSED,
                REFUSED,
                KEY_REFUSED,
                GOOD,
            ]
            assert gateway.failures() == []


def test_nothing_that_was_accepted_is_lost_whenever_it_is_killed(
    tmp_path: Path, people: People, origin: Origin
) -> None:
    with asking(tmp_path, people, origin, f"sqlite:{tmp_path}/state.db") as gateway:
        operator = Operator(gateway, people.admin)
        accepted: list[str] = []
        for round_ in range(3):
            thread = Thread(target=accept, args=(operator, f"r{round_}", accepted), daemon=True)
            enough = len(accepted) + 20
            thread.start()
            until(lambda enough=enough: len(accepted) >= enough, "some are accepted")  # type: ignore[misc]
            gateway.child.signal(signal.SIGKILL)
            thread.join(20)
            gateway.restart()
            for name in accepted:
                status, found = operator.ask("GET", f"/revocations?kind=jti&id={name}")
                assert (status, found["revoked"]) == (200, True)


def accept(operator: Operator, prefix: str, accepted: list[str]) -> None:
    for number in range(100_000):
        try:
            if revoke(operator, jti=f"{prefix}-{number}") == 201:
                accepted.append(f"{prefix}-{number}")
        except (OSError, http.client.HTTPException):
            return


# The command


def command(*words: str | Path, key: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("ttagw")
    environment = {name: value for name, value in os.environ.items() if name != "TTAGW_KEY"}
    if key:
        environment["TTAGW_KEY"] = key
    return subprocess.run(
        [program, "revoke", *map(str, words)],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_does_it_all(tmp_path: Path, people: People, pair: tuple[Operator, Operator]) -> None:
    one, other = pair
    admin = f"http://127.0.0.1:{one.gateway.admin_port}"
    key_file = tmp_path / "key"
    key_file.write_text(f"{people.admin.text}\n")
    by_id, by_user, by_token = people.token("k1", "k1-1"), people.token("k2"), people.token("k3", "k3-1")
    for each in (by_id, by_user, by_token):
        assert asked(other, each) == GOOD
    done = command("--jti", "k1-1", "--expires", int(time.time()) + 600, "--admin", admin, key=people.admin.text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Revoked: this token; kept until 20")
    done = command("--user", "k2", "--admin", admin, "--key-file", key_file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Revoked: all tokens of this user that were issued until 20")
    token_file = tmp_path / "token"
    token_file.write_text(by_token)
    done = command("--token-file", token_file, "--admin", admin, "--key-file", "-", stdin=people.admin.text)
    assert (done.returncode, done.stderr) == (0, "")
    for each in (by_id, by_user, by_token):
        assert asked(one, each) == REFUSED
        soon(other, each, REFUSED)
    done = command("--key", "program", "--admin", admin, key=people.admin.text)
    assert done.stdout == "Revoked: this key; kept until it is lifted.\n"
    soon(other, people.program.text, KEY_REFUSED)
    done = command("--key", "program", "--lift", "--admin", admin, key=people.admin.text)
    assert (done.returncode, done.stdout) == (0, "Lifted: this key is accepted again.\n")
    soon(other, people.program.text, GOOD)
    done = command("--key", "program", "--lift", "--admin", admin, key=people.admin.text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: There was nothing to lift (404).")
    done = command("--jti", "x", "--admin", admin, key=people.program.text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: This key does not belong to an admin (403).")
    for each in pair:
        said = each.gateway.child.errors.read_text() + each.gateway.access.read_text()
        assert "operator has revoked one jti" in said or each is other
        assert not any(text in said for text in ("k1-1", "k3-1", by_id, by_user, by_token, people.admin.text))
