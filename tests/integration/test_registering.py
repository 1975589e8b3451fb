"""Instances come and go while the gateway runs, and who has registered is there again after any end (row 28)."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from tests.integration.kit.dns import NameServer
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.namespace import NAME_SERVER, isolated
from tests.integration.kit.operated import Key, Operator, facts, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.process import free_port
from tests.integration.kit.raw import get, once
from tests.integration.kit.redis import Redis
from tests.integration.kit.waiting import until

MEMORY = {"store": "memory:"}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def gateway(tmp_path: Path, key: Key) -> Iterator[Gateway]:
    services = {"s": service(), "other": service()}
    with Gateway(tmp_path, services, auth=key.section, gateway=MEMORY) as running:
        yield running
        assert running.failures() == []


@pytest.fixture
def operator(gateway: Gateway, key: Key) -> Operator:
    return Operator(gateway, key)


def ports(gateway: Gateway, asked: int = 8) -> set[int]:
    """Where requests get to."""
    answers = [once(gateway.port, get("/")) for _ in range(asked)]
    assert {each.status for each in answers} == {200}
    return {json.loads(each.body)["port"] for each in answers}


# Over the admin API


def test_who_registers_is_asked_and_who_leaves_is_not(gateway: Gateway, operator: Operator) -> None:
    with Origin() as first, Origin() as second:
        assert once(gateway.port, get("/")).reason == b"no_instance"
        assert operator.put("s", "one", first.port) == 201
        assert ports(gateway) == {first.port}
        assert operator.put("s", "two", second.port) == 201
        until(lambda: ports(gateway) == {first.port, second.port}, "both are asked")
        assert operator.put("s", "one", first.port) == 200
        assert operator.beat("s", "one") == 200
        assert operator.delete("s", "one") == 202
        assert ports(gateway) == {second.port}
        until(lambda: list(operator.instances()) == ["two"], "it is gone")
        assert operator.beat("s", "one") == 404
        assert operator.delete("s", "one") == 404
        # The same name may come back at another address, at once.
        assert operator.put("s", "two", first.port) == 200
        assert ports(gateway) == {first.port}


def test_what_is_under_way_at_an_instance_that_leaves_ends_well(gateway: Gateway, operator: Operator) -> None:
    with Origin() as origin:
        origin.on(b"/slow", lambda talk, request: (talk.origin.held.wait(20), talk.reply(b"done"))[1])
        assert operator.put("s", "one", origin.port) == 201
        answers: list[bytes] = []
        asking = Thread(target=lambda: answers.append(once(gateway.port, get("/slow")).body), daemon=True)
        asking.start()
        origin.talk_of(b"/slow")
        assert operator.delete("s", "one") == 202
        assert operator.service()["instances"][0]["state"] == "draining"
        assert once(gateway.port, get("/")).status == 503
        origin.held.set()
        asking.join(10)
        assert answers == [b"done"]
        until(lambda: operator.service()["instances"] == [], "it is gone")


def test_a_lease_that_is_renewed_holds_and_one_that_is_not_ends(gateway: Gateway, operator: Operator) -> None:
    with Origin() as origin:
        assert operator.put("s", "kept", origin.port, ttl="3s") == 201
        assert operator.put("s", "lost", origin.port, ttl="1s") == 201
        began = monotonic()

        def lost() -> bool:
            assert operator.beat("s", "kept") == 200
            return "lost" not in operator.instances()

        until(lost, "the lease is over", every=0.1)
        assert monotonic() - began >= 0.9
        assert operator.beat("s", "lost") == 404
        assert gateway.metric("ttagw_events_total", kind="instance_left", service="s") == 1
        until(lambda: monotonic() - began > 3.5 or operator.beat("s", "kept") != 200, "time passes", every=0.1)
        assert list(operator.instances()) == ["kept"]
        assert ports(gateway) == {origin.port}
        until(lambda: not operator.instances(), "without heartbeats it ends too")
        assert once(gateway.port, get("/")).reason == b"no_instance"


@pytest.mark.parametrize(
    ("where", "document", "status"),
    [
        ("s/instances/one", b"{", 400),
        ("s/instances/one", {"url": "http://127.0.0.1:1", "weight": 0}, 400),
        ("s/instances/one", {"url": "http://127.0.0.1:1", "colour": "red"}, 400),
        ("s/instances/one", {"url": "ftp://127.0.0.1:1"}, 400),
        ("s/instances/one", {"url": "http://127.0.0.1:1", "ttl": "0s"}, 400),
        ("s/instances/one", {"url": "http://127.0.0.1:1", "dependencies": ["nobody"]}, 400),
        ("s/instances/one", {"url": "http://127.0.0.1:1", "tags": ["x" * 70000]}, 413),
        ("s/instances/%20", {"url": "http://127.0.0.1:1"}, 400),
        ("nobody/instances/one", {"url": "http://127.0.0.1:1"}, 404),
        ("other/instances/one", {"url": "http://127.0.0.1:1"}, 409),
        ("fixed/instances/{fixed}", {"url": "http://127.0.0.1:1"}, 409),
    ],
)
def test_what_cannot_be_taken_changes_nothing(standing: Standing, where: str, document: object, status: int) -> None:
    before = standing.everything()
    found, problem = standing.operator.ask("PUT", f"/services/{where.format(fixed=standing.fixed)}", document)
    assert (found, problem["status"]) == (status, status)
    assert standing.everything() == before
    assert ports(standing.gateway, 3) == {standing.port}


def test_without_the_right_key_nothing_changes(standing: Standing) -> None:
    before = standing.everything()
    stranger = Operator(standing.gateway, "ttagw_operator_" + "x" * 43)
    nobody = Operator(standing.gateway, "")
    for each, status in ((stranger, 401), (nobody, 401)):
        assert each.put("s", "two", 1) == status
        assert each.delete("s", "one") == status
        assert each.beat("s", "one") == status
        assert each.force("s", "forced_open") == status
    assert standing.everything() == before


class Standing:
    """A gateway with one registered and one configured instance, for what must leave it as it is."""

    def __init__(self, gateway: Gateway, operator: Operator, port: int) -> None:
        self.gateway, self.operator, self.port = gateway, operator, port
        self.fixed = f"127.0.0.1:{port}"

    def everything(self) -> Any:
        """What may not change."""
        return [facts(self.operator, name) for name in ("s", "other", "fixed")]


@pytest.fixture(scope="module")
def standing(folder: Path, key: Key, origin: Origin) -> Iterator[Standing]:
    services = {"s": service(), "other": service(), "fixed": service(origin.port)}
    with Gateway(folder, services, auth=key.section, gateway=MEMORY) as running:
        operator = Operator(running, key)
        assert operator.put("s", "one", origin.port, ttl="1h") == 201
        yield Standing(running, operator, origin.port)
        assert running.failures() == []


# Row 28


class Registrant(Thread):
    """Registers and removes until there is no answer, and knows what it has been promised."""

    def __init__(self, operator: Operator, known: dict[str, int | None], random_: random.Random) -> None:
        super().__init__(daemon=True)
        self._operator = operator
        self._random = random_
        self.known = known
        """Weight by id as acknowledged; None: it is gone."""
        self.unsure: str = ""
        """The one about which nothing was answered."""
        self.done = 0
        self.wrong: list[tuple[str, int]] = []

    def run(self) -> None:
        while True:
            id_ = f"i{self._random.randrange(20)}"
            gone = self._random.random() < 0.3 and self.known.get(id_) is not None
            weight = self._random.randrange(1, 1000)
            self.unsure = id_
            try:
                put = {"weight": weight, "ttl": "1h"}
                status = self._operator.delete("s", id_) if gone else self._operator.put("s", id_, 9, **put)
            except (OSError, http.client.HTTPException):
                return
            if status not in (200, 201, 202):
                self.wrong.append((id_, status))
            self.known[id_] = None if gone else weight
            self.unsure = ""
            self.done += 1


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path, key: Key, kind: str) -> None:
    random_ = random.Random(kind)
    known: dict[str, int | None] = {}
    with Redis(tmp_path / "redis") as redis:
        store = redis.url if kind == "redis" else f"sqlite:{tmp_path}/state.db"
        with Gateway(tmp_path, {"s": service()}, auth=key.section, gateway={"store": store}) as gateway:
            operator = Operator(gateway, key)
            for _ in range(3):
                registrant = Registrant(operator, known, random_)
                registrant.start()
                many = random_.randrange(1, 40)
                until(lambda each=registrant, many=many: each.done > many, "some are registered")
                gateway.kill()
                registrant.join(20)
                assert not registrant.is_alive()
                assert registrant.wrong == []
                # Once more, somewhere on its way to being ready.
                gateway.spawn()
                ends = monotonic() + random_.uniform(0.2, 1.2)
                until(lambda ends=ends: monotonic() > ends, "its time has come")
                gateway.kill()
                gateway.restart()
                unsure = registrant.unsure
                wanted = {id_: weight for id_, weight in known.items() if weight is not None and id_ != unsure}

                def found(unsure: str = unsure) -> dict[str, int]:
                    return {id_: each["weight"] for id_, each in operator.instances().items() if id_ != unsure}

                # It says that it is ready only then.
                assert found() == wanted
                known.pop(unsure, None)
                if unsure in operator.instances():
                    known[unsure] = operator.instances()[unsure]["weight"]
                assert gateway.failures() == []
            assert len(known) > 5


# Sources


def instances(*places: str) -> str:
    """A file of instances."""
    return "instances = []\n" if not places else "".join([f'[[instances]]\nurl = "http://{each}"\n' for each in places])


def test_a_file_of_instances_is_followed_and_a_bad_one_changes_nothing(tmp_path: Path, key: Key) -> None:
    file = tmp_path / "instances.toml"
    with Origin() as first, Origin() as second:
        one, two = f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"
        file.write_text(instances(one))
        services = {"s": {**service(), "instances": [f"file:{file}"]}}
        with Gateway(tmp_path, services, auth=key.section, gateway=MEMORY) as gateway:
            operator = Operator(gateway, key)
            assert ports(gateway) == {first.port}
            file.write_text(instances(one, two))
            until(lambda: list(operator.instances()) == [one, two], "the second one is there")
            until(lambda: ports(gateway) == {first.port, second.port}, "both are asked")
            file.write_text(instances(two) + "[[instances]]\nurl = 7\n")
            until(lambda: gateway.metric("ttagw_events_total", kind="source_failed") == 1, "the fault is told")
            assert list(operator.instances()) == [one, two]
            file.write_text(instances(two))
            until(lambda: list(operator.instances()) == [two], "the first one is gone")
            assert ports(gateway) == {second.port}
            file.unlink()
            until(lambda: gateway.metric("ttagw_events_total", kind="source_failed") == 2, "that is told too")
            assert ports(gateway) == {second.port}
            file.write_text(instances())
            until(lambda: once(gateway.port, get("/")).reason == b"no_instance", "none is left")
            assert gateway.failures() == []


@isolated
def test_srv_records_are_followed_and_kept_without_a_name_server(folder: Path) -> None:
    name = "_game._tcp.up.test"
    with NameServer(NAME_SERVER, 53) as server, Origin() as first, Origin() as second:
        server.set("a.up.test", "127.0.0.1")
        server.services(name, (1, 1, first.port, "a.up.test"), (2, 1, free_port(), "a.up.test"), ttl=1)
        services = {"s": {**service(), "instances": [f"srv+http://{name}"]}}
        with Gateway(folder, services, gateway=MEMORY) as gateway:
            until(lambda: once(gateway.port, get("/")).status == 200, "the record is known")
            assert ports(gateway) == {first.port}
            server.services(name, (1, 1, second.port, "a.up.test"), ttl=1)
            until(lambda: ports(gateway) == {second.port}, "the other one is asked")
            server.code = 2
            until(lambda: gateway.metric("ttagw_events_total", kind="source_failed") == 1, "the failure is told")
            assert ports(gateway) == {second.port}
            server.code = 0
            server.services(name, (1, 1, first.port, "a.up.test"), (1, 1, second.port, "a.up.test"), ttl=1)
            until(lambda: ports(gateway) == {first.port, second.port}, "both are asked")
            assert gateway.failures() == []


def test_who_was_down_is_down_after_a_restart_with_redis_and_ready_means_that_all_is_known(
    tmp_path: Path, key: Key
) -> None:
    checked = {"instances": [], "health": {"path": "/health", "interval": "30s", "timeout": "20s"}}
    with Redis(tmp_path / "redis") as redis, Origin() as sick, Origin() as well:
        sick.on(b"/health", lambda talk, request: talk.reply(b"", status=b"503 Service Unavailable"))
        about = {"store": redis.url, "name": "g"}
        with Gateway(tmp_path, {"s": checked}, auth=key.section, gateway=about) as gateway:
            operator = Operator(gateway, key)
            assert operator.put("s", "sick", sick.port, ttl="1h") == 201
            assert operator.put("s", "well", well.port, ttl="1h") == 201
            until(lambda: operator.instances()["sick"]["state"] == "down", "it is down")
            sick.on(b"/health", lambda talk, request: talk.origin.held.wait(20))
            gateway.restart()
            found = operator.instances()
            assert {id_: each["health"]["up"] for id_, each in found.items()} == {"sick": False, "well": True}
            sick.held.set()
