"""The rates of those who have the whole chain on, each shown to do all of it before, beside those who only proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import jwt_token
from benchmarks.chain_peers import verify_chain
from benchmarks.load import CHAIN_ROW, TOKENS
from benchmarks.origin import start_origin
from benchmarks.peers import Peer
from benchmarks.results import Results
from benchmarks.run import Run, direct, raise_every_one
from benchmarks.versions import versions


def measure_chain(
    peers: Sequence[Peer], rounds: int, seconds: float, folder: Path, results: Results, say: Callable[[str], None]
) -> None:
    """Start, verify, measure in turns."""
    tokens, bad = jwt_token.many(TOKENS), jwt_token.bad()
    folder.mkdir()
    file = folder / "tokens"
    file.write_text("".join(f"{token}\n" for token in tokens))
    row = replace(CHAIN_ROW, tokens=str(file))
    with ExitStack() as stack:
        origin = start_origin(folder)
        stack.callback(origin.running.stop)
        check = partial(verify_chain, origin=origin, tokens=tokens, bad=bad)
        these = raise_every_one(stack, peers, folder, origin, results, say, check)
        results.chained = [f"{it.peer.name}: {it.peer.about}" for it in these]
        if these:
            results.versions = versions()
            Run(results, rounds, seconds, say).rates([direct(origin), *these], [row], row)
