from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ttagw.core.identity import Identity
from ttagw.core.revocation import (
    GRACE,
    JTI,
    KEY,
    KINDS,
    MOST_SWEPT,
    UNREADABLE,
    USER,
    Entry,
    Table,
    lifted,
    mark,
    marks_of,
    revoked,
)

INF = float("inf")
TIMES = st.sampled_from([0.0, 10.0, 20.0, 30.0, 40.0])
ENTRIES = st.builds(Entry, st.sampled_from(KINDS), st.integers(1, 9), TIMES, TIMES | st.just(INF), st.booleans())


def token(user: str = "u", jti: str = "j", issued: float = 0.0) -> Identity:
    return Identity("token", user, (), (), token_id=jti, issued=issued)


def forbids(table: Table, identity: Identity, now: float) -> bool:
    return table.forbids(identity.issued, marks_of(identity), now)


# Which of two counts


@given(ENTRIES, ENTRIES.map(lambda entry: entry._replace(lifted=False)), TIMES)
def test_revoking_again_never_forbids_less(found: Entry, wanted: Entry, now: float) -> None:
    after = revoked(found, wanted, now)
    assert after.revision > found.revision
    assert not after.lifted
    assert after.moment >= wanted.moment
    assert after.end >= wanted.end
    if found.holds(now):
        assert after.moment == max(found.moment, wanted.moment)
        assert after.end == max(found.end, wanted.end)
    else:
        assert after[2:] == wanted[2:]


def test_what_was_never_revoked_becomes_what_is_wanted() -> None:
    wanted = Entry(USER, 7, 1.0, 2.0)
    assert revoked(None, wanted, 0.0) is wanted


def test_what_cannot_be_read_is_replaced_by_what_can() -> None:
    after = revoked(Entry(UNREADABLE, 0, INF, INF), Entry(USER, 7, 1.0, 2.0), 0.0)
    assert after == Entry(USER, 7, 1.0, 2.0)


@given(ENTRIES, TIMES)
def test_what_is_lifted_is_known_for_as_long_as_somebody_may_think_otherwise(found: Entry, now: float) -> None:
    after = lifted(found, found.kind, now, 100.0)
    assert not after.holds(now)
    assert after.revision > found.revision
    assert after.end == (now + 100.0 if found.end == INF else found.end)
    assert 0.0 <= after.moment < INF


def test_lifting_what_cannot_be_read_leaves_something_that_can_be_stored() -> None:
    assert lifted(Entry(UNREADABLE, 0, INF, INF), JTI, 10.0, 100.0) == Entry(JTI, 10_000, 10.0, 110.0, True)


# Marks


def test_marks_differ_by_kind_and_id_and_say_nothing_of_either() -> None:
    found = {mark(kind, id_) for kind in KINDS for id_ in ("a", "b", "", "é", "\ud800")}
    assert len(found) == 15
    assert all(len(each) == 64 for each in found)


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_who_has_no_token_is_marked_by_name(kind: str) -> None:
    assert marks_of(Identity(kind, "ci", (), ())) == (mark(KEY, "ci"),)


def test_a_token_is_marked_by_its_id_and_its_user() -> None:
    assert set(marks_of(token("u", "j"))) == {mark(JTI, "j"), mark(USER, "u")}
    assert marks_of(token("u", "")) == (mark(USER, "u"),)


# What is forbidden


def test_a_user_is_refused_what_was_issued_at_the_moment_or_before_and_what_does_not_say_when() -> None:
    table = Table()
    table.take(mark(USER, "u"), Entry(USER, 1, 100.0, 1000.0), b"")
    assert [forbids(table, token("u", "j", issued), 200.0) for issued in (0.0, 99.0, 100.0, 100.001)] == [
        True,
        True,
        True,
        False,
    ]
    assert not forbids(table, token("v"), 200.0)
    assert not table.forbids(0.0, marks_of(Identity("key", "u", (), ())), 200.0)


