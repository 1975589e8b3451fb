"""What is open after the glass was broken: for how long, where, and through what ends of gateways and stores."""

from __future__ import annotations

import random
import time
from pathlib import Path
from threading import Thread

from tests.integration.kit.gateway import Gateway
from tests.integration.kit.glass import REASON, Ward, ask
from tests.integration.kit.operated import Operator
from tests.integration.kit.origin import Origin
from tests.integration.kit.pair import AGREED
from tests.integration.kit.raw import CutOffError
from tests.integration.kit.redis import Redis
from tests.integration.kit.waiting import until


def test_a_window_ends_and_needs_a_reason_again(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here, auth={"break_glass": {"lasts": "1s"}})
    with ward.gateway() as gateway:
        token = ward.therapist()
        assert ask(gateway, token, "perry", REASON).status == 200
        until(lambda: ask(gateway, token, "perry").status == 403, "the window is over", every=0.05)
        assert gateway.metric("ttagw_break_glass_open") == 0
        # The same reason may be true again, and is another record.
        assert ask(gateway, token, "perry", REASON).status == 200
        assert len(ward.records(gateway)) == 2
        assert gateway.failures() == []


def test_a_window_survives_a_restart(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    with ward.gateway() as gateway:
        token = ward.therapist()
        assert ask(gateway, token, "perry", REASON).status == 200
        gateway.restart()
        until(lambda: ask(gateway, token, "perry").status == 200, "the window is known again")
        (record,) = until(lambda: [each for each in ward.records(gateway) if each["uses"] >= 2], "both count")
        gateway.restart()
        assert ward.records(gateway)[0]["uses"] >= record["uses"]
        assert gateway.failures() == []


def test_what_is_broken_at_one_gateway_is_broken_at_the_other(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    with Redis(tmp_path / "redis") as redis:
        about = {"store": redis.url}
        with (
            ward.gateway(tmp_path / "a", name="a", **about) as one,
            ward.gateway(tmp_path / "b", name="b", **about) as other,
        ):
            token = ward.therapist()
            assert ask(other, token, "perry").status == 403
            assert ask(one, token, "perry", REASON).status == 200
            until(lambda: ask(other, token, "perry").status == 200, "the other knows", within=AGREED)
            # What was said there need not be recorded here.
            assert ask(other, token, "perry", REASON).status == 200
            (record,) = until(lambda: [each for each in ward.records(one) if each["uses"] == 3], "all uses count")
            assert record["gateway"] == "a"
            assert ward.records(other) == [record]
            assert one.failures() == other.failures() == []


def test_who_is_revoked_and_signs_in_again_has_to_give_a_reason_again(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    with ward.gateway() as gateway:
        assert ask(gateway, ward.therapist(iat=int(time.time()) - 5), "perry", REASON).status == 200
        assert Operator(gateway, ward.key).ask("POST", "/revocations", {"user": "thea"})[0] == 201
        token = ward.therapist(iat=int(time.time()) + 2)
        assert ask(gateway, token, "perry").status == 403
        assert ask(gateway, token, "perry", REASON).status == 200
        assert ask(gateway, token, "perry").status == 200
        assert len(ward.records(gateway)) == 2
        assert gateway.failures() == []


def test_one_caller_reaches_only_so_many_people_also_after_a_restart(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here, auth={"break_glass": {"most": 2}})
    with ward.gateway() as gateway:
        token = ward.therapist()
        assert [ask(gateway, token, person, REASON).status for person in ("paula", "perry")] == [200, 200]
        gateway.restart()
        until(lambda: ask(gateway, token, "perry").status == 200, "the windows are known again")
        refused = ask(gateway, token, "pippa", REASON)
        assert (refused.status, refused.reason) == (429, b"break_glass_limit")
        assert 0 < int(refused.value(b"retry-after")) <= 900
        assert service_here.seen(b"/players/pippa") == []
        assert gateway.failures() == []


# The store


def test_what_cannot_be_recorded_lets_nobody_in(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    with Redis(tmp_path / "redis") as redis, ward.gateway(store=redis.url) as gateway:
        until(lambda: gateway.metric("ttagw_store_up") == 1, "the store is there")
        token = ward.therapist()
        assert ask(gateway, token, "pippa", REASON).status == 200
        redis.kill()
        refused = ask(gateway, token, "perry", REASON)
        assert (refused.status, refused.reason) == (503, b"access_unknown")
        assert int(refused.value(b"retry-after")) >= 1
        # What is open stays open: it has been recorded.
        assert ask(gateway, token, "pippa").status == 200
        assert ask(gateway, token, "pippa", "There is more to say about it now.").status == 200
        assert service_here.seen(b"/players/perry") == []
        redis.start()
        until(lambda: ask(gateway, token, "perry", REASON).status == 200, "it is recorded now")
        assert gateway.metric("ttagw_break_glass_total", outcome="not_recorded") >= 1
        assert gateway.failures() == []


def test_a_store_that_keeps_nothing_is_not_enough(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    with ward.gateway(store="memory:") as gateway:
        refused = ask(gateway, ward.therapist(), "perry", REASON)
        assert (refused.status, refused.reason) == (503, b"access_unknown")
        assert gateway.failures() == []


class Asking(Thread):
    """Breaks one glass after the other until there is no answer, and knows who was let in."""

    def __init__(self, ward: Ward, gateway: Gateway, name: str) -> None:
        super().__init__(daemon=True)
        self._token = ward.therapist(name)
        self._gateway = gateway
        self._name = name
        self.let_in: dict[str, str] = {}
        self.wrong: list[int] = []

    def run(self) -> None:
        for number in range(10_000):
            person = f"{self._name}-{number}"
            try:
                answer = ask(self._gateway, self._token, person, REASON)
            except (OSError, CutOffError):
                return
            if answer.status != 200:
                self.wrong.append(answer.status)
            self.let_in[answer.id] = person


def test_after_a_kill_whatever_let_somebody_in_is_on_record_and_open(tmp_path: Path, service_here: Origin) -> None:
    ward = Ward(tmp_path, service_here)
    let_in: dict[str, str] = {}
    with ward.gateway() as gateway:
        for number in range(5):
            asking = [Asking(ward, gateway, f"thea-{number}-{one}") for one in range(2)]
            for each in asking:
                each.start()
            many = random.randrange(1, 12)
            until(lambda asking=asking, many=many: sum([len(each.let_in) for each in asking]) > many, "some are in")
            gateway.kill()
            for each in asking:
                each.join(20)
                assert each.wrong == []
                let_in |= each.let_in
            gateway.restart()
            found = {each["request_id"]: each["person"] for each in ward.records(gateway, "?limit=200")}
            assert let_in.items() <= found.items()
            token, person = asking[0]._token, next(iter(asking[0].let_in.values()))
            until(lambda token=token, person=person: ask(gateway, token, person).status == 200, "it is open still")
        assert gateway.failures() == []
