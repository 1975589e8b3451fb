"""Admission: who may begin now, who waits for others to end, and who is sent away.

A request needs a place in the hall, which is the whole gateway's, until its last byte, and a place at the gate of its
service until its answer begins: from then on it is the client who is waited for. Where there is no place it waits, at
the gate, in its turn. The class `crisis` is let through although there is no room, up to its ceilings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from math import ceil
from typing import Any

from ttagw.core.classes import TrafficClass
from ttagw.core.room import Room, Shares
from ttagw.core.sharing import Shared
from ttagw.core.turns import Turns

CRISIS = int(TrafficClass.CRISIS)

FEW = 8
"""What one user may hold at a gate while others of the class wait, and of answers while the hall is half full, ..."""
QUARTER = 4
"""... or that part of the bound, if it is more."""


class State(Enum):
    """What became of somebody who asked."""

    INSIDE = "inside"
    WAITING = "waiting"
    OUTSIDE = "outside"


class Waiter:
    """Somebody who asks for a place, and may have to wait for it."""

    __slots__ = ("bypassed", "gate", "rank", "since", "state", "tag", "user")

    def __init__(self, rank: int, user: str, since: float, tag: Any = None) -> None:
        self.rank = rank
        self.user = user
        self.since = since
        self.tag = tag
        """Whatever whoever asks wants to find again."""
        self.state = State.OUTSIDE
        self.bypassed = False
        """Let through although there was no room."""
        self.gate: Gate


class Gate:
    """The places of one service, and those who wait for one."""

    __slots__ = ("_admission", "_crisis", "_hall", "name", "room", "shared", "turns", "users")

    def __init__(self, name: str, admission: Admission) -> None:
        self.name = name
        self._admission = admission
        self._hall = admission.hall
        # Ceilings are about the whole; here they only say what `crisis` may have when there is no room.
        self.room = Room(admission.hall.bound, Shares(admission.shares.reserved))
        self.turns: Turns[Waiter] = Turns()
        self.shared = Shared()
        """Of the class `crisis`, whoever waits for an answer or to be let in."""
        self.users: dict[str, int] = {}
        """What each user holds, until the last byte, beside what they took while there was a lot of room."""
        self.resize(self.room.bound)

    def resize(self, bound: int) -> None:
        """From now on so many may wait for an answer at once; whoever can go then has to be served."""
        self.room.resize(bound)
        self._crisis = max(1, int(self._admission.shares.ceilings[CRISIS] * bound))

    def stroll(self, rank: int) -> bool:
        """A place at once, if there is so much room that nobody asks for whom: the way of nearly all requests."""
        hall = self._hall
        room = self.room
        total = room.total
        if total >= room.quiet or hall.total >= hall.half:
            return False
        room.total = total + 1
        room.held[rank] += 1
        hall.total += 1
        hall.held[rank] += 1
        return True

    def answered(self, rank: int) -> None:
        """The answer has begun."""
        room = self.room
        room.held[rank] -= 1
        room.total -= 1

    def ended(self, rank: int, user: str) -> None:
        """It is over; `user` is "" for somebody who strolled in."""
        hall = self._hall
        hall.held[rank] -= 1
        hall.total -= 1
        if user:
            users = self.users
            left = users[user] - 1
            if left:
                users[user] = left
            else:
                del users[user]

    def ask(self, waiter: Waiter, *, modest: bool = True) -> Waiter | None:
        """A place now, or a place among those who wait, or neither: its `state` says which. Who is not `modest` waits.

        Returns somebody who waits no longer because of it.
        """
        waiter.gate = self
        if modest and self.may(waiter.rank):
            self._enter(waiter)
            return None
        admission = self._admission
        pushed = None
        if waiter.rank == CRISIS and self.turns.counts[CRISIS] >= admission.crisis_queue:
            # Or nobody else could wait, and `crisis` would have what others leave because they cannot.
            pushed = self.turns.yields_within(CRISIS, waiter.user)
            if pushed is None:
                return None
            admission.drop(pushed)
        elif self.turns.size >= admission.queue:
            pushed = self.turns.yields(waiter.rank, waiter.user)
            if pushed is None:
                return None
            admission.drop(pushed)
        admission.put(waiter)
        return pushed

    def may(self, rank: int) -> bool:
        """Whether one more of this class may enter: because there is room, or although there is none."""
        if self._hall.fits(rank) and self.room.fits(rank):
            return True
        return rank == CRISIS and self.may_modestly(rank)

    def may_modestly(self, rank: int) -> bool:
        """Whether one more of the class `crisis` may enter, whoever else waits."""
        return self.room.held[rank] < self._crisis and not self._admission.crisis_full

    def greedy(self, user: str) -> bool:
        """Whether somebody of the class `crisis` has so much of it here already that the next place is for others: then
        they wait in their turn.
        """
        room = self.room
        return self.shared.greedy(user, max(room.bound - room.total, self._crisis - room.held[CRISIS]))

    def too_greedy(self, user: str) -> bool:
        """Whether that is so for the whole gateway, where nobody waits."""
        left = self._hall.ceilings[CRISIS] - self._hall.held[CRISIS]
        return self._admission.shared.greedy(user, left)

    def next(self, rank: int) -> Waiter:
        """The next of a class of which somebody waits, and may enter, is inside."""
        waiter = self.turns.take(rank, self.users, max(FEW, self.room.bound // QUARTER))
        self._enter(waiter)
        return waiter

    def _enter(self, waiter: Waiter) -> None:
        rank = waiter.rank
        waiter.bypassed = not (self._hall.fits(rank) and self.room.fits(rank))
        waiter.state = State.INSIDE
        self._hall.take(rank)
        self.room.take(rank)
        self.users[waiter.user] = self.users.get(waiter.user, 0) + 1


class Admission:
    """The hall, and the gates that lead into it."""

    def __init__(self, bound: int, shares: Shares, queue: int, patience: float) -> None:
        """`queue`: how many may wait at a gate; `patience`: for how many seconds, 0 being not at all."""
        self.shares = shares
        self.hall = Room(bound, shares)
        self.queue = queue if patience else 0
        self.crisis_queue = ceil(shares.ceilings[CRISIS] * self.queue)
        """How many of the class `crisis` may wait at a gate."""
        self.patience = patience
        self.gates: dict[str, Gate] = {}
        self.streams: dict[str, int] = {}
        """How many answers each user is being sent, bit by bit."""
        self.shared = Shared()
        """Of the class `crisis`, until the last byte."""
        self.line: OrderedDict[Waiter, None] = OrderedDict()
        """All who wait, in the order in which they came."""
        # Gates at which somebody waits, in their turns.
        self._crowded: OrderedDict[Gate, None] = OrderedDict()

    def gate(self, name: str) -> Gate:
        """The gate of a service, made when it is first asked for."""
        found = self.gates.get(name)
        if found is None:
            found = self.gates[name] = Gate(name, self)
        return found

    def stream(self, user: str) -> Callable[[object], None]:
        """The answer to one of this user's requests has begun. Returns what is to be called when it is over."""
        streams = self.streams
        streams[user] = streams.get(user, 0) + 1

        def over(_: object) -> None:
            left = streams[user] - 1
            if left:
                streams[user] = left
            else:
                del streams[user]

        return over

    def greedy(self, user: str) -> bool:
        """Whether this user takes so many answers slowly that others would soon find no room in the hall."""
        hall = self.hall
        return hall.total >= hall.half and self.streams.get(user, 0) >= max(FEW, hall.bound // QUARTER)

    @property
    def crisis_full(self) -> bool:
        """Whether the class `crisis` has all that it may have."""
        return self.hall.held[CRISIS] >= self.hall.ceilings[CRISIS]

    def put(self, waiter: Waiter) -> None:
        """One more waits."""
        gate = waiter.gate
        waiter.state = State.WAITING
        gate.turns.add(waiter)
        self.line[waiter] = None
        self._crowded[gate] = None

    def drop(self, waiter: Waiter) -> None:
        """One does not wait any more, and does not enter either."""
        waiter.state = State.OUTSIDE
        waiter.gate.turns.remove(waiter)
        self._gone(waiter)

    def serve(self) -> list[Waiter]:
        """Those who waited and are inside now, in the order in which they may begin.

        To be called whenever there may be more room than before: so whoever comes and finds room takes it from nobody.
        """
        inside: list[Waiter] = []
        # What `crisis` has beyond its part of a gate is what nobody else who waits there can have.
        self._serve(CRISIS, Gate.may_modestly, inside)
        for rank in range(CRISIS - 1, -1, -1):
            self._serve(rank, Gate.may, inside)
        self._serve(CRISIS, Gate.may, inside)
        return inside

    def _serve(self, rank: int, may: Callable[[Gate, int], bool], inside: list[Waiter]) -> None:
        moved = True
        while moved:
            moved = False
            for gate in list(self._crowded):
                if gate.turns.counts[rank] and may(gate, rank):
                    waiter = gate.next(rank)
                    self._crowded.move_to_end(gate)
                    self._gone(waiter)
                    inside.append(waiter)
                    moved = True

    def overdue(self, now: float) -> list[Waiter]:
        """Those who have waited too long, and wait no longer."""
        late: list[Waiter] = []
        for waiter in self.line:
            if now - waiter.since < self.patience:
                break
            late.append(waiter)
        for waiter in late:
            self.drop(waiter)
        return late

    def below(self, rank: int) -> list[Waiter]:
        """Those of lower classes who waited, and wait no longer."""
        found = [waiter for waiter in self.line if waiter.rank < rank]
        for waiter in found:
            self.drop(waiter)
        return found

    def _gone(self, waiter: Waiter) -> None:
        del self.line[waiter]
        if not waiter.gate.turns.size:
            del self._crowded[waiter.gate]
