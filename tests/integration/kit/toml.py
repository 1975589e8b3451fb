"""Configurations written as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def dump(document: Document) -> str:
    """Sections as tables, lists of tables as arrays of tables, everything below them inline."""
    blocks: list[str] = []
    for name, content in document.items():
        if isinstance(content, list):
            blocks += [_block(f"[[{name}]]", each) for each in content]
        elif name == "services":
            blocks += [_block(f"[{name}.{each}]", table) for each, table in content.items()]
        else:
            blocks.append(_block(f"[{name}]", content))
    return "\n".join(blocks)


def _block(head: str, table: Document) -> str:
    return "\n".join([head, *(f"{_key(key)} = {_value(value)}" for key, value in table.items()), ""])


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join([f"{_key(key)} = {_value(each)}" for key, each in value.items()]) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_value(each) for each in value]) + "]"
    return json.dumps(value)
