from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from tests.layers.asking import somebody
from tests.twisted_hygiene import Failures
from ttagw.core.admission import Admission
from ttagw.core.classes import TrafficClass
from ttagw.core.gradient import Gradient
from ttagw.core.pressure import Pressure
from ttagw.core.room import Shares
from ttagw.errors import BodyTooLargeError, NoInstanceError
from ttagw.layers.admit import LEAST_RESPITE, RESPITE, Admit, Crowd
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Pipeline, Route
from ttagw.testing import RecordingSink, RecordingSource, exchange, route
from ttagw.web.render import render

NORMAL, HIGH, CRISIS = TrafficClass.NORMAL, TrafficClass.HIGH, TrafficClass.CRISIS
PATIENCE = 0.5
Prepare = Callable[[Exchange], None]


class After:
    """A layer behind: does what it is told."""

    name = "after"

    def __init__(self) -> None:
        self.enter: Callable[[Exchange], None] = lambda made: None

    def bind(self, on: Route) -> Hooks:
        return Hooks(lambda made: self.enter(made))


class House:
    """A gateway with one service, as far as admission is concerned."""

    def __init__(self, bound: int = 2, *, queue: int = 3, adaptive: bool = False, reserved: float = 0.0) -> None:
        self.clock = Clock()
        shares = Shares((0.0, 0.0, 0.0, 0.0, reserved), (1.0, 1.0, 1.0, 1.0, 0.5))
        self.admission = Admission(bound, shares, queue, PATIENCE)
        self.crowd = Crowd(self.admission, self.clock, self.clock.seconds, lambda: 0.5)
        self.pressure = Pressure()
        self.gradient = Gradient(min(8, bound), bound, 0.0)
        gradients = {"s": self.gradient} if adaptive else {}
        self.after = After()
        self.pipeline = Pipeline(render)
        self.running: list[Exchange] = []
        layer = Admit(self.crowd, {"r": "s"}, gradients, self.pressure)
        assert layer.bind(route(name="elsewhere")) is None
        self.route = route(self._forward).bind([layer, self.after])
        self.gate = self.admission.gate("s")

    def _forward(self, pipeline: Pipeline, made: Exchange) -> None:
        self.running.append(made)

    def ask(self, rank: TrafficClass = NORMAL, user: str = "", prepare: Prepare = lambda made: None) -> Exchange:
        """A request comes."""
        sink = RecordingSink()
        made = exchange(sink=sink, on=self.route)
        sink.over = lambda: self.pipeline.end(made)
        made.rank = rank
        made.identity = somebody(user) if user else None
        prepare(made)
        self.pipeline.run(made)
        return made

    def answer(self, made: Exchange, status: int = 200, *, whole: bool = True) -> None:
        """Its service answers, with all of it or with a head."""
        made.upstream_seconds = 0.01
        self.running.remove(made)
        if whole:
            self.pipeline.answer(made, Reply(status, [], b""))
        else:
            self.pipeline.answer(made, Reply(status, []), RecordingSource())

    def is_empty(self) -> bool:
        """Nothing is held, and nobody waits."""
        gate = self.gate
        held = [*self.admission.hall.held, *gate.room.held, *gate.users.values(), gate.turns.size]
        held += self.admission.streams.values()
        held += [*gate.shared.users.values(), *self.admission.shared.users.values()]
        return not any(held) and not self.admission.line and not self.clock.getDelayedCalls()


def code(made: Exchange) -> bytes:
    """Why it was refused, or b""."""
    sink = made.sink
    assert isinstance(sink, RecordingSink)
    return dict(sink.reply.fields).get(b"ttagw-reason", b"") if sink.reply is not None else b""


def test_requests_under_way_are_bounded_and_the_next_waits() -> None:
    house = House()
    first, second, third = house.ask(), house.ask(), house.ask()
    assert house.running == [first, second]
    house.answer(first)
    assert house.running == [second, third]
    for made in (second, third):
        house.answer(made)
    house.clock.advance(1)
    assert house.is_empty()
    assert house.crowd.waited[NORMAL].counts[0] == 1


