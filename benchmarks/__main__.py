"""`make bench`: the gateway beside whatever peers are installed; prints a table and writes it to benchmarks/results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import accuracy, failures, jwt_token, overload, resilience, store_faults, token_costs, traffic_costs
from benchmarks.chain import measure_chain
from benchmarks.chain_peers import CHAIN_PEERS, PLAIN
from benchmarks.load import MAIN_ROW, ROWS, TOKEN_ROWS, TOKENS, LoadError
from benchmarks.origin import start_origin
from benchmarks.peers import GATEWAY, HERE, PEERS
from benchmarks.process import NotReadyError
from benchmarks.results import Results
from benchmarks.rivals import FULL, QUICK, RIVALS
from benchmarks.run import Run, direct, raise_every_one, verify
from benchmarks.table import render
from benchmarks.token_peers import OPEN, TOKEN_PEERS, verify_tokens
from benchmarks.versions import versions

PARTS = ("load", "tokens", "chain", "failures", "costs", "accuracy", "overload")
POLLER = re.compile(r"([0-9.]+) % of a core +([0-9.]+) ms latest")
NAMES = [*[peer.name for peer in PEERS], OPEN, *PLAIN]
PHASES = 6
"""Of overload, in one span."""
PROGRAMS = {"wrk": "wrk", "nginx": "nginx", "taskset": "util-linux"}


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds, interleaved A B A B (3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (4)")
    parser.add_argument("--quick", action="store_true", help="1 round of 2 s, the 300 B row, latency and start only")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--load", action="store_true", help="of all parts only rates, latency, memory, start")
    parser.add_argument("--tokens", action="store_true", help="only rates of those who check tokens, with 1,000")
    parser.add_argument("--failures", action="store_true", help="only instances that fail; at --rate, --rounds (1)")
    parser.add_argument("--chain", action="store_true", help="only rates of those who have the whole chain on")
    parser.add_argument("--costs", action="store_true", help="only what attempts, tokens, limits and checks cost")
    parser.add_argument("--accuracy", action="store_true", help="only how exact limits are; for --span")
    parser.add_argument("--overload", action="store_true", help="only ten times the capacity; six phases in --span")
    parser.add_argument(
        "--in-flight", type=int, default=overload.IN_FLIGHT, help=f"under overload ({overload.IN_FLIGHT})"
    )
    parser.add_argument("--span", type=float, help="seconds at fixed rates (60; quick 12)")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests/s while instances fail (2000)")
    parsed = parser.parse_args(words)
    parsed.parts = [part for part in PARTS if getattr(parsed, part)] or list(PARTS)
    parsed.failure_rounds = parsed.rounds or 1
    parsed.rounds = parsed.rounds or (1 if parsed.quick else 3)
    parsed.seconds = parsed.seconds or (2.0 if parsed.quick else 4.0)
    parsed.span = parsed.span or (12.0 if parsed.quick else 60.0)
    names = parsed.only.split(",") if parsed.only else NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f"no such proxy: {', '.join(unknown)}")
    parsed.peers = [peer for peer in PEERS if peer.name in names]
    parsed.token_peers = [peer for peer in TOKEN_PEERS if peer.name in names]
    parsed.chain_peers = [peer for peer in CHAIN_PEERS if peer.name in names]
    return parsed


def obstacles(parts: Sequence[str]) -> list[str]:
    """What keeps this machine from measuring at all."""
    needed = PROGRAMS if {"load", "tokens", "chain"} & {*parts} else {"taskset": PROGRAMS["taskset"]}
    lacking = [package for program, package in needed.items() if not shutil.which(program)]
    found = [f"missing; to install: apt-get install {' '.join(lacking)}"] if lacking else []
    if (os.cpu_count() or 1) < 2:
        found.append("two cores are needed: one for the proxy, one for load and service")
    return found


def environment(rounds: int, seconds: float) -> dict[str, object]:
    """Where and how it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    compiler = platform.python_compiler()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": f"{platform.python_version()} ({compiler})",
        "rounds": f"{rounds} of {seconds:g} s, interleaved; proxy on core 0, load and service on core 1, others frozen",
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "revision": _revision(),
    }


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=HERE, check=False
    )
    return done.stdout.strip() or "unknown"


