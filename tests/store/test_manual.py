"""Every reason that a store gives is in the manual, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.store.kit import new_store
from ttagw.store import redis_errors

ROOT = Path(__file__).parent.parent.parent
CALLS = {"StoreAwayError", "StoreRefusedError", "StoreFileError", "drop", "down", "_away", "_end"}
INSIDE = {"bad_key", "too_large", "done", "closed", "stopped", "starting", "failed", "no_script"}
"""Those that no operator sees: faults of the caller, ends that were asked for, bugs."""


def given(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            if name in CALLS:
                for each in ast.walk(node.args[0]):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        yield each.value
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") in ("_FILE", "_SYSTEM", "_AWAY", "_REFUSED", "_SENTENCES", "_CONNECTING"):
                yield from re.findall(r"'([a-z_]+)'", ast.unparse(node.value))


def test_the_reasons_are_in_the_manual() -> None:
    reasons: set[str] = set()
    for path in (ROOT / "ttagw" / "store").glob("*.py"):
        reasons |= set(given(ast.parse(path.read_text("utf-8"))))
    reasons = {reason for reason in reasons if re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)} - INSIDE - {"unusable"}
    text = (ROOT / "docs" / "store.rst").read_text("utf-8")
    first = re.findall(r"^   \* - (``.*)$", text, re.MULTILINE)
    documented = {word for cell in first for word in re.findall(r"``([a-z_]+)``", cell)}
    assert {reason for reason in reasons if reason not in documented} == set()
    names = {"ttagw_store_up", "ttagw_store_operations_total", "ttagw_store_seconds"}
    assert documented - reasons - names == set()
    assert set(redis_errors._AWAY.values()) <= documented


def test_the_metrics_are_in_the_manual() -> None:
    text = (ROOT / "docs" / "store.rst").read_text("utf-8")
    for metric in new_store("memory:").collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = ", ".join(metric._labelnames)
        assert f"``{name}``\n     - {metric.type}\n     - {labels}\n" in text