def test_who_waits_too_long_is_told_to_come_back() -> None:
    house = House(1)
    first, second = house.ask(), house.ask()
    house.clock.advance(PATIENCE / 2)
    third = house.ask()
    house.clock.advance(PATIENCE / 2)
    assert (second.status, second.reason, code(second)) == (503, "queue_time", b"overloaded")
    assert third.status == 0
    assert isinstance(second.sink, RecordingSink)
    assert second.sink.reply is not None
    assert (b"retry-after", b"2") in second.sink.reply.fields
    assert second.respite == (LEAST_RESPITE + RESPITE) / 2
    house.clock.advance(PATIENCE / 2)
    assert third.status == 503
    assert house.crowd.shed == {(NORMAL, "queue_time"): 2}
    house.answer(first)
    assert house.is_empty()


def test_a_full_queue_sends_away_whoever_comes_or_whoever_has_most() -> None:
    house = House(1, queue=2)
    house.ask(user="a")
    waiting = [house.ask(user="a") for _ in range(2)]
    assert house.ask(user="a").reason == "overloaded"
    other = house.ask(user="b")
    assert other.status == 0
    assert [made.reason for made in waiting] == ["", "overloaded"]
    high = house.ask(HIGH, "c")
    assert high.status == 0
    assert house.crowd.shed == {(NORMAL, "overloaded"): 3}
    assert house.ask(TrafficClass.LOW).status == 503


def test_users_take_turns() -> None:
    house = House(1, queue=10)
    running = house.ask(user="a")
    many = [house.ask(user="a") for _ in range(3)]
    one = house.ask(user="b")
    address = house.ask()
    order = []
    for _ in range(5):
        house.answer(running)
        (running,) = house.running
        order.append(running)
    assert order == [many[0], one, address, many[1], many[2]]


@pytest.mark.parametrize("client", ["2001:db8:1:2::1", "192.0.2.1"])
def test_an_address_counts_as_its_network(client: str) -> None:
    house = House(1)
    addresses = (client, "2001:db8:1:2:ffff::2" if ":" in client else client)

    def coming(address: str) -> Prepare:
        return lambda made: setattr(made, "client", address)

    house.ask()
    for address in addresses:
        house.ask(prepare=coming(address))
    assert len({waiter.user for waiter in house.admission.line}) == 1


def test_a_stream_holds_its_place_in_the_hall_until_its_last_byte() -> None:
    house = House(1)
    first = house.ask()
    house.answer(first, whole=False)
    assert (house.gate.room.total, house.admission.hall.total) == (0, 1)
    second = house.ask()
    assert second.status == 0
    first.sink.finish()
    assert house.running == [second]
    house.answer(second)
    house.clock.advance(1)
    assert house.is_empty()


def test_who_takes_many_answers_slowly_leaves_room_for_others() -> None:
    house = House(40, queue=5)

    def slowly(user: str, rank: TrafficClass = NORMAL) -> Exchange:
        made = house.ask(rank, user)
        if made in house.running:
            house.answer(made, whole=False)
        return made

    made = [slowly("greedy") for _ in range(50)]
    # While less than half of the hall is taken, nobody is asked.
    assert [each.status for each in made] == [200] * 20 + [503] * 30
    assert made[-1].reason == "overloaded"
    assert {slowly("modest").status for _ in range(10)} == {200}
    assert slowly("modest").status == 503
    assert slowly("greedy", CRISIS).status == 200
    assert {slowly(f"other {number}").status for number in range(9)} == {200}
    assert house.ask(user="one more").status == 0
    for each in made[:11]:
        house.pipeline.left(each)
    assert slowly("greedy").status == 503
    for each in made[11:20]:
        each.sink.finish()
    assert slowly("greedy").status == 200


def test_who_leaves_while_waiting_leaves_nothing_behind() -> None:
    house = House(1)
    first, second = house.ask(), house.ask()
    house.pipeline.left(second)
    assert (second.status, len(house.admission.line)) == (499, 0)
    house.answer(first)
    house.clock.advance(1)
    assert house.is_empty()


def test_who_leaves_while_under_way_makes_room() -> None:
    house = House(1)
    first, second = house.ask(), house.ask()
    house.pipeline.left(first)
    assert house.running == [first, second]
    house.pipeline.left(second)
    house.clock.advance(1)
    assert house.is_empty()


