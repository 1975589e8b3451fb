"""Blocks hold through restarts, on every gateway with the same store, and while that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.kit.blocking import SECTION, THRESHOLD, blocked_soon, blocks, refused, shut_out, status
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.operated import Key, Operator, make_key
from tests.integration.kit.origin import Origin
from tests.integration.kit.pair import store_up
from tests.integration.kit.redis import Redis, killed
from tests.integration.kit.waiting import until

BAD, WORSE, GOOD = "127.0.2.1", "127.0.2.2", "127.0.2.3"


@pytest.fixture(scope="module")
def key(folder: Path) -> Key:
    return make_key(folder)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def two(tmp_path: Path, redis: Redis, key: Key, origin: Origin) -> Iterator[tuple[Operator, Operator]]:
    with ExitStack() as started:
        operators = []
        for name in ("a", "b"):
            place = tmp_path / name
            place.mkdir()
            gateway = Gateway(
                place,
                {"s": service(origin.port)},
                auth=key.section,
                abuse=SECTION,
                gateway={"store": redis.url, "name": name},
            )
            operators.append(Operator(started.enter_context(gateway), key))
        one, other = operators
        until(lambda: store_up(one) and store_up(other), "both have the store")
        yield one, other
        for each in operators:
            assert each.gateway.failures() == []


def test_blocks_are_there_after_a_restart(tmp_path: Path, key: Key, origin: Origin) -> None:
    with Gateway(tmp_path, {"s": service(origin.port)}, auth=key.section, abuse=SECTION) as gateway:
        operator = Operator(gateway, key)
        assert operator.ask("POST", "/blocks", {"user": "somebody"})[0] == 201
        refused(gateway.port, BAD)
        until(lambda: gateway.metric("ttagw_blocks_unwritten") == 0, "they are stored")
        before = blocks(operator)
        assert len(before) == 2
        gateway.kill()
        gateway._start()
        until(lambda: blocks(operator) == before, "they are known again")
        assert shut_out(gateway.port, BAD)
        assert operator.ask("DELETE", "/blocks", {"address": BAD})[0] == 200
        gateway.restart()
        until(lambda: len(blocks(operator)) == 1, "one is left")
        assert status(gateway.port, BAD) == 200


def test_a_block_holds_on_the_other_gateway_and_is_lifted_there(two: tuple[Operator, Operator]) -> None:
    one, other = two
    refused(one.gateway.port, BAD)
    assert blocked_soon(other, address=BAD) == blocks(one)[0]
    assert shut_out(other.gateway.port, BAD)
    assert status(other.gateway.port, GOOD) == 200
    assert other.ask("DELETE", "/blocks", {"address": BAD})[0] == 200
    until(lambda: status(one.gateway.port, BAD) == 200, "it is lifted everywhere")
    # Only the gateway that has made it tells of it.
    told = [len([line for line in each.gateway.said() if "address_blocked" in line["message"]]) for each in two]
    assert told == [1, 0]


def test_while_redis_is_away_blocks_begin_here_and_everywhere_afterwards(
    two: tuple[Operator, Operator], redis: Redis
) -> None:
    one, other = two
    refused(one.gateway.port, WORSE)
    blocked_soon(other, address=WORSE)
    with killed(redis):
        until(lambda: not store_up(one) and not store_up(other), "it is away")
        assert shut_out(other.gateway.port, WORSE)
        assert refused(one.gateway.port, BAD) == [400] * (THRESHOLD + 1)
        assert shut_out(one.gateway.port, BAD)
        assert one.gateway.metric("ttagw_blocks_unwritten") == 1
        assert status(other.gateway.port, BAD) == 200
        for method, document in (("POST", {"address": GOOD}), ("DELETE", {"address": WORSE})):
            code, answer = one.ask(method, "/blocks", document)
            assert (code, answer["code"]) == (503, "not_stored")
        assert status(one.gateway.port, GOOD) == 200
        assert shut_out(one.gateway.port, WORSE)
    until(lambda: blocks(other, f"?address={BAD}"), "it is known everywhere")
    assert shut_out(other.gateway.port, BAD)
    # The new Redis knew nothing, and was told what the old one had.
    until(lambda: blocks(one) == blocks(other) and len(blocks(one)) == 2, "both say the same")
    until(lambda: one.gateway.metric("ttagw_blocks_unwritten") == 0, "all of it is stored")


# For how long


def test_a_block_ends_by_itself_and_the_next_is_longer(tmp_path: Path, key: Key, origin: Origin) -> None:
    section = {**SECTION, "block_for": "2s"}
    with Gateway(tmp_path, {"s": service(origin.port)}, auth=key.section, abuse=section) as short:
        operator = Operator(short, key)
        assert refused(short.port, BAD) == [400] * (THRESHOLD + 1)
        assert shut_out(short.port, BAD)
        until(lambda: status(short.port, BAD) == 200, "it is let in again")
        assert blocks(operator) == []
        assert refused(short.port, BAD) == [400] * (THRESHOLD + 1)
        block = blocked_soon(operator, address=BAD)
        assert block["offences"] == 2
        assert moment(block["end"]) - moment(block["since"]) == pytest.approx(4.0, abs=0.01)
        until(lambda: status(short.port, BAD) == 200, "it is let in again")
        assert short.metric("ttagw_blocks_made_total", kind="address") == 2
        assert short.failures() == []


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
