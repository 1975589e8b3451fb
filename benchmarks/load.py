"""Load: wrk for the highest rate, the open loop of fixed_rate.py for latency."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.origin import FRESH, LARGE, MIDDLE, SMALL, UPLOAD
from benchmarks.process import ADDRESS, LOAD_CORE, cpu_seconds, resident_kib

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of load; `size` is the bytes of the body that counts, in whichever direction; `kind` is for load.lua.

    `tokens` is the file with what each request has one of, a line each, where `kind` is "tokens".
    """

    name: str
    path: str
    connections: int
    size: int
    kind: str = "get"
    tokens: str = ""


ROWS = (
    Row("300 B, 1 connection", SMALL, 1, 300),
    Row("300 B, 64 connections", SMALL, 64, 300),
    Row("300 B, 1,000 connections", SMALL, 1000, 300),
    Row("300 B, 64 connections, no two heads alike", FRESH, 64, 300, kind="fresh"),
    Row("64 KiB, 64 connections", MIDDLE, 64, 64 << 10),
    Row("1 MiB, 64 connections", LARGE, 64, 1 << 20),
    Row("1 MiB uploads, 64 connections", UPLOAD, 64, 1 << 20, kind="upload"),
)
MAIN_ROW, LARGE_ROW = ROWS[1], ROWS[5]
TOKENS = 1000
TOKEN_ROWS = (
    Row("300 B, 64 connections, 1,000 tokens", SMALL, 64, 300, kind="tokens"),
    Row("300 B, 64 connections, 1,000 tokens, no two answers' heads alike", FRESH, 64, 300, kind="tokens"),
)
CHAIN_ROW = Row("the whole chain, 300 B, 64 connections, 1,000 tokens", SMALL, 64, 300, kind="tokens")


class LoadError(Exception):
    """The generator itself failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one row: `cpu` in µs a request, `resident` in KiB at its end, `errors` by kind where not 0."""

    rate: float
    cpu: float
    resident: int
    errors: dict[str, int]


def run_wrk(row: Row, port: int, pid: int, headers: Mapping[str, str], seconds: float) -> Sample:
    """Load `port` with one thread of wrk and watch the processor time and memory of `pid`.

    Raises LoadError.
    """
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{row.connections}", f"-d{max(1, round(seconds))}s"]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command += ["-s", str(HERE / "load.lua"), f"http://{ADDRESS}:{port}{row.path}", "--"]
    before = cpu_seconds(pid)
    done = subprocess.run([*command, row.kind, row.tokens], capture_output=True, text=True, check=False)
    spent = cpu_seconds(pid) - before
    found = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not found:
        raise LoadError((done.stderr or done.stdout).strip()[:200])
    result: dict[str, int] = json.loads(found[0])
    kinds = ("status", "connect", "read", "write", "timeout")
    requests = result["requests"]
    if row.tokens and result["status"]:
        # Whoever refuses has less to do: that is no rate to compare with.
        raise LoadError(f"{row.name}: a round does not count, {result['status']} good tokens were refused")
    return Sample(
        rate=requests / (result["microseconds"] / 1e6),
        cpu=spent * 1e6 / requests if requests else 0.0,
        resident=resident_kib(pid),
        errors={kind: result[kind] for kind in kinds if result[kind]},
    )


def run_fixed_rate(port: int, headers: Mapping[str, str], rate: float, seconds: float) -> dict[str, float]:
    """Ask at a fixed rate from a process of its own; returns what fixed_rate.py prints.

    Raises LoadError.
    """
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, str(HERE / "fixed_rate.py"), str(port), SMALL]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--headers", json.dumps(dict(headers))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError((done.stderr or done.stdout).strip().splitlines()[-1][:200])
    result: dict[str, float] = json.loads(done.stdout)
    return result
