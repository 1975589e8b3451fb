from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.registry.fleets import BAD, GOOD, Fleet, config
from ttagw.fleet_metrics import fleet_metrics


def values(fleet: Fleet) -> dict[str, float]:
    """Each sample by its name and labels."""
    poller: Any = SimpleNamespace(running=3, lateness=0.5, faults=2)
    ledger: Any = SimpleNamespace(unwritten=4, repaired=5)
    return {
        " ".join([sample.name, *map(str, sample.labels.values())]): sample.value
        for metric in fleet_metrics(fleet.registry, fleet.events, poller, ledger)
        for sample in metric.samples
    }


def test_what_is_known_is_told() -> None:
    fleet = Fleet({"a": config(dependencies=["b"]), "b": config()})
    for name in "xyz":
        fleet.put(name)
    fleet.check("x", GOOD)
    fleet.check("y", BAD)
    fleet.fails("z")
    fleet.member("x").instance.good = 7
    fleet.services["a"].count("retries")
    fleet.pass_time(0.25)
    told = values(fleet)
    assert [told[f"ttagw_instance_up a {name}"] for name in "xyz"] == [1, 0, 1]
    assert [told[f"ttagw_instance_in_rotation a {name}"] for name in "xyz"] == [1, 0, 1]
    assert [told[f"ttagw_instance_breaker_open a {name}"] for name in "xyz"] == [0, 0, 1]
    assert (told["ttagw_checks_total a good"], told["ttagw_checks_total a timeout"]) == (1, 1)
    assert (told["ttagw_instance_tries_total a x good"], told["ttagw_instance_tries_total a x bad"]) == (7, 0)
    assert (told["ttagw_service_up a"], told["ttagw_service_up b"]) == (1, 0)
    assert (told["ttagw_service_degraded a"], told["ttagw_service_panic a"]) == (1, 1)
    assert (told["ttagw_circuit_state a closed"], told["ttagw_circuit_state a open"]) == (1, 0)
    assert told["ttagw_service_exchanges_total a retries"] == 1
    assert told["ttagw_events_total instance_joined a"] == 3
    assert (told["ttagw_checks_running"], told["ttagw_checks_late_seconds"]) == (3, 0.5)
    assert (told["ttagw_check_faults_total"], told["ttagw_registrations_unwritten"]) == (2, 4)
    assert told["ttagw_registrations_repaired_total"] == 5