def say(text: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def write(results: Results, text: str) -> Path:
    """Write the table and the figures; returns the path of the table."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    path.with_suffix(".json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    table = path.with_suffix(".rst")
    table.write_text(text)
    return table


def measure(chosen: argparse.Namespace, folder: Path, results: Results) -> None:
    """Do everything that was asked for."""
    if "load" in chosen.parts and chosen.peers:
        measure_load(chosen, folder / "load", results)
    if "tokens" in chosen.parts and chosen.token_peers:
        measure_tokens(chosen, folder / "tokens", results)
    if "chain" in chosen.parts and chosen.chain_peers:
        measure_chain(chosen.chain_peers, chosen.rounds, chosen.seconds, folder / "chain", results, say)
    if "failures" in chosen.parts:
        measure_failures(chosen, folder / "failures", results)
    if "costs" in chosen.parts and GATEWAY in chosen.peers:
        measure_costs(results)
    if "accuracy" in chosen.parts and GATEWAY in chosen.peers:
        measure_accuracy(chosen.span, folder / "accuracy", results)
    if "overload" in chosen.parts and GATEWAY in chosen.peers:
        measure_overload(chosen.span / PHASES, chosen.in_flight, folder, results)


def measure_failures(chosen: argparse.Namespace, folder: Path, results: Results) -> None:
    """Let instances fail behind those of the chosen proxies that can be told what to do then."""
    names = {peer.name for peer in chosen.peers}
    rivals = []
    for rival in RIVALS:
        if rival.name in names and (missing := rival.missing()):
            results.absent[rival.name] = missing
        elif rival.name in names:
            rivals.append(rival)
    timing = QUICK if chosen.quick else FULL
    for found in failures.run(rivals, folder, timing, chosen.failure_rounds, chosen.rate, say):
        if isinstance(found, str):
            results.faults.append(found)
        else:
            results.failures.append(found)


def measure_costs(results: Results) -> None:
    """What an attempt costs, and what checks do."""
    say("an attempt without sockets")
    results.costs = resilience.measure()
    say("a token without sockets")
    results.token_costs = token_costs.measure()
    say("limits, classes, admission, guard without sockets")
    results.traffic_costs = traffic_costs.measure()
    say("2,000 instances checked each 10 s")
    command = [sys.executable, "-m", "benchmarks.poller", "--kinds", "http"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, check=False)
    found = POLLER.search(done.stdout)
    if found is None:
        results.faults.append(f"the poller: {(done.stderr or done.stdout).strip()[-200:]}")
    else:
        results.poller = {"percent": float(found[1]), "latest": float(found[2]) / 1000}


def measure_accuracy(span: float, folder: Path, results: Results) -> None:
    """How exact limits are."""
    for found in accuracy.run(folder, span, say):
        if isinstance(found, accuracy.Accuracy):
            results.accuracy.append(found)
        elif isinstance(found, float):
            results.waited = found
        else:
            results.faults.append(found)


def measure_overload(phase: float, in_flight: int, folder: Path, results: Results) -> None:
    """Ten times what a service can do, and a Redis that fails meanwhile."""
    try:
        results.overload = overload.run(folder / "overload", phase, in_flight, say)
    except (NotReadyError, LoadError, OSError) as fault:
        results.faults.append(f"overload: {fault}")
    if not shutil.which("redis-server"):
        results.absent["redis"] = "apt-get install redis-server"
        return
    for found in store_faults.run(folder / "store", phase, in_flight, say):
        if isinstance(found, str):
            results.faults.append(found)
        else:
            results.store_faults.append(found)


def measure_load(chosen: argparse.Namespace, folder: Path, results: Results) -> None:
    """Rates, latency, memory and start."""
    run = Run(results, chosen.rounds, chosen.seconds, say)
    folder.mkdir()
    with ExitStack() as stack:
        origin = start_origin(folder)
        stack.callback(origin.running.stop)
        base = direct(origin)
        verify(base)
        these = raise_every_one(stack, chosen.peers, folder, origin, results, say)
        results.peers = [f"{it.peer.name}: {it.peer.about}" for it in these]
        if not these:
            raise NotReadyError("; ".join(results.faults) or "none of the chosen proxies is installed")
        run.rates([base, *these], [MAIN_ROW] if chosen.quick else ROWS)
        run.latency([base, *these])
        if not chosen.quick:
            run.idle(these, folder, origin)
        if GATEWAY in chosen.peers:
            run.starts(folder, origin)
            if not chosen.quick:
                run.streams(folder, origin)


def measure_tokens(chosen: argparse.Namespace, folder: Path, results: Results) -> None:
    """Rates of those who check tokens, each shown to refuse bad ones before."""
    run = Run(results, chosen.rounds, chosen.seconds, say)
    tokens, bad = jwt_token.many(TOKENS), jwt_token.bad()
    folder.mkdir()
    file = folder / "tokens"
    file.write_text("".join(f"{token}\n" for token in tokens))
    rows = [replace(row, tokens=str(file)) for row in TOKEN_ROWS]
    with ExitStack() as stack:
        origin = start_origin(folder)
        stack.callback(origin.running.stop)
        check = partial(verify_tokens, tokens=tokens, bad=bad)
        these = raise_every_one(stack, chosen.token_peers, folder, origin, results, say, check)
        results.compared = [f"{it.peer.name}: {it.peer.about}" for it in these]
        if these:
            results.versions = versions()
            run.rates([direct(origin), *these], rows[:1] if chosen.quick else rows, rows[0])


def main() -> int:
    """Measure, print, write."""
    chosen = options()
    if problems := obstacles(chosen.parts):
        print("\n".join(problems), file=sys.stderr)
        return 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = Results(environment(chosen.rounds, chosen.seconds))
    folder = Path(tempfile.mkdtemp(prefix="ttagw-bench-"))
    folder.chmod(0o755)  # nginx's workers may run as another user
    try:
        measure(chosen, folder, results)
    except NotReadyError as fault:
        print(f"Nothing could be measured: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted; what has been measured so far:")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = render(results)
    print(f"\n{text}")
    print(f"written to {os.path.relpath(write(results, text))} and .json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
