"""Whatever happens to store and word: gateways come to agree, and nothing that was accepted is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.registry.fleets import Gateway, SharedData, record
from ttagw.registry.ledger import RECONCILE
from ttagw.registry.registry import TICK, ConflictError

TTL = 15.0
WORD = 4.0
"""Seconds that word of a change takes at the most, if it comes at all."""

GATEWAYS = st.integers(0, 2)
KEYS = st.sampled_from(["a/x", "a/y", "b/x"])


class Agreement(RuleBasedStateMachine):
    """Three gateways, one store. `ends` says until when each accepted registration holds, `gone` what has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.data = SharedData(lambda: self.now)
        self.gateways: list[Gateway] = []
        self.ends: dict[str, tuple[float, int]] = {}
        self.gone: set[str] = set()
        self.weight = 0

    @initialize(count=st.integers(2, 3))
    def begin(self, count: int) -> None:
        for number in range(count):
            self.gateways.append(Gateway(f"g{number}", self.data, lambda: 1e6 + self.now, 1000.0 * (number + 1)))

    def gateway(self, number: int) -> Gateway:
        self._pass(0.005)  # no two things happen in the same millisecond
        return self.gateways[number % len(self.gateways)]

    def _pass(self, seconds: float) -> None:
        while seconds > 0.0:
            step = min(seconds, TICK)
            seconds -= step
            self.now += step
            for each in self.gateways:
                each.fleet.clock.advance(step)

    # What instances ask

    @rule(number=GATEWAYS, key=KEYS)
    def register(self, number: int, key: str) -> None:
        gateway, (of, id_) = self.gateway(number), key.split("/")
        self.weight += 1
        asked = gateway.begin(gateway.ledger.register(record(id_, of=of, weight=self.weight, ttl=TTL)))
        if asked and getattr(asked[0], "type", None) is ConflictError:
            return
        self.ends[key] = (self.now + TTL, self.weight)
        self.gone.discard(key)

    @rule(number=GATEWAYS, key=KEYS)
    def renew(self, number: int, key: str) -> None:
        gateway, (of, id_) = self.gateway(number), key.split("/")
        accepted = gateway.instances().get(key)
        gateway.begin(gateway.ledger.renew(of, id_))
        if accepted is not None and key not in self.gone:
            # Somebody who has not heard of the newest registration carries on an older one.
            end, weight = self.ends[key]
            self.ends[key] = (self.now + TTL if accepted == weight else end, weight)

    @rule(number=GATEWAYS, key=KEYS)
    def deregister(self, number: int, key: str) -> None:
        gateway, (of, id_) = self.gateway(number), key.split("/")
        known = gateway.ledger._known.get(f"instances/{key}")
        accepted = known is not None and not known.entry.gone and not known.over
        gateway.begin(gateway.ledger.deregister(of, id_))
        if accepted:
            self.gone.add(key)

    # What happens to the store and to word of changes

    @rule(number=GATEWAYS)
    def goes_away(self, number: int) -> None:
        self.gateway(number).port.become(False)

    @rule(number=GATEWAYS)
    def comes_back(self, number: int) -> None:
        self.gateway(number).port.become(True)

    @rule()
    def loses_everything(self) -> None:
        for each in self.gateways:
            each.port.become(False)
        self.data.kept.clear()

    @rule()
    def all_of_it_comes_back(self) -> None:
        for each in self.gateways:
            each.port.become(True)

    @rule(number=GATEWAYS, slow=st.booleans())
    def is_slow_or_not(self, number: int, slow: bool) -> None:
        self.gateway(number).port.slow = slow

    @precondition(lambda self: any(each.port.held for each in self.gateways))
    @rule(data=st.data())
    def does_one_thing(self, data: Any) -> None:
        port = data.draw(st.sampled_from([each.port for each in self.gateways if each.port.held]))
        port.release(data.draw(st.integers(0, len(port.held) - 1)))

    @precondition(lambda self: any(each.port.notices for each in self.gateways))
    @rule(data=st.data(), lost=st.booleans())
    def word_comes_or_is_lost(self, data: Any, lost: bool) -> None:
        port = data.draw(st.sampled_from([each.port for each in self.gateways if each.port.notices]))
        place = data.draw(st.integers(0, len(port.notices) - 1))
        if lost:
            port.notices.pop(place)
        else:
            port.deliver(place)

    @rule(seconds=st.floats(0.0, WORD))
    def time_passes(self, seconds: float) -> None:
        self._pass(seconds)
        for each in self.gateways:
            each.port.notices.clear()  # what was not delivered until now never is
            while each.port.held:
                each.port.release()

    # What must come of it

    def settle(self) -> None:
        for each in self.gateways:
            each.port.slow = False
            while each.port.held:
                each.port.release()
            each.port.become(True)
        for _ in range(3):
            self._pass(RECONCILE + TICK)
            for each in self.gateways:
                while each.port.notices:
                    each.port.deliver()

    def teardown(self) -> None:
        self.settle()
        known = [each.instances() for each in self.gateways]
        for key in {*self.ends, *self.gone}:
            found = {each.get(key) for each in known}
            end, weight = self.ends.get(key, (0.0, 0))
            if key in self.gone:
                assert found == {None}, (key, "is back", found)
            elif end > self.now:
                assert found == {weight}, (key, "is missing or old", found, weight)
        self._pass(3 * TTL)
        for each in self.gateways:
            while each.port.notices:
                each.port.deliver()
        self._pass(TTL)
        assert [each.instances() for each in self.gateways] == [{}] * len(self.gateways)
        assert [each.ledger.unwritten for each in self.gateways] == [0] * len(self.gateways)


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
