"""What is known of each address and account from which logins have failed. Bounded, and without a name in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from ttagw.core.lockout import Rules, State, settled
from ttagw.core.login import Who

MOST = 100_000
"""Addresses and accounts, together."""

_NOTHING = State()


class _Entry(NamedTuple):
    state: State
    who: Who | None
    """None for one of which only other gateways have told."""


class Table:
    """States by name. A name is what an address or account is called in the store: a digest that needs the secret.

    Full, it forgets whoever is not paused and has failed longest ago; and where all are paused, the pause that began
    first.
    """

    def __init__(self, rules: Rules, secret: bytes, most: int = MOST) -> None:
        """`secret`: up to 64 bytes."""
        self._rules = rules
        self._secret = secret
        self.most = most
        self._counting: OrderedDict[str, _Entry] = OrderedDict()
        self._paused: OrderedDict[str, _Entry] = OrderedDict()
        self.forgotten = 0
        """Those that had to go although they still counted."""

    def __len__(self) -> int:
        return len(self._counting) + len(self._paused)

    def __iter__(self) -> Iterator[str]:
        yield from list(self._counting)
        yield from list(self._paused)

    def name(self, who: Who) -> str:
        """What the store calls them."""
        return f"{who.by}/{blake2b(who.digest, key=self._secret, digest_size=16).hexdigest()}"

    def get(self, name: str, now: float) -> State:
        """What counts of it now."""
        entry = self._counting.get(name) or self._paused.get(name)
        return _NOTHING if entry is None else settled(entry.state, self._rules, now)

    def set(self, name: str, state: State, now: float, who: Who | None = None) -> None:
        """From now on this is known."""
        before = self._counting.pop(name, None) or self._paused.pop(name, None)
        if state == _NOTHING:
            return
        if who is None and before is not None:
            who = before.who
        (self._paused if state.left(now) else self._counting)[name] = _Entry(state, who)
        self._clear(now)

    def _clear(self, now: float) -> None:
        """What counts no more goes, a little at a time; and what there is no room for."""
        for entries in (self._counting, self._paused):
            first = next(iter(entries), "")
            if first and self.get(first, now) == _NOTHING:
                del entries[first]
        while len(self) > self.most:
            (self._counting or self._paused).popitem(last=False)
            self.forgotten += 1

    def paused(self, by: str, now: float) -> int:
        """How many addresses, or accounts, are paused."""
        return sum([name.startswith(by) and entry.state.left(now) > 0 for name, entry in self._paused.items()])

    def rename(self, secret: bytes, now: float) -> None:
        """Names are made with another secret from now on. Of whom only others have told goes: they tell again."""
        if secret == self._secret:
            return
        self._secret = secret
        entries = [*self._counting.values(), *self._paused.values()]
        self._counting.clear()
        self._paused.clear()
        for state, who in entries:
            if who is not None:
                self.set(self.name(who), state, now, who)

    @property
    def secret(self) -> bytes:
        """What names are made with."""
        return self._secret
