"""No request is lost or doubled, and none is answered with another's bytes.

TTAGW_ECHO_REQUESTS says how many are sent.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.integration.kit import echo
from tests.integration.kit.certs import Authority
from tests.integration.kit.gateway import Gateway, service
from tests.integration.kit.process import Child
from tests.integration.kit.raw import Client, chunked, get, once, post
from tests.integration.kit.waiting import until

REQUESTS = int(os.environ.get("TTAGW_ECHO_REQUESTS", "20000"))
THREADS = 4
NOISE = bytes(Random(1).randbytes(200_000))
SIZES = (0, 1, 10, 100, 1000, 5000, 70_000)


class Sender:
    """One client after the other, each with a connection of its own, until so many requests are sent."""

    def __init__(self, port: int, number: int, context: ssl.SSLContext | None) -> None:
        self._port = port
        self._context = context
        self._number = number
        self._random = Random(number)
        self._sent = 0
        self.answered: list[str] = []
        """The paths whose answers came, and were right."""
        self.given_up: list[str] = []
        """The paths of those who left without their answer."""

    def run(self, requests: int) -> None:
        """Send them."""
        while self._sent < requests:
            with Client(self._port, self._context) as client:
                for _ in range(self._random.randrange(1, 20)):
                    if not self._burst(client):
                        break

    def _request(self) -> tuple[str, bytes, bytes]:
        """Path, body and the bytes of a request that differs from every other."""
        random = self._random
        self._sent += 1
        path = f"/{self._number}/{self._sent}"
        size = random.randrange(random.choice(SIZES) + 1)
        begin = random.randrange(len(NOISE) - size)
        body = NOISE[begin : begin + size]
        kind = random.randrange(3)
        if kind == 0:
            return path, b"", get(path)
        if kind == 1:
            return path, body, post(path, body)
        step = random.randrange(1, 20000)
        return path, body, chunked(path, [body[at : at + step] for at in range(0, size, step)])

    def _burst(self, client: Client) -> bool:
        """Some requests at once, then their answers. False: the client has left."""
        burst = [self._request() for _ in range(self._random.choice((1, 1, 2, 5, 10)))]
        data = b"".join([each[2] for each in burst])
        leaves = self._random.random() < 0.03
        if leaves:
            data = data[: self._random.randrange(len(data) + 1)]
        cut = self._random.randrange(len(data) + 1)
        client.send(*([data[:cut], data[cut:]] if self._random.random() < 0.3 else [data]))
        if leaves:
            self.given_up += [path for path, _, _ in burst]
            if self._random.random() < 0.5:
                client.reset()
            return False
        for path, body, _ in burst:
            answer = client.answer()
            assert (answer.status, answer.value(b"x-path"), answer.body) == (200, path.encode(), body)
            self.answered.append(path)
        return True


@pytest.fixture
def echo_port(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "echo"
    folder.mkdir()
    with Child([sys.executable, Path(echo.__file__)], folder) as child:
        yield int(until(lambda: child.output.read_text().strip(), "the service says its port"))


@pytest.fixture
def gateway(tmp_path: Path, echo_port: int, authority: Authority) -> Iterator[Gateway]:
    certificate = authority.issue("127.0.0.1")
    patient = {"response_timeout": "10s"}
    with Gateway(tmp_path, {"s": service(echo_port)}, certificate=certificate, upstream=patient) as running:
        yield running
        assert running.failures() == []


def test_every_request_gets_its_own_answer_and_reaches_the_service_once(
    gateway: Gateway, echo_port: int, authority: Authority
) -> None:
    senders = [Sender(gateway.port, each, None) for each in range(1, THREADS)]
    senders.append(Sender(gateway.secure_port, 0, authority.client_context()))
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(each.run, REQUESTS // THREADS) for each in senders]:
            done.result()
    answered = {path for sender in senders for path in sender.answered}
    given_up = {path for sender in senders for path in sender.given_up}
    assert len(answered) + len(given_up) >= REQUESTS
    assert len(answered) > 0.5 * REQUESTS
    counts = json.loads(once(echo_port, get(echo.REPORT)).body)
    assert {path for path, count in counts.items() if count != 1} == set()
    assert answered <= counts.keys() <= answered | given_up
    until(lambda: gateway.metric("ttagw_requests_in_flight") == 0, "nothing is under way any more")
    gateway.line(once(gateway.port, get("/last")).id)
    lines = gateway.lines()
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert len([line for line in lines if line["status"] == 200]) > len(answered)
