"""The open loops of the benchmark, over real sockets, and what is made of what they heard."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import law
from benchmarks.accuracy import ALONE, TOGETHER, judge, share_of, slack, streams
from benchmarks.heard import Heard, read
from benchmarks.overload import SHARES, back
from benchmarks.overload import outcome as overload_outcome
from benchmarks.peers import HERE
from benchmarks.store_faults import outcome as store_outcome
from benchmarks.streams import CUT, REASON, TIMEOUT, UNSENT, Stream, write_plan

# The law

Times = list[tuple[float, float]]
moments = st.integers(0, 40).map(lambda tenths: tenths / 10)
decided = st.lists(st.tuples(moments, moments).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=10)


def by_force(admitted: Times, rate: float, burst: float) -> float:
    """Every time from when one was sent to when an answer came."""
    windows = [(first, last) for first, _ in admitted for _, last in admitted if first <= last]
    found = [
        (sum(1 for each in admitted if first <= each[0] and each[1] <= last), last - first) for first, last in windows
    ]
    return max(inside - rate * took - burst for inside, took in found if inside)


@given(decided, st.integers(1, 9), st.integers(1, 5))
def test_the_worst_time_is_found(admitted: Times, rate: int, burst: int) -> None:
    if admitted:
        assert law.excess(admitted, rate, burst) == pytest.approx(by_force(admitted, rate, burst))


def test_what_keeps_the_law_to_the_letter_is_not_over() -> None:
    admitted = [(0.0, 0.001)] * 5 + [(each / 10, each / 10 + 0.001) for each in range(1, 50)]
    assert law.excess(admitted, 10, 5) <= 0


def test_one_more_than_the_law_lets_through_is_over() -> None:
    admitted = [(0.0, 0.0)] * 6 + [(each / 10, each / 10) for each in range(1, 50)]
    assert law.excess(admitted, 10, 5) == pytest.approx(1.0)


def test_answers_that_took_long_accuse_nobody() -> None:
    """They may have been decided about at any time before they came."""
    assert law.excess([(0.0, 1.0)] * 15, 10, 5) <= 0
    assert law.excess([(0.0, 0.1)] * 15, 10, 5) > 0


def test_nobody_who_was_let_through_breaks_nothing() -> None:
    assert law.excess([], 10, 5) < 0


@pytest.mark.parametrize(("offered", "let_through"), [(1500, 1500), (3000, 3000), (6000, 3050), (30000, 3050)])
def test_below_a_limit_all_are_expected_and_above_it_the_limit_and_its_burst(offered: int, let_through: int) -> None:
    times = [1000 + number * 60 / offered for number in range(offered)]
    assert law.exact(times, 50, 50) == pytest.approx(let_through, abs=1)


@given(st.lists(moments, max_size=30), st.integers(1, 9), st.integers(1, 5))
def test_a_limit_without_any_error_keeps_the_law_and_lets_no_more_through(
    times: list[float], rate: int, burst: int
) -> None:
    times.sort()
    admitted: Times = []
    for place, now in enumerate(times):
        if law.exact(times[: place + 1], rate, burst) > len(admitted):
            admitted.append((now, now))
        elif admitted:
            assert law.excess([*admitted, (now, now)], rate, burst) > -0.001
    assert law.excess(admitted, rate, burst) <= 0.001


def test_errors_are_per_cent() -> None:
    assert law.error(3065, 3050) == pytest.approx(0.4918, abs=1e-4)
    assert law.error(99, 100) == -1.0
    assert law.error(0, 0) == 0.0


# What is made of it


def heard(stream: Stream, codes: Sequence[int], took: float = 0.001, reasons: Sequence[str] = ()) -> Heard:
    began = 100.0 + stream.at
    sent = [began + number / stream.rate for number in range(len(codes))]
    return Heard(stream, began, sent, [each + took for each in sent], codes, reasons)


def stream(rate: float = 100.0, seconds: float = 2.0, name: str = "s", at: float = 0.0) -> Stream:
    return Stream(name, "/", [1], rate, at, seconds)


def exact(offered: int, rate: float, limit: float, burst: float) -> list[int]:
    """As a bucket decides."""
    codes, level = [], 0.0
    for _ in range(offered):
        level = max(0.0, level - limit / rate)
        codes.append(200 if level + 1 <= burst + 1e-9 else 429)
        level += codes[-1] == 200
    return codes


def test_an_exact_limit_holds_and_says_so() -> None:
    found = judge(ALONE, heard(stream(), exact(200, 100, 50, 50)), 50, 50, 1)
    assert (found.factor, found.offered, found.expected) == (2.0, 200, 149)
    assert found.holds
    assert found.cells()[-1] == "holds"


def test_a_limit_that_lets_everything_through_does_not_hold() -> None:
    found = judge(ALONE, heard(stream(), [200] * 200), 50, 50, 1)
    assert found.error == pytest.approx(34.2, abs=0.1)
    assert found.over == pytest.approx(50, abs=0.6)
    assert found.cells()[-1] == "does not hold"


def test_a_limit_that_refuses_too_many_does_not_hold() -> None:
    found = judge(TOGETHER, heard(stream(), exact(200, 100, 45, 45)), 50, 50, 4)
    assert found.over <= 0
    assert not found.holds


def test_whoever_sends_late_is_told_apart_from_a_limit_that_lets_too_many_through() -> None:
    """Twice as slow as was meant: as many as come are let through, as they should be."""
    one = heard(stream(50), [200] * 200)
    found = judge(ALONE, Heard(stream(100), one.began, one.sent, one.ends, one.codes), 50, 50, 1)
    assert found.holds
    assert found.late == pytest.approx(1.99)


def test_an_answer_of_another_kind_does_not_hold() -> None:
    codes = exact(200, 100, 50, 50)
    codes[-1] = REASON
    found = judge(ALONE, heard(stream(), codes, reasons=["503 store_unavailable"]), 50, 50, 1)
    assert found.others == {"503 store_unavailable": 1}
    assert not found.holds


def test_only_several_gateways_and_large_limits_have_slack() -> None:
    assert [slack(50, 4), slack(1000, 1), slack(100, 4), slack(1000, 4)] == [0.0, 0.0, 0.01, 0.01]


def test_the_share_that_waited_is_of_what_was_decided_meanwhile() -> None:
    assert share_of((1000.0, 500.0), (2000.0, 505.0)) == 0.5
    assert share_of((0.0, 0.0), (0.0, 0.0)) is None


def test_keys_come_at_all_rates_at_once_and_to_all_gateways() -> None:
    these = streams([1, 2, 3, 4], 60)
    assert [each.total for each in these] == [1500, 3000, 6000, 30000, 120_000]
    assert len({each.headers["X-Key"] for each in these}) == 5
    assert {tuple(each.ports) for each in these} == {(1, 2, 3, 4)}


def test_who_waits_for_an_answer_counts_from_when_it_was_due() -> None:
    late = Heard(stream(10), 100.0, [100.5], [100.6], [200])
    assert late.seconds(0) == pytest.approx(0.6)
    assert heard(stream(10), [CUT]).seconds(0) == heard(stream(10), [UNSENT]).seconds(0) == 5.0


def test_all_that_is_due_in_a_time_is_between_its_ends() -> None:
    one = heard(stream(10), [200] * 20)
    assert one.between(0, 1) == range(10)
    assert one.between(1, 5) == range(10, 20)
    assert one.between(-2, -1) == range(0)


def loaded(crisis: Sequence[int], over: Sequence[int], after: Sequence[int]) -> dict[str, Heard]:
    """Phases of one second: nothing but 20 in a crisis; then 10, 100 and 5 of each other class beside them."""
    found = {"crisis": heard(stream(20, 4, "crisis"), crisis)}
    for name in SHARES:
        found[f"peak {name}"] = heard(stream(10, 1, at=1), [200] * 10)
        found[f"over {name}"] = heard(stream(100, 1, at=2), over, reasons=["503 overloaded"])
        found[f"after {name}"] = heard(stream(5, 1, at=3), after)
    return found


def flooded(steady: Sequence[int]) -> dict[str, Heard]:
    found = {f"steady {name}": heard(stream(10, 2), steady) for name in SHARES}
    found["crisis"] = heard(stream(20, 2, "crisis"), [200] * 40)
    found["flood"] = heard(stream(100, 1, at=1), [200] * 10 + [REASON] * 90, reasons=["503 crisis_ceiling"])
    return found


def test_what_is_done_under_overload_is_compared_with_the_peak() -> None:
    over = [200] * 9 + [REASON] * 91
    found = overload_outcome(loaded([200] * 80, over, [200] * 5), flooded([200] * 10 + [200, 429] * 5), 1.0, 1.0)
    assert (found.peak, found.goodput) == (50.0, 47.0)
    assert found.goodput_share == pytest.approx(94.0)
    assert found.crisis_lost == {}
    assert found.crisis_ratio == pytest.approx(1.0)
    assert (found.before_flood, found.in_flood, found.flood_share) == (30.0, 15.0, 50.0)
    assert found.flood == {"200": 10, "503 crisis_ceiling": 90}
    assert found.back == 0.0
    assert ["crisis requests lost", "0 of 80"] in found.rows()


def test_one_lost_in_a_crisis_is_lost() -> None:
    found = overload_outcome(loaded([*[200] * 79, TIMEOUT], [200] * 100, [200] * 5), flooded([200] * 20), 1.0, 1.0)
    assert found.crisis_lost == {"no answer": 1}


def test_it_is_back_after_the_last_window_that_was_not_well() -> None:
    well = heard(stream(20, 4), [200] * 80)
    assert back([well], 1.0, 4.0, 40.0) == 0.0
    codes = [200] * 80
    codes[45] = 429  # at 2.25 s: in the third window of half a second after 1 s
    assert back([heard(stream(20, 4), codes)], 1.0, 4.0, 40.0) == 1.5
    assert back([heard(stream(20, 4), [200] * 80, took=0.05)], 1.0, 4.0, 40.0) == float("inf")


@pytest.mark.parametrize(("load", "wrong"), [(0.5, 3), (10.0, 1)])
def test_only_above_capacity_and_without_a_crisis_requests_may_be_shed(load: float, wrong: int) -> None:
    shed = ["503 overloaded"]
    these = {
        "crisis": heard(stream(10, 3, "crisis"), [200] * 29 + [REASON], reasons=shed),
        "all low": heard(stream(10, 3, "all low"), [200] * 28 + [REASON] * 2, reasons=shed),
    }
    found = store_outcome("killed", load, these, 1.0)
    assert found.wrong_5xx == wrong
    assert found.requests == 40


def test_refusals_are_wrong_and_no_5xx() -> None:
    found = store_outcome("killed", 0.5, {"crisis": heard(stream(10, 3, "crisis"), [200] * 29 + [429])}, 1.0)
    assert (found.wrong, found.wrong_5xx) == ({"429": 1}, 0)


def test_what_grew_while_redis_was_away_is_the_wait() -> None:
    one = heard(stream(10, 3, "crisis"), [200] * 30, took=0.002)
    slow = array("d", one.ends)
    slow[15] += 0.06
    well = store_outcome("well", 0.5, {"crisis": one}, 1.0)
    assert well.wait == 0.0
    assert well.well == pytest.approx((2.0, 2.0))
    these = {"crisis": Heard(one.stream, one.began, one.sent, slow, one.codes)}
    found = store_outcome("paused", 0.5, these, 1.0, (well.during, well.after))
    assert found.wait == pytest.approx(60.0)
    assert found.longest == pytest.approx(62.0)


# Over sockets


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        asked = self.server.asked  # type: ignore[attr-defined]
        asked.append((self.client_address[0], self.path, self.headers.get("X-Key", "")))
        if self.path == "/slow":
            time.sleep(0.05)
        answer = {"/full": (503, b'{"status":503,"code":"overloaded"}'), "/cut": (0, b"")}.get(self.path, (200, b"ok"))
        if not answer[0]:
            self.close_connection = True
            return
        self.wfile.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (answer[0], len(answer[1]), answer[1]))

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[], Any]]:
    servers: list[Any] = []

    def start() -> Any:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        server.asked, server.connections = [], 0  # type: ignore[attr-defined]
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run_streams(these: Sequence[Stream], folder: Path) -> dict[str, Heard]:
    write_plan(these, folder / "plan")
    command = [sys.executable, "-m", "benchmarks.streams", str(folder / "plan"), str(folder / "heard")]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return read(folder / "heard", these)


def test_each_stream_sends_all_of_its_requests_from_its_address_to_its_ports_in_turns(
    serve: Any, tmp_path: Path
) -> None:
    one, two = serve(), serve()
    ports = [one.server_port, two.server_port]
    these = [
        Stream("a", "/a", ports, 100, 0, 0.2, {"X-Key": "k"}),
        Stream("b", "/full", ports[:1], 50, 0.1, 0.2, source="127.0.0.2", keys=2),
    ]
    found = run_streams(these, tmp_path)
    assert found["a"].counts(found["a"].all) == {"200": 20}
    assert found["b"].counts(found["b"].all) == {"503 overloaded": 10}
    assert sorted(one.asked) == [("127.0.0.1", "/a", "k")] * 10 + [
        ("127.0.0.2", "/full", f"b-{number}") for number in (0, 1) for _ in range(5)
    ]
    assert two.asked == [("127.0.0.1", "/a", "k")] * 10
    a, b = found["a"], found["b"]
    assert b.began - a.began == pytest.approx(0.1)
    assert all(a.due(number) <= a.sent[number] <= a.ends[number] for number in a.all)


def test_what_finds_no_connection_waits_for_one_and_counts_from_when_it_was_due(serve: Any, tmp_path: Path) -> None:
    one = serve()
    found = run_streams([Stream("slow", "/slow", [one.server_port], 50, 0, 0.2, lines=1)], tmp_path)["slow"]
    assert found.counts(found.all) == {"200": 10}
    assert one.connections == 1
    # Ten of 50 ms each on one connection, the last of them due after 180 ms.
    assert found.seconds(9) >= 0.3
    assert found.sent[9] >= found.ends[8]


def test_what_ends_without_an_answer_is_told_apart_and_stops_nobody_else(serve: Any, tmp_path: Path) -> None:
    port = serve().server_port
    found = run_streams([Stream("cut", "/cut", [port], 50, 0, 0.2), Stream("a", "/a", [port], 50, 0, 0.2)], tmp_path)
    assert found["cut"].counts(found["cut"].all) == {"cut": 10}
    assert found["a"].good(found["a"].all) == 10
