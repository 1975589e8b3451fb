"""Reaching somebody in an emergency: with a reason, for a while, never unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.integration.kit.gateway import Gateway
from tests.integration.kit.glass import REASON, Ward, ask, events, problem, told
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.raw import Answer, get, once
from tests.integration.kit.waiting import until

SECRETS = ("thea", "theo", "tilda", "paula", "perry", "pippa", "quinn", "heard of since", "Tuesday")
"""Ids and words that are nobody else's business."""


@pytest.fixture(scope="module")
def hook() -> Iterator[Origin]:
    """Receives alerts."""
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def ward(folder: Path, origin: Origin, hook: Origin) -> Ward:
    alerts = {"alerts": {"webhooks": [f"http://127.0.0.1:{hook.port}/hook"]}}
    return Ward(folder, origin, sections={"safety": alerts})


@pytest.fixture(scope="module")
def gateway(ward: Ward) -> Iterator[Gateway]:
    with ward.gateway() as running:
        yield running
        assert running.failures() == []
        nothing_personal(running)


def nothing_personal(gateway: Gateway) -> None:
    """Whatever it has written to a log is about nobody."""
    texts = [gateway.access, gateway.child.errors, gateway.child.output]
    found = [(text.name, word) for text in texts for word in SECRETS if word in text.read_text()]
    assert found == []
    told_ = gateway.admin("/metrics")[1].decode() + str(events(gateway))
    assert not [word for word in SECRETS if word in told_]


def test_who_cares_for_somebody_reaches_them_and_nobody_else(ward: Ward, gateway: Gateway) -> None:
    token = ward.therapist(patients=["paula"])
    assert ask(gateway, token, "paula").status == 200
    refused = ask(gateway, token, "perry")
    assert (refused.status, refused.reason) == (403, b"access_refused")


def test_with_a_reason_the_glass_is_broken_and_everybody_who_should_hears_of_it(
    ward: Ward, gateway: Gateway, origin: Origin, hook: Origin
) -> None:
    token = ward.therapist()
    answer = ask(gateway, token, "perry", REASON)
    assert answer.status == 200
    (request,) = origin.seen(b"/players/perry")
    assert request.all(b"x-break-glass-reason") == []
    # From now on without a reason, and for this person only.
    assert ask(gateway, token, "perry").status == 200
    assert ask(gateway, token, "perry", REASON).status == 200
    assert ask(gateway, token, "pippa").status == 403
    assert ask(gateway, ward.therapist("theo"), "perry").status == 403

    records = until(lambda: [each for each in ward.records(gateway) if each["uses"] == 3], "uses are counted")
    (record,) = records
    assert (record["caller"], record["person"], record["reason"]) == ("thea", "perry", REASON)
    assert (record["route"], record["request_id"], record["routes"]) == ("players", answer.id, {"players": 3})
    assert record["ends"] - record["time"] == 900.0
    assert record["time"] <= record["last_use"] < record["ends"]

    (event,) = [each for each in told(gateway, "break_glass") if each["instance"] == record["id"]]
    assert (event["severity"], event["reason"], event["service"]) == ("alert", "opened", "")
    sent = until(lambda: [each for each in hook.seen(b"/hook") if record["id"].encode() in each.body], "it is alerted")
    alert = json.loads(sent[0].body)
    assert (alert["kind"], alert["severity"], alert["instance"]) == ("break_glass", "alert", record["id"])
    assert not [word for word in SECRETS if word.encode() in sent[0].body]

    line = gateway.line(answer.id)
    assert (line["access"], line["record"]) == ("break_glass", record["id"])
    assert gateway.metric("ttagw_break_glass_uses_total") == 3
    assert gateway.metric("ttagw_break_glass_total", outcome="recorded") == 1
    assert gateway.metric("ttagw_break_glass_open") == 1


def test_a_new_reason_is_recorded_and_alerts_no_second_time(ward: Ward, gateway: Gateway, hook: Origin) -> None:
    token = ward.therapist("tilda")
    before = len(hook.seen(b"/hook"))
    for reason in (REASON, "Something else has come up since.", REASON):
        assert ask(gateway, token, "quinn", reason).status == 200
    records = [each for each in ward.records(gateway) if each["caller"] == "tilda"]
    assert [each["reason"] for each in records] == ["Something else has come up since.", REASON]
    assert ask(gateway, ward.therapist("tilda"), "ruben", "For somebody else it alerts.").status == 200
    until(lambda: len(hook.seen(b"/hook")) == before + 2, "both are alerted")
    severities = {each["instance"]: each["severity"] for each in told(gateway, "break_glass")}
    assert [severities[each["id"]] for each in records] == ["warn", "alert"]


def test_many_requests_at_once_make_one_record(ward: Ward, gateway: Gateway) -> None:
    token = ward.therapist("t-many")
    answers: list[Answer] = []
    asking = [Thread(target=lambda: answers.append(ask(gateway, token, "perry", REASON))) for _ in range(10)]
    for each in asking:
        each.start()
    for each in asking:
        each.join(20)
    assert [each.status for each in answers] == [200] * 10
    assert len([each for each in ward.records(gateway) if each["caller"] == "t-many"]) == 1