def test_what_cannot_be_read_forbids_all_that_it_can_be_of() -> None:
    table = Table()
    table.take(mark(USER, "u"), Entry(UNREADABLE, 0, INF, INF), b"?")
    assert forbids(table, token("u", issued=1e10), 1e10)
    assert table.counts(0.0) == {"jti": 0, "user": 0, "key": 0, "unreadable": 1}


def test_an_entry_forbids_until_its_end_and_is_kept_for_a_clock_that_was_ahead() -> None:
    table = Table()
    place = mark(JTI, "j")
    table.take(place, Entry(JTI, 1, 0.0, 100.0), b"")
    assert [forbids(table, token(), now) for now in (99.9, 100.0)] == [True, False]
    assert table.counts(100.0)["jti"] == 0
    assert (table.sweep(100.0 + GRACE - 0.1), len(table)) == (0, 1)
    assert (table.sweep(100.0 + GRACE), len(table), place in table) == (1, 0, False)


class Beside(RuleBasedStateMachine):
    """The table, and every entry that it was ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.table = Table()
        self.given: dict[str, list[Entry]] = {}

    @rule(id_=st.sampled_from("ab"), entry=ENTRIES)
    def take(self, id_: str, entry: Entry) -> None:
        place = mark(entry.kind, id_)
        known = self.given.setdefault(place, [])
        raw = repr(entry).encode()
        newer = all((each.revision, repr(each).encode()) < (entry.revision, raw) for each in known)
        assert self.table.take(place, entry, raw) == newer
        known.append(entry)

    @rule(seconds=st.sampled_from([5.0, 10.0, GRACE]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        over = [place for place in self.given if self.newest(place).over(self.now)]
        assert self.table.sweep(self.now) == len(over)
        for place in over:
            del self.given[place]

    def newest(self, place: str) -> Entry:
        return max(self.given[place], key=lambda each: (each.revision, repr(each).encode()))

    @invariant()
    def it_forbids_what_the_newest_say(self) -> None:
        holding = {place: self.newest(place) for place in self.given if self.newest(place).holds(self.now)}
        for id_ in "abc":
            for issued in (0.0, 10.0, 20.0, 50.0):
                by_user = holding.get(mark(USER, id_))
                expected = mark(JTI, id_) in holding or (by_user is not None and issued <= by_user.moment)
                assert forbids(self.table, token(id_, id_, issued), self.now) == expected
            key = Identity("key", id_, (), ())
            assert forbids(self.table, key, self.now) == (mark(KEY, id_) in holding)
        kinds = [each.kind for each in holding.values()]
        assert self.table.counts(self.now) == {kind: kinds.count(kind) for kind in KINDS}
        # To count is to sweep.
        self.given = {place: known for place, known in self.given.items() if not self.newest(place).over(self.now)}
        assert len(self.table) == len(self.given)

    @invariant()
    def its_parts_are_all_of_it(self) -> None:
        found = dict([item for digit in "0123456789abcdef" for item in self.table.part(digit).items()])
        assert found.keys() == self.given.keys()
        assert all(kept.entry == self.newest(place) for place, kept in found.items())


def test_a_sweep_does_some_thousands_at_once() -> None:
    table = Table()
    for number in range(MOST_SWEPT + 10):
        table.take(mark(JTI, str(number)), Entry(JTI, 1, 0.0, 100.0), b"")
    assert table.counts(100.0)["jti"] == 10
    assert table.counts(100.0)["jti"] == 0
    assert [table.sweep(100.0 + GRACE) for _ in range(3)] == [MOST_SWEPT, 10, 0]
    assert len(table) == 0


def test_what_is_revoked_again_and_again_takes_no_more_room() -> None:
    table = Table()
    for number in range(20_000):
        table.take(mark(JTI, "j"), Entry(JTI, number + 1, 0.0, 100.0 + number), b"%d" % number)
    assert len(table._due) <= 1002
    assert table.counts(100.0 + 19_998)["jti"] == 1
    assert table.counts(100.0 + 19_999)["jti"] == 0


TestBeside = Beside.TestCase
TestBeside.settings = settings(max_examples=60, deadline=None)
