from __future__ import annotations

from typing import Any

import pytest

from tests.registry.fleets import Gateway, SharedData, record, run
from ttagw.errors import (
    InstanceConflictError,
    InstanceNotFoundError,
    InvalidDocumentError,
    RegistryFullError,
    ServiceNotFoundError,
)
from ttagw.registry import registry as module
from ttagw.registry.directory import RegistryDirectory


@pytest.fixture
def gateway() -> Gateway:
    return Gateway("g", SharedData(lambda: 0.0), lambda: 1e6)


@pytest.fixture
def directory(gateway: Gateway) -> RegistryDirectory:
    return RegistryDirectory(gateway.fleet.registry, gateway.ledger)


def test_it_registers_renews_shows_and_deregisters(directory: RegistryDirectory) -> None:
    asked: Any = record("x", ttl=15.0, dependencies=("b",))
    assert run(directory.register(asked)) is True
    assert run(directory.register(asked)) is False
    assert run(directory.renew("a", "x")) == 15.0
    shown = directory.service("a")
    assert shown is not None
    assert [each["id"] for each in shown["instances"]] == ["x"]
    assert [each["name"] for each in directory.services()] == ["a", "b", "c"]
    assert directory.service("nobody") is None
    run(directory.deregister("a", "x"))
    with pytest.raises(InstanceNotFoundError):
        run(directory.deregister("a", "x"))
    with pytest.raises(InstanceNotFoundError):
        run(directory.renew("a", "x"))


def test_a_url_that_cannot_be_used_is_said_and_changes_nothing(directory: RegistryDirectory, gateway: Gateway) -> None:
    with pytest.raises(InvalidDocumentError) as invalid:
        run(directory.register(record("x", url="https://bad", ttl=15.0)))
    assert invalid.value.errors == (("url", "nothing can be reached under this host"),)
    assert (gateway.instances(), gateway.ledger.unwritten) == ({}, 0)


def test_what_cannot_be_is_said_with_its_own_error(directory: RegistryDirectory, monkeypatch: Any) -> None:
    with pytest.raises(ServiceNotFoundError):
        run(directory.register(record("x", of="nobody", ttl=15.0)))
    with pytest.raises(InvalidDocumentError) as invalid:
        run(directory.register(record("x", ttl=15.0, dependencies=("b", "nobody"))))
    assert invalid.value.errors == (("dependencies", 'there is no service "nobody"'),)
    run(directory.register(record("x", ttl=15.0)))
    with pytest.raises(InstanceConflictError) as conflict:
        run(directory.register(record("x", of="b", ttl=15.0)))
    assert conflict.value.text == 'This was not changed: an instance of "a" has this id.'
    monkeypatch.setattr(module, "MOST_INSTANCES", 1)
    with pytest.raises(RegistryFullError) as full:
        run(directory.register(record("y", ttl=15.0)))
    assert full.value.retry_after == 60


def test_an_operator_decides_about_services_and_instances_that_there_are(
    directory: RegistryDirectory, gateway: Gateway
) -> None:
    run(directory.register(record("x", ttl=15.0)))
    directory.force("a", "x", "forced_open")
    directory.force("b", None, "forced_open")
    assert (gateway.fleet.state("x"), gateway.fleet.services["b"].breaker.state.value) == ("forced_open",) * 2
    with pytest.raises(ServiceNotFoundError):
        directory.force("nobody", None, "auto")
    with pytest.raises(InstanceNotFoundError):
        directory.force("a", "nobody", "auto")