@pytest.mark.parametrize("role", ["patient", "admin", "researcher", "moderator", "service", "guest", "player"])
def test_who_may_not_is_refused_as_if_nothing_had_been_said(ward: Ward, gateway: Gateway, role: str) -> None:
    token = ward.issuer.token(f"u-{role}", role, mfa_verified=True)
    before = gateway.metric("ttagw_break_glass_total", outcome="refused")
    plain, with_reason, with_nonsense = (ask(gateway, token, "perry", *each) for each in ((), (REASON,), ("x",)))
    for each in (plain, with_reason, with_nonsense):
        assert (each.status, each.reason) == (403, b"access_refused")
        assert {**problem(each), "request_id": "", "instance": ""} == {
            **problem(plain),
            "request_id": "",
            "instance": "",
        }
    assert gateway.metric("ttagw_break_glass_total", outcome="refused") == before + 2
    assert told(gateway, "break_glass_refused")[-1]["reason"] == "role_missing"
    assert not [each for each in ward.records(gateway) if each["caller"] == f"u-{role}"]


def test_without_a_second_factor_it_says_so(ward: Ward, gateway: Gateway) -> None:
    token = ward.issuer.token("t-plain", "therapist")
    refused = ask(gateway, token, "perry", REASON)
    assert (refused.status, refused.reason, problem(refused)["missing"]) == (403, b"access_refused", "mfa")
    assert ask(gateway, token, "perry").reason == b"access_refused"
    # What was opened with a second factor is not open without it.
    assert ask(gateway, ward.therapist("t-both"), "perry", REASON).status == 200
    assert ask(gateway, ward.issuer.token("t-both", "therapist"), "perry").reason == b"access_refused"


@pytest.mark.parametrize("reasons", [("",), ("too short",), ("x" * 501,), (REASON, REASON), ("\xa0" * 20,)])
def test_a_reason_that_is_none_is_asked_for(ward: Ward, gateway: Gateway, reasons: tuple[str, ...]) -> None:
    refused = ask(gateway, ward.therapist("t-none"), "perry", *reasons)
    assert (refused.status, problem(refused)["code"]) == (400, "break_glass_reason")
    assert ask(gateway, ward.therapist("t-none"), "perry").status == 403


def test_the_list_is_for_reviewers_a_page_at_a_time_and_who_reads_it_is_noted(
    ward: Ward, gateway: Gateway, tmp_path: Path
) -> None:
    for person in ("a", "b", "c"):
        assert ask(gateway, ward.therapist("t-page"), f"page-{person}", REASON).status == 200
    operator = Operator(gateway, ward.key)
    everything = ward.records(gateway)
    assert [each["id"] for each in everything] == sorted([each["id"] for each in everything], reverse=True)
    status, first = operator.ask("GET", "/break-glass?limit=2")
    assert (status, first["records"], first["after"]) == (200, everything[:2], everything[1]["id"])
    status, second = operator.ask("GET", f"/break-glass?limit=200&after={first['after']}")
    assert (status, second) == (200, {"records": everything[2:], "after": None})
    for query in ("limit=0", "limit=201", "limit=x", "limit=1&limit=2", "after=x", "page=2"):
        assert operator.ask("GET", f"/break-glass?{query}")[0] == 400, query
    assert Operator(gateway, "").ask("GET", "/break-glass")[0] == 401
    assert operator.ask("POST", "/break-glass", {})[0] == 405
    said = [each for each in gateway.said() if "reads" in each.get("message", "")]
    assert said, gateway.said()[-5:]
    assert "operator" in said[-1]["message"]


def test_a_key_that_may_not_review_sees_nothing(ward: Ward, gateway: Gateway) -> None:
    status, problem_ = Operator(gateway, ward.other).ask("GET", "/break-glass")
    assert (status, problem_["code"]) == (403, "not_allowed")


def test_nothing_about_anybody_is_in_a_log(ward: Ward, gateway: Gateway) -> None:
    assert ask(gateway, ward.therapist(), "perry", REASON).status == 200
    gateway.line(lambda line: line.get("access") == "break_glass")
    nothing_personal(gateway)


# Routes that only try


def test_where_refusals_are_only_tried_out_a_reason_is_recorded_all_the_same(
    tmp_path: Path, service_here: Origin
) -> None:
    ward = Ward(tmp_path, service_here, route={"dry_run": True})
    with ward.gateway() as gateway:
        shadow = ask(gateway, ward.therapist(), "perry")
        assert shadow.status == 200
        assert gateway.line(shadow.id)["dry_run"] == "owner_only"
        answer = ask(gateway, ward.therapist(), "perry", REASON)
        line = gateway.line(answer.id)
        (record,) = ward.records(gateway)
        assert (line["access"], line["record"], record["request_id"]) == ("break_glass", record["id"], answer.id)
        assert "dry_run" not in line
        nonsense = ask(gateway, ward.therapist("theo"), "perry", "short")
        assert (nonsense.status, gateway.line(nonsense.id)["dry_run"]) == (200, "break_glass_reason")


def test_a_role_can_be_allowed_to_and_another_one_not(tmp_path: Path, service_here: Origin) -> None:
    roles = {"therapist": {"break_glass": False}, "moderator": {"break_glass": True}}
    ward = Ward(tmp_path, service_here, auth={"roles": roles})
    with ward.gateway() as gateway:
        assert ask(gateway, ward.therapist(), "perry", REASON).reason == b"access_refused"
        moderator = ward.issuer.token("m", "moderator", mfa_verified=True)
        assert ask(gateway, moderator, "perry", REASON).status == 200


def test_the_header_never_goes_on(ward: Ward, gateway: Gateway, origin: Origin) -> None:
    token = ward.therapist(patients=["rosa"])
    field = f"X-Break-Glass-Reason: {REASON}"
    assert once(gateway.port, get("/players/rosa", f"Authorization: Bearer {token}", field)).status == 200
    (request,) = origin.seen(b"/players/rosa")
    assert not [name for name, _ in request.fields if b"glass" in name.lower()]
    assert not [each for each in ward.records(gateway) if each["person"] == "rosa"]
