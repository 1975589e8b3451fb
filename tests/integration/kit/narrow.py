"""A service that can do only so much at once, and clients that ask for more."""

from __future__ import annotations

import time
from collections import Counter
from threading import Event, Lock, Semaphore, Thread
from types import TracebackType

from tests.integration.kit.origin import Origin, Request, Talk
from tests.integration.kit.raw import Client, CutOffError, get


class Narrow:
    """So many places, each request taking one for so many seconds; the others wait for it, inside the service."""

    def __init__(self, origin: Origin, places: int, seconds: float, path: bytes = b"/") -> None:
        self.seconds = seconds
        self.down = False
        """Every request fails at once."""
        self.breaks_at = 0
        """With so many at once it breaks down, and all of them fail; 0: never."""
        self.broken = 0
        """How often it did."""
        self.at_once = self.most = self.answered = 0
        self._places = Semaphore(places)
        self._lock = Lock()
        origin.on(path, self._answer)

    def _answer(self, talk: Talk, request: Request) -> None:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            broken = 0 < self.breaks_at <= self.at_once
            self.broken += broken and not self.down
        try:
            good = not self.down and not broken
            if good:
                with self._places:
                    talk.gone.wait(self.seconds)
        finally:
            with self._lock:
                self.at_once -= 1
                self.answered += good
        talk.reply(b"ok", status=b"200 OK" if good else b"500 Broken")


class Asking:
    """Clients from one address, each with a connection of its own, that ask again and again."""

    def __init__(
        self, port: int, clients: int, path: str = "/", *, every: float = 0.0, source: str = "127.0.0.1"
    ) -> None:
        self._port = port
        self._request = get(path)
        self._every = every
        self._source = source
        self._over = Event()
        self._lock = Lock()
        self.statuses: Counter[int] = Counter()
        self.reasons: Counter[bytes] = Counter()
        self.lost = 0
        """Requests without an answer."""
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(clients)]

    @property
    def good(self) -> int:
        """Answers with 200."""
        return self.statuses[200]

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with Client(self._port, source=self._source) as client:
                    self._ask(client)
            except OSError:
                self._over.wait(0.05)

    def _ask(self, client: Client) -> None:
        while not self._over.is_set():
            try:
                answer = client.ask(self._request)
            except (CutOffError, OSError):
                with self._lock:
                    self.lost += not self._over.is_set()
                return
            with self._lock:
                self.statuses[answer.status] += 1
                if answer.reason:
                    self.reasons[answer.reason] += 1
            if answer.value(b"connection") == b"close":
                return
            # Whoever asks anew at once, whatever the answer was, measures this process.
            self._over.wait(self._every if answer.status == 200 else max(self._every, 0.05))

    def good_in(self, seconds: float) -> int:
        """How many good answers come in so many seconds."""
        before = self.good
        time.sleep(seconds)
        return self.good - before

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)