def test_a_connection_that_is_cut_gives_everything_back() -> None:
    house = House(1)
    first = house.ask()
    house.pipeline.end(first)
    house.pipeline.end(first)
    assert house.is_empty()


def test_a_connection_that_is_cut_while_its_request_waits_leaves_nothing_behind() -> None:
    house = House(1)
    first, second, third = house.ask(), house.ask(), house.ask()
    house.pipeline.end(second)
    house.answer(first)
    assert house.running == [third]
    house.answer(third)
    house.clock.advance(1)
    assert house.is_empty()


def test_what_later_layers_refuse_or_break_is_given_back(failures: Failures) -> None:
    house = House(1)

    def refuse(made: Exchange) -> None:
        raise BodyTooLargeError

    def break_(made: Exchange) -> None:
        raise ValueError

    house.after.enter = refuse
    assert house.ask().status == 413
    assert house.is_empty()
    house.after.enter = break_
    assert house.ask().status == 500
    assert house.is_empty()
    assert failures.take(ValueError)


def test_hundreds_who_are_let_in_and_fail_at_once_do_not_pile_up() -> None:
    house = House(1, queue=500)
    first = house.ask()
    waiting = [house.ask(user=str(number)) for number in range(500)]

    def fail(made: Exchange) -> None:
        raise NoInstanceError("no_healthy_instance")

    house.after.enter = fail
    house.answer(first)
    assert {made.status for made in waiting} == {503}
    assert {made.reason for made in waiting} == {"no_healthy_instance"}
    house.clock.advance(1)
    assert house.is_empty()


def test_who_leaves_because_of_another_who_was_let_in_gives_the_place_back() -> None:
    house = House(2)
    first, second = house.ask(), house.ask()
    third, fourth = house.ask(user="c"), house.ask(user="d")
    house.gate.resize(1)
    house.admission.hall.resize(1)
    house.answer(first)
    house.gate.resize(2)
    house.admission.hall.resize(3)

    def go(made: Exchange) -> None:
        if made is third:
            house.pipeline.left(fourth)

    house.after.enter = go
    house.answer(second)
    assert house.running == [third]
    assert house.admission.hall.total == 1
    house.answer(third)
    house.clock.advance(1)
    assert house.is_empty()


def test_crisis_passes_a_full_gate_and_it_is_said() -> None:
    house = House(4, reserved=0.25)
    for _ in range(3):
        house.ask()
    assert house.ask(CRISIS).bypass == ""
    made = house.ask(CRISIS, prepare=lambda made: setattr(made, "bypass", "rate"))
    assert made in house.running
    assert made.bypass == "rate,shed"
    assert house.crowd.bypasses == 1


def test_crisis_over_its_ceiling_gets_its_own_answer() -> None:
    house = House(4)
    for _ in range(2):
        assert house.ask(CRISIS).status == 0
    made = house.ask(CRISIS)
    assert (made.status, code(made)) == (503, b"crisis_ceiling")
    assert made.respite == (LEAST_RESPITE + RESPITE) / 2
    assert house.crowd.shed == {(CRISIS, "crisis_ceiling"): 1}


def test_one_in_a_crisis_leaves_a_place_for_others_and_gives_back_what_they_had() -> None:
    house = House(16)
    mine = [house.ask(CRISIS, "mira") for _ in range(10)]
    assert [each.status for each in mine] == [0] * 6 + [503] * 4
    assert house.ask(CRISIS, "nina").status == 0
    # What has its answer waits at no gate any more, and is still under way.
    for made in mine[:6]:
        house.answer(made, whole=False)
    assert (house.gate.shared.users, house.admission.shared.users) == ({"nina": 1}, {"mira": 6, "nina": 1})
    assert code(house.ask(CRISIS, "mira")) == b"crisis_ceiling"
    for made in mine[:6]:
        house.pipeline.left(made)
    nina = house.running[0]
    house.pipeline.left(nina)
    assert house.is_empty()


