"""Who cares for whom, asked of a service when a token does not say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jwt
import pytest

from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.glass import REASON, Ward, ask, problem
from tests.integration.kit.origin import Behaviour, Origin, closing, sending
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import Answer
from tests.integration.kit.waiting import until

PROOF = "a secret of the gateway and of its services"


def answering(status: bytes) -> Behaviour:
    return lambda talk, request: talk.reply(b"{}", status=status)


@pytest.fixture(scope="module")
def knows() -> Iterator[Origin]:
    """The service that knows who cares for whom."""
    with Origin() as running:
        running.on(b"/care/thea/yes", answering(b"204 No Content"))
        for number, name in ((403, b"refused"), (404, b"unknown"), (500, b"broken"), (302, b"moved"), (401, b"who")):
            running.on(b"/care/thea/" + name, answering(b"%d x" % number))
        running.on(b"/care/thea/garbage", sending(b"\x00\x01 nonsense\r\n\r\n"))
        running.on(b"/care/thea/closed", closing())
        running.on(b"/care/thea/slow", lambda talk, request: talk.wait_gone())
        running.on(b"/care/thea/endless", endless)
        yield running


def endless(talk: Any, request: Any) -> None:
    """Says yes, and then talks on for ever."""
    talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        talk.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.fixture(scope="module")
def ward(folder: Path, origin: Origin, knows: Origin) -> Ward:
    secret = folder / "proof"
    secret.write_text(PROOF)
    auth = {"care": {"service": "care", "timeout": "3s"}, "upstream": {"secret_file": str(secret)}}
    patient = {"upstream": {"response_timeout": "20s", "idle_timeout": "20s"}}
    return Ward(folder, origin, auth=auth, services={"care": service(knows.port)}, sections=patient)


@pytest.fixture(scope="module")
def gateway(ward: Ward) -> Iterator[Gateway]:
    with ward.gateway() as running:
        yield running
        assert running.failures() == []
        said = running.access.read_text() + running.child.errors.read_text()
        assert "thea" not in said


def test_a_yes_lets_in_and_is_remembered(ward: Ward, gateway: Gateway, knows: Origin) -> None:
    token = ward.therapist()
    first = ask(gateway, token, "yes")
    assert first.status == 200
    assert [ask(gateway, token, "yes").status for _ in range(5)] == [200] * 5
    (question,) = knows.seen(b"/care/thea/yes")
    assert (question.method, question.value(b"x-request-id")) == (b"GET", first.id.encode())
    assert question.all(b"authorization") == question.all(b"x-user-id") == []
    claims = jwt.decode(question.value(b"x-tta-assertion"), PROOF, algorithms=["HS256"], audience="care")
    assert (claims["iss"], claims["request_id"], "sub" in claims) == ("ttagw", first.id, False)
    assert gateway.line(first.id)["access"] == "care"


@pytest.mark.parametrize("person", ["refused", "unknown"])
def test_a_no_is_no_and_is_remembered(ward: Ward, gateway: Gateway, knows: Origin, person: str) -> None:
    token = ward.therapist()
    refused = [ask(gateway, token, person) for _ in range(3)]
    assert {(each.status, each.reason) for each in refused} == {(403, b"access_refused")}
    assert gateway.line(refused[0].id)["reason"] == "owner_only"
    assert len(knows.seen(f"/care/thea/{person}".encode())) == 1


@pytest.mark.parametrize("person", ["broken", "moved", "who", "garbage", "closed", "slow"])
def test_anything_else_is_no_answer_and_lets_nobody_in(
    ward: Ward, gateway: Gateway, origin: Origin, person: str
) -> None:
    refused = ask(gateway, ward.therapist(), person)
    assert (refused.status, problem(refused)["code"], refused.value(b"retry-after")) == (503, "access_unknown", b"1")
    assert gateway.line(refused.id)["reason"] == "care_unknown"
    assert origin.seen(f"/players/{person}".encode()) == []


def test_an_answer_that_never_ends_is_an_answer_and_is_cut(ward: Ward, gateway: Gateway, knows: Origin) -> None:
    assert ask(gateway, ward.therapist(), "endless").status == 200
    assert knows.talk_of(b"/care/thea/endless").gone.wait(10)


def test_ids_are_sent_as_one_part_of_a_path_each(ward: Ward, gateway: Gateway, knows: Origin) -> None:
    knows.on(b"/care/th%2Fea%3F%7Bperson%7D/", answering(b"200 OK"))
    token = ward.therapist("th/ea?{person}")
    assert ask(gateway, token, "a%3Bb%25c").status == 200
    assert [each.target for each in knows.seen(b"/care/th%2F")] == [b"/care/th%2Fea%3F%7Bperson%7D/a%3Bb%25c"]
    # Nobody is called like a way up.
    knows.on(b"/care/../", answering(b"200 OK"))
    assert ask(gateway, ward.therapist(".."), "anybody").status == 403
    assert knows.seen(b"/care/..") == []


def test_many_who_ask_the_same_are_one_question(ward: Ward, gateway: Gateway, knows: Origin) -> None:
    held = Event()
    knows.on(b"/care/thea/many", lambda talk, request: (held.wait(2.5), talk.reply(b""))[1])
    answers: list[Answer] = []
    token = ward.therapist()
    asking = [Thread(target=lambda: answers.append(ask(gateway, token, "many")), daemon=True) for _ in range(8)]
    for each in asking:
        each.start()
    until(lambda: gateway.metric("ttagw_requests_in_flight", route="players") == 8, "all of them wait", every=0.005)
    held.set()
    for each in asking:
        each.join(20)
    assert [each.status for each in answers] == [200] * 8
    assert len(knows.seen(b"/care/thea/many")) == 1


def test_the_glass_can_be_broken_while_nobody_can_be_asked(ward: Ward, gateway: Gateway) -> None:
    assert ask(gateway, ward.therapist(), "slow", REASON).status == 200
    assert ask(gateway, ward.therapist(), "refused", REASON).status == 200
    people = [each["person"] for each in ward.records(gateway)]
    assert people == ["refused", "slow"]
    # Who may not break it is told what they would be told without a reason.
    patient = ward.issuer.token("thea", mfa_verified=True)
    assert ask(gateway, patient, "broken", REASON).status == 503


def test_who_says_yes_is_not_taken_for_broken_glass(ward: Ward, gateway: Gateway) -> None:
    before = len(ward.records(gateway))
    assert ask(gateway, ward.therapist(), "yes", REASON).status == 200
    assert len(ward.records(gateway)) == before


@pytest.mark.parametrize("make", [lambda: service(free_port()), lambda: {"instances": []}])
def test_a_service_that_is_down_lets_nobody_in_until_it_is_back(
    tmp_path: Path, service_here: Origin, make: Callable[[], Any]
) -> None:
    ward = Ward(tmp_path, service_here, auth={"care": {"service": "care"}}, services={"care": make()})
    with ward.gateway() as gateway:
        refused = ask(gateway, ward.therapist(), "yes")
        assert (refused.status, gateway.line(refused.id)["reason"]) == (503, "care_unknown")
        # What needs no question goes on.
        assert ask(gateway, ward.therapist(), "thea").status == 200
        assert ask(gateway, ward.therapist(patients=["yes"]), "yes").status == 200
        assert gateway.failures() == []


def test_another_instance_is_asked_when_one_fails(tmp_path: Path, service_here: Origin) -> None:
    with Origin() as well:
        services = {"care": service(free_port(), well.port)}
        auth = {"care": {"service": "care", "path": "/may/{person}/by/{caller}", "cache": "0s"}}
        ward = Ward(tmp_path, service_here, auth=auth, services=services)
        with ward.gateway() as gateway:
            assert [ask(gateway, ward.therapist(), "yes").status for _ in range(6)] == [200] * 6
            assert {each.target for each in well.requests} == {b"/may/yes/by/thea"}
            assert len(well.requests) == 6
            assert gateway.failures() == []


def test_an_answer_is_good_for_so_long(tmp_path: Path, service_here: Origin) -> None:
    with Origin() as knows:
        auth = {"care": {"service": "care", "cache": "500ms"}}
        ward = Ward(tmp_path, service_here, auth=auth, services={"care": service(knows.port)})
        with ward.gateway() as gateway:
            assert ask(gateway, ward.therapist(), "yes").status == 200
            knows.on(b"/care/", answering(b"404 x"))
            until(lambda: ask(gateway, ward.therapist(), "yes").status == 403, "it is asked again", every=0.05)
            assert gateway.failures() == []
