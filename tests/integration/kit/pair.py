"""Two gateways that share a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.integration.kit.gateway import Gateway, route, service
from tests.integration.kit.operated import Key, Operator, facts
from tests.integration.kit.origin import Origin
from tests.integration.kit.redis import Redis
from tests.integration.kit.waiting import until

AGREED = 1.0
"""Seconds within which both say the same."""
IN_STEP = 5.0
"""Seconds for that once Redis is well again."""
LONG = "1h"
"""A lease that does not end here."""


@contextmanager
def two_gateways(folder: Path, redis: Redis, key: Key, origin: Origin) -> Iterator[tuple[Operator, Operator]]:
    """Two gateways that share a Redis, as their operators."""
    services = {"s": service(), "fixed": service(origin.port)}
    routes = [route("/*", "fixed", "all"), route("/s/*", "s", "s")]
    with ExitStack() as started:
        operators = []
        for name in ("a", "b"):
            place = folder / name
            place.mkdir()
            about = {"store": redis.url, "name": name}
            gateway = started.enter_context(Gateway(place, services, routes, auth=key.section, gateway=about))
            operators.append(Operator(gateway, key))
        one, other = operators
        until(lambda: all(store_up(each) for each in operators), "both have the store")
        yield one, other
        for each in operators:
            assert each.gateway.failures() == []


def store_up(operator: Operator) -> bool:
    return operator.gateway.metric("ttagw_store_up", store="redis") == 1


def agree(one: Operator, other: Operator) -> bool:
    return facts(one) == facts(other)


def unwritten(operator: Operator) -> float:
    return operator.gateway.metric("ttagw_registrations_unwritten")