def test_who_has_most_of_a_gate_in_a_crisis_waits_for_the_next_place_and_is_not_sent_away() -> None:
    house = House(64, queue=4)
    house.gate.resize(8)
    others = [house.ask() for _ in range(8)]
    mine = [house.ask(CRISIS, "mira") for _ in range(4)]
    assert [made in house.running for made in mine] == [True, True, True, False]
    assert mine[3].status == 0
    # Somebody else has the place that was left, at once.
    nina = house.ask(CRISIS, "nina")
    assert nina in house.running
    house.answer(mine[0])
    assert mine[3] in house.running
    # Half of the queue is for a crisis, and whoever waits with most of it makes room.
    waiting = [house.ask(CRISIS, "mira") for _ in range(3)]
    assert [made.status for made in waiting] == [0, 0, 503]
    oscar = house.ask(CRISIS, "oscar")
    assert (oscar.status, code(waiting[1])) == (0, b"crisis_ceiling")
    for made in (*others, *mine[1:], nina, waiting[0], oscar):
        house.pipeline.left(made)
    house.clock.advance(1)
    assert house.is_empty()


def test_when_memory_is_short_lower_classes_are_sent_away_and_wait_no_longer() -> None:
    house = House(1)
    house.ask(HIGH)
    waiting = house.ask()
    house.pressure.seen("memory", 0.91)
    house.crowd.send_away_below(house.pressure.least, house.pressure.reason)
    assert (waiting.status, waiting.reason) == (503, "memory")
    assert house.ask(HIGH).reason == "memory"
    assert house.ask(CRISIS) in house.running
    house.pressure.seen("memory", 0.5)
    assert house.ask().status == 0


def test_an_end_for_all_who_wait() -> None:
    house = House(1)
    first, second = house.ask(), house.ask()
    house.crowd.stop()
    assert second.status == 503
    house.answer(first)
    assert house.is_empty()


def busy(house: House, seconds: float, turns: int, status: int = 200) -> None:
    """All places are taken all the time by requests that take so long."""
    while len(house.running) < house.gate.room.bound:
        house.ask(HIGH, "x")
    for _ in range(turns):
        house.clock.advance(seconds)
        for made in list(house.running):
            house.answer(made, status)
        while len(house.running) < house.gate.room.bound:
            house.ask(HIGH, "x")


def calm(house: House, seconds: float, turns: int) -> None:
    for _ in range(turns):
        made = house.ask()
        house.clock.advance(seconds)
        house.answer(made)


def test_answers_are_measured_from_admission_to_their_head() -> None:
    house = House(100, adaptive=True)
    calm(house, 0.02, 200)
    assert house.gradient.usual == pytest.approx(0.02)
    assert house.gate.room.bound == 100


def test_a_body_that_comes_slowly_says_nothing_about_the_service() -> None:
    house = House(100, adaptive=True)

    def uploading(made: Exchange) -> None:
        made.body = exchange(length=5).body

    for _ in range(100):
        made = house.ask(prepare=uploading)
        house.clock.advance(0.2)
        house.answer(made)
    assert house.gradient.usual == 0.0


def test_answers_that_say_too_much_narrow_the_gate() -> None:
    house = House(100, adaptive=True)
    calm(house, 0.02, 100)
    busy(house, 0.02, 30, status=503)
    assert house.gate.room.bound == 8
    assert house.admission.hall.bound == 100


def test_refusals_of_our_own_are_no_sign() -> None:
    house = House(100, adaptive=True)

    def fail(made: Exchange) -> None:
        raise NoInstanceError("no_healthy_instance")

    house.after.enter = fail
    for _ in range(500):
        house.ask()
        house.clock.advance(0.01)
    assert house.gate.room.bound == 100


def test_timeouts_are_a_sign() -> None:
    house = House(100, adaptive=True)
    for _ in range(8):
        while len(house.running) < house.gate.room.bound:
            house.ask(HIGH)
        house.clock.advance(1)
        for made in list(house.running):
            house.running.remove(made)
            made.reason = "response_timeout"
            house.pipeline.answer(made, Reply(504, [], b"", reason="response_timeout"))
    assert house.gate.room.bound == 8


def test_clients_that_lose_patience_are_a_sign() -> None:
    house = House(100, adaptive=True)
    calm(house, 0.02, 100)
    for _ in range(60):
        while len(house.running) < house.gate.room.bound:
            house.ask(HIGH)
        house.clock.advance(1)
        for made in list(house.running)[:10]:
            house.running.remove(made)
            house.pipeline.left(made)
    assert house.gate.room.bound < 80
