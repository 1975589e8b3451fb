from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.auth.glass_kit import result
from ttagw.auth.question import MOST_BODY, CareQuestion
from ttagw.errors import UpstreamBrokenError
from ttagw.model import Exchange, Reply
from ttagw.testing import RecordingSource, ScriptedConnection, ScriptedPool, instance, service


class Asked:
    """A question to a service with one instance, whose connection is in the test's hands."""

    def __init__(self, *, path: str = "/care/{caller}/{person}", instances: int = 1, proof: bool = False) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.pool = ScriptedPool()
        self.connection = ScriptedConnection()
        self.sent: list[Exchange] = []
        self.pool.ready = [self.connection]
        made = [instance("care:1", self.pool, self.clock.seconds)][:instances]
        self.service = service(made, self.clock.seconds)
        assertion = self._assertion if proof else None
        self.question = CareQuestion(self.service, path, 1.0, self.clock, assertion)

    def _assertion(self, exchange: Exchange) -> bytes:
        self.sent.append(exchange)
        return b"proof"

    def ask(self, caller: str = "thea", person: str = "perry") -> Deferred[int]:
        return self.question.ask(caller, person, b"the-id")

    def over(self) -> bool:
        """Whether nothing is left of it."""
        return self.clock.getDelayedCalls() == [] and self.service.instances[0].in_flight == 0


def test_the_status_of_the_answer_is_the_answer() -> None:
    asked = Asked()
    found = asked.ask()
    assert result(found) is None
    assert asked.connection.attempt is not None
    asked.connection.attempt.answered_whole(Reply(204, [], b""), asked.clock.seconds())
    assert result(found) == 204
    assert asked.over()


def test_the_safe_answer_of_a_gateway_on_the_way_is_none() -> None:
    asked = Asked()
    found = asked.ask()
    assert asked.connection.attempt is not None
    safe = Reply(200, [(b"X-Crisis-Support", b"available")], b"{}")
    asked.connection.attempt.answered_whole(safe, asked.clock.seconds())
    assert result(found) == 0
    assert asked.over()


def test_a_body_is_thrown_away_and_its_connection_kept() -> None:
    asked = Asked()
    found = asked.ask()
    attempt = asked.connection.attempt
    assert attempt is not None
    source = RecordingSource()
    attempt.answered(Reply(200, []), source, asked.clock.seconds())
    assert result(found) == 200
    sink = attempt._exchange.sink
    sink.write(b"x" * MOST_BODY)
    sink.flush()
    assert not source.paused
    attempt.finished()
    sink.finish()
    assert asked.over()
    assert not asked.connection.abandoned


def test_a_body_that_is_too_long_is_stopped_and_cut_at_the_end_of_its_time() -> None:
    asked = Asked()
    found = asked.ask()
    attempt = asked.connection.attempt
    assert attempt is not None
    source = RecordingSource()
    attempt.answered(Reply(200, []), source, asked.clock.seconds())
    attempt._exchange.sink.write(b"x" * (MOST_BODY + 1))
    assert (source.paused, result(found)) == (True, 200)
    asked.clock.advance(1.0)
    assert asked.connection.abandoned
    assert asked.over()


def test_no_answer_in_time_is_none_and_counts_against_the_instance() -> None:
    asked = Asked()
    found = asked.ask()
    asked.clock.advance(0.9)
    assert result(found) is None
    asked.clock.advance(0.1)
    assert result(found) == 0
    assert asked.connection.abandoned
    assert asked.service.instances[0].refused == {"route_timeout": 1}
    assert asked.over()


def test_a_broken_answer_is_none() -> None:
    asked = Asked()
    found = asked.ask()
    assert asked.connection.attempt is not None
    asked.connection.attempt.failed(UpstreamBrokenError("bad_head"), stale=False)
    assert result(found) == 0
    assert asked.over()


def test_with_nobody_to_ask_there_is_no_answer() -> None:
    asked = Asked(instances=0)
    assert result(asked.ask()) == 0
    assert asked.clock.getDelayedCalls() == []


def test_who_does_not_want_to_know_any_more_ends_it() -> None:
    asked = Asked()
    found = asked.ask()
    found.cancel()
    assert isinstance(result(found), CancelledError)
    assert asked.connection.abandoned
    assert asked.service.instances[0].bad == 0
    assert asked.over()


@pytest.mark.parametrize(
    ("path", "caller", "person", "target"),
    [
        ("/care/{caller}/{person}", "thea", "perry", b"/care/thea/perry"),
        ("/x{person}y/{caller}", "thea", "perry", b"/xperryy/thea"),
        ("/{caller}/{person}", "a/b?c#d%e", "{caller}", b"/a%2Fb%3Fc%23d%25e/%7Bcaller%7D"),
        ("/{caller}/{person}", "urn:a@b", "a+b c", b"/urn%3Aa%40b/a%2Bb%20c"),
    ],
)
def test_ids_are_encoded(path: str, caller: str, person: str, target: bytes) -> None:
    asked = Asked(path=path)
    asked.ask(caller, person).addErrback(lambda _: None).cancel()
    assert asked.connection.target == target


def test_it_is_a_request_of_our_own_for_the_request_that_it_is_about() -> None:
    asked = Asked(proof=True)
    asked.ask().addErrback(lambda _: None).cancel()
    (exchange,) = asked.sent
    assert (exchange.method, exchange.id, exchange.identity) == (b"GET", b"the-id", None)
    assert exchange.forwarded == b"x-tta-assertion: proof\r\n"
    assert exchange.fields == [(b"user-agent", b"ttagw"), (b"accept", b"application/json")]
