"""The benchmark with the whole chain on: what the proxies are told, and what they have to show before they count."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import jwt_token
from benchmarks.__main__ import PARTS, options
from benchmarks.accuracy import POLICIES, TOGETHER, Accuracy
from benchmarks.chain_peers import (
    CHAIN_PEERS,
    HIGH,
    LOW_USER,
    envoy_chain,
    gateway_chain,
    haproxy_chain,
    verify_chain,
)
from benchmarks.gateways import HEAD, services
from benchmarks.load import CHAIN_ROW, Sample
from benchmarks.origin import Origin, start_origin
from benchmarks.overload import SHARES, Overload, policies
from benchmarks.peers import HERE, Peer, Place, envoy_binary
from benchmarks.process import NotReadyError
from benchmarks.results import Results
from benchmarks.run import standing
from benchmarks.store_faults import LIMITS, StoreFault
from benchmarks.table import render
from benchmarks.targets import targets
from benchmarks.traffic_costs import TrafficCosts
from benchmarks.traffic_costs import measure as measure_costs
from ttagw.config import Config
from ttagw.config.loader import load


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, 8000, 9000, 9001)


# What the proxies are told


def test_the_gateway_has_all_of_it_on(place: Place) -> None:
    config = load(gateway_chain(place)[-1])
    route = next(each for each in config.routes if each.name == "players")
    assert (route.auth, route.traffic_class, set(route.limits)) == ("required", "therapeutic", {"per-user", "per-ip"})
    assert {name: limit.key for name, limit in config.limits.items()} == {"per-user": ("user",), "per-ip": ("ip",)}
    assert len(config.services["player-experience"].instances) == 2
    assert "crisis" in config.classes
    assert "admission" in config.model_fields_set


def test_low_limits_are_the_only_difference(place: Place, tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    high = load(gateway_chain(place)[-1])
    low = load(gateway_chain(replace(place, folder=tmp_path / "low"), LOW_USER)[-1])
    assert low.limits["per-ip"] == high.limits["per-ip"]
    assert low.limits["per-user"].rate != high.limits["per-user"].rate
    assert [each.limits for each in low.routes] == [each.limits for each in high.routes]


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy")
@pytest.mark.parametrize("allowed", [HIGH, LOW_USER])
def test_haproxy_takes_its_configuration(place: Place, allowed: object) -> None:
    command = haproxy_chain(place, allowed)  # type: ignore[arg-type]
    done = subprocess.run(["haproxy", "-c", *command[2:]], capture_output=True, text=True, timeout=60)
    text = Path(command[-1]).read_text()
    assert (done.returncode, "<<" in text) == (0, False), done.stderr
    assert {"127.0.0.1:9000", "127.0.0.1:9001"} <= {*text.split()}


@pytest.mark.skipif(not envoy_binary(), reason="envoy")
def test_envoy_takes_its_configuration(place: Place) -> None:
    command = envoy_chain(place)
    done = subprocess.run([*command, "--mode", "validate"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text = Path(command[-1]).read_text()
    filters = json.loads(text)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    names = [each["name"].rpartition(".")[2] for each in filters["typed_config"]["http_filters"]]
    assert names == ["jwt_authn", "rbac", "local_ratelimit", "router"]


def gateway_file(folder: Path, told: str) -> Config:
    path = folder / "ttagw.toml"
    path.write_text(HEAD.format(name="bench", port=8000, admin=8001, store="memory:", folder=folder) + told)
    tomllib.loads(path.read_text())
    return load(path)


def test_what_the_gateway_is_told_for_accuracy_is_taken(tmp_path: Path) -> None:
    config = gateway_file(tmp_path, services("origin", [9000]) + POLICIES)
    assert {each.name: each.limits for each in config.routes} == {"each": ("each",), "hot": ("hot",)}
    assert [config.limits[name].burst for name in ("each", "hot")] == [50, 1000]


def test_what_the_gateway_is_told_for_overload_is_taken(tmp_path: Path) -> None:
    config = gateway_file(tmp_path, policies(9000, 64, '"per-key", "per-ip"') + LIMITS)
    assert {each.traffic_class for each in config.routes} == {"crisis", *SHARES}
    crisis = next(each for each in config.routes if each.name == "crisis")
    assert crisis.limits == ()
    assert config.services["work"].fallback == "help"


# What they have to show

installed = pytest.mark.skipif(not (shutil.which("haproxy") and shutil.which("nginx")), reason="haproxy and nginx")
CHAINED = next(each for each in CHAIN_PEERS if each.name == "haproxy")


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    tmp_path.chmod(0o755)
    started = start_origin(tmp_path)
    yield started
    started.running.stop()


def shown(peer: Peer, folder: Path, origin: Origin) -> None:
    with standing(peer, folder / "peer", origin.port, origin.second) as it:
        verify_chain(it, origin, jwt_token.many(4), jwt_token.bad())


@installed
def test_haproxy_does_all_that_it_is_measured_for(tmp_path: Path, origin: Origin) -> None:
    shown(CHAINED, tmp_path, origin)


@installed
@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("  http-request deny deny_status 403", "another role: answered with 200"),
        ("  server two", "of two instances 1 were asked"),
        ("  log global", "not in its log"),
    ],
)
def test_who_leaves_something_out_is_not_measured(
    tmp_path: Path, origin: Origin, missing: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.chain_peers.LOG_PATIENCE", 0.5)
    with pytest.raises(NotReadyError, match=complaint):
        shown(replace(CHAINED, command=partial(_without, missing)), tmp_path, origin)


def _without(missing: str, place: Place) -> list[str]:
    command = haproxy_chain(place)
    path = Path(command[-1])
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(missing)]
    assert len(kept) < len(lines)
    path.write_text("".join(kept))
    return command


@installed
@pytest.mark.parametrize("limit", ["user", "address"])
def test_who_has_no_such_limit_is_not_measured(
    tmp_path: Path, origin: Origin, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = f"  http-request deny deny_status 429 if {{ sc_http_req_rate({0 if limit == 'user' else 1})"
    commands = {
        "haproxy": lambda place, allowed: _without(rule, place) if allowed is HIGH else _low(rule, place, allowed)
    }
    monkeypatch.setattr("benchmarks.chain_peers.COMMANDS", commands)
    with pytest.raises(NotReadyError, match=f"a minute for each {limit}"):
        shown(CHAINED, tmp_path, origin)


def _low(missing: str, place: Place, allowed: object) -> list[str]:
    command = haproxy_chain(place, allowed)  # type: ignore[arg-type]
    path = Path(command[-1])
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if missing not in line))
    return command


# What is made of it


def demand(made: Results, name: str) -> str:
    return next(each for each in targets(made) if each.name.endswith(name)).verdict


@pytest.mark.parametrize(("mine", "verdict"), [(1300.0, "holds"), (1299.0, "does not hold")])
def test_the_bounds_of_the_chain_are_those_that_were_asked_for(mine: float, verdict: str) -> None:
    made = Results({})
    rates = {"ttagw": mine, "haproxy": 1000.0, "envoy": 1300.0, "haproxy-plain": 1300 / 0.38}
    for name, rate in rates.items():
        made.samples[CHAIN_ROW.name][name] = [Sample(rate, 1e6 / rate, 1024, {})]
    assert demand(made, "of HAProxy doing the same") == verdict
    assert demand(made, "of Envoy doing the same") == verdict
    chain = [each for each in targets(made) if each.name.startswith(CHAIN_ROW.name)]
    assert [each.verdict for each in chain] == [verdict] * 3


OVERLOAD = Overload(
    unloaded_p99=40.0,
    loaded_p99=80.0,
    crisis=800,
    crisis_lost={},
    peak=150.0,
    goodput=135.0,
    shares={"low": 1.0},
    back=5.0,
    before_flood=100.0,
    in_flood=50.0,
    beside_flood_lost={},
    flood={"503 crisis_ceiling": 9},
    others={"503 overloaded": 9},
    late=0.001,
)
FAULT = StoreFault("killed", 0.5, 10.0, 60.0, 10.0, 61.0, (10.0, 9.0), 100, {"429": 1}, 0.001)


@pytest.mark.parametrize(
    ("found", "name", "verdict"),
    [
        (OVERLOAD, "crisis p99 at 10 x capacity, of unloaded", "holds"),
        (replace(OVERLOAD, loaded_p99=81.0), "crisis p99 at 10 x capacity, of unloaded", "does not hold"),
        (OVERLOAD, "crisis requests lost", "holds"),
        (replace(OVERLOAD, crisis_lost={"cut": 1}), "crisis requests lost", "does not hold"),
        (OVERLOAD, "goodput at 10 x capacity, of the peak", "holds"),
        (replace(OVERLOAD, goodput=134.0), "goodput at 10 x capacity, of the peak", "does not hold"),
        (OVERLOAD, "back to normal after overload", "holds"),
        (replace(OVERLOAD, back=5.5), "back to normal after overload", "does not hold"),
        (OVERLOAD, "goodput of others in a crisis flood", "holds"),
        (replace(OVERLOAD, in_flood=49.0), "goodput of others in a crisis flood", "does not hold"),
    ],
)
def test_the_bounds_of_overload_are_those_that_were_asked_for(found: Overload, name: str, verdict: str) -> None:
    assert demand(Results({}, overload=found), name) == verdict


@pytest.mark.parametrize(
    ("found", "waits", "wrong"),
    [
        (FAULT, "holds", "holds"),
        (replace(FAULT, after=59.1), "does not hold", "holds"),
        (replace(FAULT, wrong={"503 limit_unknown": 1}), "holds", "does not hold"),
        (replace(FAULT, wrong={"cut": 1}), "holds", "does not hold"),
        (replace(FAULT, fault="well", wrong={"cut": 1}), "not measured", "not measured"),
    ],
)
def test_the_bounds_of_a_failing_redis_are_those_that_were_asked_for(found: StoreFault, waits: str, wrong: str) -> None:
    made = Results({}, store_faults=[found])
    assert demand(made, "p99.9 with Redis away, more than with it") == waits
    assert demand(made, "wrong 5xx with Redis away") == wrong


EXACT = Accuracy(TOGETHER, 1000, 2.0, 120_000, 61_600, 61_000, 0.98, 1.0, -3.0, {}, 0.001)


def test_the_bounds_of_limits_are_those_that_were_asked_for() -> None:
    made = Results({}, accuracy=[EXACT], waited=1.0)
    assert demand(made, f"limits, {TOGETHER}: off by") == "holds"
    assert demand(made, "the law and its slack of 1%") == "holds"
    assert demand(made, "waited for Redis at 1,000/s for a key") == "holds"
    made = Results({}, accuracy=[EXACT, replace(EXACT, error=-1.01, over=0.5)], waited=1.01)
    assert demand(made, f"limits, {TOGETHER}: off by") == "does not hold"
    assert demand(made, "the law and its slack of 1%") == "does not hold"
    assert demand(made, "waited for Redis at 1,000/s for a key") == "does not hold"
    assert demand(made, "one gateway, SQLite: off by") == "not measured"


def test_the_report_has_all_of_it() -> None:
    costs = TrafficCosts((1.5, 1.6), (2.5, 2.6), None, (3.0, 3.1), None, None)
    made = Results({}, accuracy=[EXACT], waited=0.4, overload=OVERLOAD, store_faults=[FAULT], traffic_costs=costs)
    made.chained = ["haproxy: what it does"]
    text = render(made)
    for each in ("* haproxy: what it does", "1,000/s x 2", "0.40 %", "503 crisis_ceiling: 9", "killed, 0.5 x capacity"):
        assert each in text
    assert demand(made, "a limit: checked in this process") == "holds"
    document = json.loads(json.dumps(made.as_json()))
    assert document["overload"]["goodput"] == 135.0
    assert document["traffic_microseconds"]["one_limit"] == [1.5, 1.6]


def test_each_part_s_own_layers_are_passed_and_refuse_nobody() -> None:
    rows = measure_costs(1).rows()
    assert len({name for name, *_ in rows}) == 6
    assert all(len(row) == 3 for row in rows)


# What is asked for


def test_every_part_is_in_the_manual() -> None:
    page = (HERE.parent / "docs" / "benchmarks.rst").read_text()
    assert re.findall(r"^   \* - ``--([a-z]+)``$", page, re.MULTILINE) == list(PARTS)


@pytest.mark.parametrize("part", ["chain", "accuracy", "overload"])
def test_each_part_is_a_part_of_all_and_can_be_all(part: str) -> None:
    assert part in options([]).parts
    assert options([f"--{part}"]).parts == [part]


def test_a_span_is_a_minute_and_can_be_shorter() -> None:
    assert [options(words).span for words in ([], ["--quick"], ["--span", "3"])] == [60.0, 12.0, 3.0]


def test_the_plain_ones_can_be_chosen() -> None:
    chosen = options(["--chain", "--only", "ttagw,haproxy-plain"])
    assert [each.name for each in chosen.chain_peers] == ["ttagw", "haproxy-plain"]
