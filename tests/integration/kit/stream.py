"""A steady stream of requests through a gateway, and what became of each."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from threading import Event, Lock, Thread
from types import TracebackType

from tests.integration.kit.raw import Client, CutOffError, get, post


@dataclass
class Outcome:
    """What became of one request."""

    method: str
    id: str
    status: int
    """0: cut before an answer, -1: cut inside an answer."""
    began: float
    took: float


class Stream:
    """Clients that each ask one thing after the other, `rate` a second together, every fifth a POST."""

    def __init__(self, port: int, *, clients: int = 8, rate: float = 200.0, prefix: str = "s") -> None:
        self._port = port
        self._pause = clients / rate
        self._prefix = prefix
        self._over = Event()
        self._lock = Lock()
        self.outcomes: list[Outcome] = []
        self._threads = [Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]

    def _run(self, number: int) -> None:
        count = 0
        client: Client | None = None
        due = time.monotonic()
        while not self._over.is_set():
            count += 1
            name = f"/{self._prefix}-{number}-{count}"
            method = "POST" if count % 5 == 0 else "GET"
            began = time.monotonic()
            status = 0
            try:
                if client is None:
                    client = Client(self._port)
                client.send(post(name, b"body") if method == "POST" else get(name))
                head = client.head()
                status = -1
                client.body(head)
                status = head.status
                if head.value(b"connection") == b"close":
                    client.close()
                    client = None
            except (CutOffError, OSError):
                if client is not None:
                    client.close()
                client = None
            with self._lock:
                self.outcomes.append(Outcome(method, name, status, began, time.monotonic() - began))
            due += self._pause
            self._over.wait(max(0.0, due - time.monotonic()))
        if client is not None:
            client.close()

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def seen(self, since: float = 0.0) -> list[Outcome]:
        """What has ended so far, of what began at `since` (monotonic) or later."""
        with self._lock:
            return [each for each in self.outcomes if each.began >= since]

    def statuses(self, method: str, since: float = 0.0) -> Counter[int]:
        """How many there were of each."""
        return Counter(each.status for each in self.seen(since) if each.method == method)
