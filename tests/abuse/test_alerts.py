from __future__ import annotations

from ttagw.abuse.alerts import MOST, WITHIN, Alerts
from ttagw.abuse.entries import Block
from ttagw.registry.events import Event, Events
from ttagw.testing import Clock


class Heard:
    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        events = Events(self.clock)
        events.listen(self.events.append)
        self.alerts = Alerts(events, self.clock)

    @property
    def told(self) -> list[tuple[str, str, str, str]]:
        return [(each.kind, each.instance, each.reason, each.severity) for each in self.events]


def of(subject: str, by: str = "threshold", kind: str = "address", reason: str = "refusals") -> Block:
    return Block(kind, subject, 0.0, None, None, by, reason)  # type: ignore[arg-type]


def test_an_address_is_named_and_a_user_is_not() -> None:
    heard = Heard()
    heard.alerts.blocked(of("2001:db8::/64"))
    heard.alerts.blocked(of("mira", kind="user"))
    heard.alerts.blocked(of("10.0.0.0/8", "operator", reason="ticket-1"))
    heard.alerts.lifted(of("10.0.0.0/8", "operator"))
    heard.alerts.lifted(of("mira", kind="user"))
    assert heard.told == [
        ("address_blocked", "2001:db8::/64", "refusals", "alert"),
        ("user_blocked", "", "refusals", "alert"),
        ("address_blocked", "10.0.0.0/8", "operator", "info"),
        ("block_lifted", "10.0.0.0/8", "address", "info"),
        ("block_lifted", "", "user", "info"),
    ]


def test_of_very_many_it_is_told_once_that_they_are() -> None:
    heard = Heard()
    for number in range(1000):
        heard.alerts.blocked(of(f"10.0.{number // 250}.{number % 250}"))
    assert [each[0] for each in heard.told] == ["address_blocked"] * MOST + ["many_blocked"]
    assert heard.told[-1][3] == "alert"
    heard.clock.advance(WITHIN)
    for number in range(1000):
        heard.alerts.blocked(of(f"10.1.{number // 250}.{number % 250}"))
    assert [each[0] for each in heard.told[MOST + 1 :]] == ["address_blocked"] * MOST + ["many_blocked"]


def test_what_operators_do_is_told_in_any_case() -> None:
    heard = Heard()
    for number in range(30):
        heard.alerts.blocked(of(f"10.0.0.{number}", "operator"))
    assert len(heard.told) == 30
