from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttagw.config.services import Health
from ttagw.registry.entries import Entry, decode, encode, key_of, place_of, revision, to_entry, to_record
from ttagw.registry.records import Origin, Record

NAMES = st.text("abc-.:[]0", min_size=1, max_size=8)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", fullmatch=True)
HEALTHS = st.builds(
    lambda kind, path, expect: Health(type=kind, path=path, expect=expect),
    st.sampled_from(["http", "tcp", "websocket", "none"]),
    st.sampled_from(["/health", "/x?y=%20"]),
    st.lists(st.integers(100, 599), min_size=1, max_size=3, unique=True).map(tuple),
)
RECORDS = st.builds(
    Record,
    service=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    id=IDS,
    url=st.sampled_from(["http://a", "https://[::1]:8443"]),
    weight=st.integers(1, 1000),
    zone=st.sampled_from(["", "eu"]),
    tags=st.lists(NAMES, max_size=3).map(tuple),
    version=st.sampled_from(["", "1.2.3"]),
    dependencies=st.lists(NAMES, max_size=3).map(tuple),
    health=st.none() | HEALTHS,
    origin=st.just(Origin.SELF),
    ttl=st.floats(1.0, 600.0),
)


@given(RECORDS, st.integers(1, 2**50))
def test_a_record_comes_back_as_it_was(record: Record, number: int) -> None:
    entry = decode(encode(to_entry(record, number, "g", 5.0)))
    assert (entry.revision, entry.born, entry.by, entry.at, entry.gone) == (number, number, "g", 5.0, False)
    assert to_record(record.service, record.id, entry) == record
    assert place_of(key_of(record.service, record.id)) == (record.service, record.id)


@pytest.mark.parametrize("key", ["", "instances/", "instances/a", "instances/a/", "health/a/b", "xinstances/a/b"])
def test_other_keys_are_no_places(key: str) -> None:
    assert place_of(key) is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"{}", b'{"revision":1,"born":1,"by":"g","at":0,"more":1}', b'{"revision":"1"}', b"\xff"],
)
def test_what_is_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(raw)


@given(st.integers(0, 2**50), st.floats(0, 4e9))
def test_a_revision_is_larger_than_what_was_seen_and_not_before_its_time(seen: int, wall: float) -> None:
    made = revision(seen, wall)
    assert made > seen
    assert made >= int(wall * 1000)


def entry(born: int, number: int, by: str = "g", *, gone: bool = False) -> Entry:
    return Entry(revision=number, born=born, by=by, at=0.0, gone=gone)


def test_later_beats_earlier_and_an_end_beats_every_heartbeat_of_what_it_ended() -> None:
    ranked = [
        entry(1, 1),
        entry(1, 2),
        entry(1, 2, "h"),
        entry(1, 9),
        entry(3, 3, gone=True),
        entry(4, 4),
        entry(4, 4, gone=True),
    ]
    backwards = list(reversed(ranked))
    assert sorted(backwards, key=lambda each: each.order) == ranked
