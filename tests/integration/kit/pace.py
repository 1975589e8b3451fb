"""A client that asks all the time and notes how long each answer took."""

from __future__ import annotations

import time
from threading import Event, Thread
from types import TracebackType

from tests.integration.kit.raw import Client, CutOffError, get


class Pace:
    """Asks one gateway over one connection, `every` so many seconds."""

    def __init__(self, port: int, path: str = "/", every: float = 0.005) -> None:
        self._port = port
        self._request = get(path)
        self._every = every
        self._over = Event()
        self.took: list[float] = []
        self.statuses: list[int] = []
        self.lost = 0
        """Requests without an answer."""
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.is_set():
            with Client(self._port) as client:
                self._ask(client)

    def _ask(self, client: Client) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                answer = client.ask(self._request)
            except (CutOffError, OSError):
                self.lost += 1
                return
            self.took.append(time.monotonic() - began)
            self.statuses.append(answer.status)
            if answer.value(b"connection") == b"close":
                return
            self._over.wait(self._every)

    def __enter__(self) -> Pace:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(20)
