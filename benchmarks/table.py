"""The tables: reStructuredText that is also readable as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.accuracy import HOT_RATE
from benchmarks.chain_peers import ABOUT_CHAIN
from benchmarks.load import CHAIN_ROW, ROWS, TOKEN_ROWS, Row
from benchmarks.outcome import Outcome
from benchmarks.overload import CAPACITY, SLOTS
from benchmarks.results import DIRECT, Results
from benchmarks.targets import US, targets
from benchmarks.token_peers import ABOUT_TOKENS, OPEN


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A simple table; the first column to the left, the others to the right."""
    cells = [list(header), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def render(results: Results) -> str:
    """The whole report."""
    parts = [_title("Benchmark"), _environment(results)]
    for row in ROWS:
        if row.name in results.samples:
            parts += [_section(row.name), _rates(results, row)]
    if results.latency:
        parts += [
            _section(f"Latency at {_fixed_rate(results):,.0f} requests/s, 300 B (open loop, ms)"),
            _latency(results),
        ]
    if results.idle_kib:
        idle = [[peer, f"{value:.1f}"] for peer, value in results.idle_kib.items()]
        parts += [_section("Idle keep-alive connections"), grid(["proxy", "KiB each"], idle)]
    if results.compared:
        parts += _tokens(results)
    if results.chained:
        parts += _chain(results)
    parts += _policies(results)
    if results.failures:
        parts += [_section(_failing(results)), _failures(results.failures)]
    if results.costs:
        rows = results.costs.rows()
        parts += [_section("An attempt without sockets (CPU µs a request)"), grid(["what", "best", "median"], rows)]
    if results.token_costs:
        rows = results.token_costs.rows()
        parts += [_section("A token without sockets (CPU µs a request)"), grid(["what", "best", "median"], rows)]
    if results.traffic_costs:
        rows = results.traffic_costs.rows()
        title = "Limits, classes, admission without sockets (CPU µs a request)"
        parts += [_section(title), grid(["what", "best", "median"], rows)]
    parts += [
        _section("How good"),
        grid(["demand", "bound", "measured", ""], [each.cells() for each in targets(results)]),
    ]
    notes = [f"* {name} was not measured. Missing: {reason}" for name, reason in results.absent.items()]
    notes += [f"* {fault}" for fault in results.faults]
    if notes:
        parts += [_section("Notes"), "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def _tokens(results: Results) -> list[str]:
    """The rows of the load with tokens, what was compared there, and with which versions."""
    parts = []
    for row in TOKEN_ROWS:
        if row.name in results.samples:
            parts += [_section(row.name), _rates(results, row)]
            more = results.cpu_over(row.name, US, OPEN)
            if more is not None:
                parts.append(f"CPU of {US} for a request with a token over one without: {more:+.1f} µs")
    return [*parts, *_compared(ABOUT_TOKENS, results.compared, results)]


def _chain(results: Results) -> list[str]:
    """The row with everything on."""
    parts = [_section(CHAIN_ROW.name)]
    if CHAIN_ROW.name in results.samples:
        parts.append(_rates(results, CHAIN_ROW))
    return [*parts, *_compared(ABOUT_CHAIN, results.chained, results)]


def _compared(title: str, these: Sequence[str], results: Results) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return [_section(f"What was compared: {title}"), "\n".join(f"* {each}" for each in these), f"Versions: {versions}"]


def _policies(results: Results) -> list[str]:
    """How exact limits are, and what overload does."""
    parts = []
    if results.accuracy:
        header = [
            "limit, offered",
            "requests",
            "let through",
            "expected",
            "off by %",
            "bound",
            "over",
            "late ms",
            "others",
            "",
        ]
        rows = [each.cells() for each in results.accuracy]
        parts += [_section("Limits at fixed rates (open loop, a key each)"), grid(header, rows)]
        if results.waited is not None:
            parts.append(f"Waited for Redis at {HOT_RATE:,} requests/s for one key: {results.waited:.2f} %")
    if results.overload:
        title = f"Overload: a service that can do {CAPACITY:g} requests/s, {SLOTS} at once"
        parts += [_section(title), grid(["what", "measured"], results.overload.rows())]
    if results.store_faults:
        header = [
            "Redis",
            "requests",
            "before",
            "in it",
            "after",
            "well, in it",
            "well, after",
            "longest",
            "more",
            "sent late",
            "wrong",
        ]
        rows = [each.cells() for each in results.store_faults]
        title = "Redis fails under load (p99.9 in ms; well: at that time of a run in which nothing happened to it)"
        parts += [_section(title), grid(header, rows)]
    return parts


def _rates(results: Results, row: Row) -> str:
    rows = []
    for peer, samples in results.samples[row.name].items():
        rates = [sample.rate for sample in samples]
        errors = {kind for sample in samples for kind in sample.errors}
        ratio = None if peer == US else results.ratio(row.name, US, peer)
        rows.append(
            [
                peer,
                f"{median(rates):,.0f}",
                f"{min(rates):,.0f} - {max(rates):,.0f}",
                f"{median(rates) * row.size / (1 << 20):,.1f}",
                f"{ratio:.2f}" if ratio is not None else "",
                f"{median(sample.cpu for sample in samples):,.1f}",
                f"{samples[-1].resident / 1024:,.1f}",
                ", ".join(f"{kind} {sum(each.errors.get(kind, 0) for each in samples)}" for kind in sorted(errors))
                or "0",
            ]
        )
    header = ["proxy", "requests/s", "range", "MiB/s", f"{US} / it", "CPU µs/request", "RSS MiB", "errors"]
    return grid(header, rows)


def _latency(results: Results) -> str:
    names = ("p50", "p99", "p99.9")
    rows = []
    for peer in [each for each, windows in results.latency.items() if windows]:
        values = [f"{results.percentile(peer, name):.3f}" for name in names]
        highest = [each["p99"] for each in results.latency[peer]]
        added = ["" if peer == DIRECT else f"{results.added(peer, name):+.3f}" for name in names]
        unanswered = sum(int(each["unanswered"]) for each in results.latency[peer])
        rows.append([peer, *values, f"{min(highest):.1f} - {max(highest):.1f}", *added, str(unanswered)])
    header = ["proxy", *names, "range of p99", *(f"added {name}" for name in names), "unanswered"]
    return grid(header, rows)


def _failing(results: Results) -> str:
    rate = median(each.rate for each in results.failures)
    return f"One of four instances fails, {rate:,.0f} requests/s, one in five a POST"


def _failures(failures: Sequence[Outcome]) -> str:
    """By failure, then proxy; rounds are added up, durations are medians."""
    together: dict[tuple[str, str], list[Outcome]] = {}
    for each in failures:
        together.setdefault((each.fault, each.proxy), []).append(each)
    header = ["failure", "proxy", "GETs failed", "POSTs failed", "begun", "tries there", "POSTs twice"]
    header += ["quiet after s", "back after s", "p99 before", "p99 ms", "requests/s"]
    return grid(header, [[*key, *_failure(these)] for key, these in together.items()])


def _failure(these: Sequence[Outcome]) -> list[str]:
    # Never is later than anything.
    back = median(each.until_back if each.until_back >= 0 else float("inf") for each in these)
    return [
        _share(sum(each.gets_failed for each in these), sum(each.gets for each in these)),
        _share(sum(each.posts_failed for each in these), sum(each.posts for each in these)),
        str(sum(each.begun for each in these)),
        str(sum(each.tries for each in these)),
        str(sum(each.posts_twice for each in these)),
        f"{median(each.until_quiet for each in these):.2f}",
        "never" if back == float("inf") else f"{back:.2f}",
        f"{median(each.p99_before for each in these):.1f}",
        f"{median(each.p99 for each in these):.1f}",
        f"{median(each.rate for each in these):,.0f}",
    ]


def _share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.3f} %)" if of else "-"


def _fixed_rate(results: Results) -> float:
    return next(runs[0]["rate"] for runs in results.latency.values() if runs)


def _environment(results: Results) -> str:
    return "\n".join(f":{name}: {value}" for name, value in results.environment.items())


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}"


def _section(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"
