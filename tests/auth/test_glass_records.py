from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.glass_kit import SharedPort
from tests.registry.fleets import SharedData, run
from tests.twisted_hygiene import Failures
from ttagw.auth.glass_records import ID, KEPT, MONTHS, RECORDS, USES, Record, Records, Uses, month_of
from ttagw.core.ids import UUID7
from ttagw.store.base import MOST_TTL, StoreAwayError

YEAR = 366 * 86400


class Book:
    """Records at times that the test says."""

    def __init__(self) -> None:
        self.data = SharedData(lambda: 0.0)
        self.port = SharedPort(self.data)
        self.records = Records(self.port)
        self.wall = 0.0
        self._numbers = count()
        self._ids = UUID7(lambda: int(self.wall * 1000), lambda size: bytes(size))

    def write(self, when: str) -> str:
        """One at this time; its id."""
        self.wall = datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
        id_ = self._ids.next().decode()
        run(self.records.write(record(id_, self.wall)))
        return id_

    def ids(self, limit: int = 200, after: str = "") -> tuple[list[str], bool]:
        found, more = run(self.records.page(limit, after))
        return [each.id for each, _ in found], more


def record(id_: str, when: float = 0.0) -> Record:
    return Record(
        id=id_,
        time=when,
        ends=when + 900.0,
        caller="thea",
        kind="token",
        issuer="https://i",
        roles=("therapist",),
        person="perry",
        reason='"Quoted", and über all.',
        route="players",
        request_id="r",
        gateway="g",
    )


@pytest.fixture
def book() -> Book:
    return Book()


def test_an_id_says_in_which_month_it_was_made(book: Book) -> None:
    for when, month in (
        ("2026-11-30T23:59:59.999", "2026-11"),
        ("2026-12-01", "2026-12"),
        ("2027-01-01", "2027-01"),
        ("2100-02-28", "2100-02"),
    ):
        id_ = book.write(when)
        assert ID.fullmatch(id_)
        assert month_of(id_) == month


def test_nothing_is_an_empty_page(book: Book) -> None:
    assert book.ids() == ([], False)


def test_what_was_written_is_read_whatever_is_in_it(book: Book) -> None:
    id_ = book.write("2026-11-26")
    ((found, uses),), _ = run(book.records.page(1))
    assert (found, uses) == (record(id_, book.wall), Uses())


def test_it_is_kept_for_seven_years(book: Book) -> None:
    book.write("2026-11-26")
    assert 7 * 365.25 * 86400 <= KEPT <= MOST_TTL
    assert {over for _, over in book.data.kept.values()} == {KEPT}


def test_no_key_is_about_a_person(book: Book) -> None:
    id_ = book.write("2026-11-26")
    run(book.records.write_uses(id_, "g-1", Uses(count=1)))
    assert sorted(book.data.kept) == [f"{MONTHS}2026-11", f"{RECORDS}2026-11/{id_}", f"{USES}2026-11/{id_}/g-1"]


@given(
    st.lists(st.tuples(st.integers(2026, 2029), st.integers(1, 12), st.integers(1, 28)), max_size=12),
    st.integers(1, 6),
)
def test_pages_have_every_record_once_newest_first(days: list[tuple[int, int, int]], limit: int) -> None:
    book = Book()
    written = [book.write(f"{year}-{month:02}-{day:02}") for year, month, day in sorted(days)]
    found: list[str] = []
    more, after = True, ""
    while more:
        ids, more = book.ids(limit, after)
        assert len(ids) == limit or not more
        found += ids
        after = found[-1] if found else ""
    assert found == written[::-1]


def test_a_page_may_begin_after_a_record_that_is_gone(book: Book) -> None:
    old = book.write("2026-10-01")
    gone = "01a21700-0000-7000-8000-000000000000"
    assert old < gone
    assert book.ids(after=gone) == ([old], False)
    assert book.ids(after=old) == ([], False)


def test_uses_of_several_gateways_are_one_count(book: Book) -> None:
    id_, other = book.write("2026-11-26"), book.write("2026-11-27")
    run(book.records.write_uses(id_, "a-1", Uses(count=2, last=50.0, routes={"r": 2})))
    run(book.records.write_uses(id_, "a-1", Uses(count=3, last=60.0, routes={"r": 3})))
    run(book.records.write_uses(id_, "b-1", Uses(count=4, last=55.0, routes={"r": 1, "s": 3})))
    ((_, none), (_, uses)), _ = run(book.records.page(2))
    assert (none.count, none.last) == (0, 0.0)
    assert uses == Uses(count=7, last=60.0, routes={"r": 4, "s": 3})
    assert book.ids() == ([other, id_], False)


def test_what_no_gateway_writes_is_passed_over_and_said(book: Book, failures: Failures) -> None:
    good = book.write("2026-11-26")
    bad = "01a21700-0000-7000-8000-000000000000"
    month = month_of(bad)
    for key, value in {
        f"{MONTHS}{month}": b"",
        f"{MONTHS}x": b"",
        f"{RECORDS}{month}/{bad}": b"\xff",
        f"{RECORDS}{month}/{bad[:-1]}1": b'{"id":"' + bad.encode() + b'"}',
        f"{RECORDS}{month}/no-id": b"{}",
        f"{USES}{month_of(good)}/{good}/x": b"[]",
        f"{RECORDS}{month}/{bad[:-1]}2": msgspec.json.encode(record(good)),
    }.items():
        book.data.put(key, value, None)
    assert book.ids() == ([good], False)
    assert book.ids(1) == ([good], False)


def test_what_the_store_raises_goes_through(book: Book) -> None:
    book.port.become(False)
    for work in (book.records.page(1), book.records.write(record("01a21700-0000-7000-8000-000000000000"))):
        with pytest.raises(StoreAwayError):
            run(work)
