"""docs/configuration.rst, written from the model: `python -m ttagw.config.manual > docs/configuration.rst`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ttagw.config.available import accepted, missing_feature
from ttagw.config.faults import Key
from ttagw.config.model import Config
from ttagw.config.schema import fields, model_of, unit_of, written_default

_BEFORE = """\
=============
Configuration
=============

.. Written by ``python -m ttagw.config.manual`` from the docstrings of ``ttagw/config``; change those instead.

``ttagw`` reads one TOML file. ``ttagw check FILE`` says everything that is wrong with it, each with its line;
``ttagw schema`` prints its JSON Schema for editors; ``ttagw routes FILE`` shows which requests go where.
``etc/ttagw.toml`` is a complete example.

* Durations are ``"500ms"``, ``"2s"``, ``"15m"``, ``"1h"``, ``"7d"``, ``"7y"``.
* Sizes are ``"300B"``, ``"64KiB"``, ``"10MiB"``, ``"1GiB"``, or a number of bytes.
* Rates are ``"10/s"``, ``"100/min"``, ``"1000/h"``, ``"10000/day"``, or of several such spans: ``"10/2s"``.
* Every string may hold ``${NAME}`` or ``${NAME:-default}``, which the environment fills in; ``$${`` stands for
  ``${``.
* Relative paths begin at the folder of the file. Only those within endpoint strings (``ssl:…``, ``unix:…``) begin at
  the folder in which the daemon is started.
* A key that is not known is a fault. So is a key whose feature does not exist in this version: it is marked *not
  available yet*, and it is never accepted and then ignored.
"""

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def render() -> str:
    """The whole page."""
    lines = [_BEFORE]
    for name, field in fields(Config):
        lines += _section((name,), field)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(key: Key, field: FieldInfo) -> Iterator[str]:
    model = model_of(field.annotation)
    heading = _heading(key, field)
    yield from (heading, "=" * len(heading) if len(key) == 1 else "-" * len(heading), "")
    yield from (_markup(field.description or ""), "")
    place = _place(key, field)
    if missing_feature(place) or missing_feature((*place, "?")):
        yield from ("*Not available yet.*", "")
    inner: list[tuple[Key, FieldInfo]] = []
    for name, each in fields(model) if model is not None else ():
        if _is_section(each):
            inner.append(((*place, name), each))
        else:
            yield from _entry((*place, name), name, each)
    for below, each in inner:
        yield from _section(below, each)


def _entry(key: Key, name: str, field: FieldInfo) -> Iterator[str]:
    default = written_default(field)
    facts = [_kind(field)]
    if field.is_required():
        facts.append("must be given")
    elif default is not None:
        facts.append(f"default ``{_toml(default)}``")
    yield f"``{name}`` ({', '.join(facts)})"
    yield f"   {_markup(field.description or '')}{_not_yet(key)}"
    inner = model_of(field.annotation)
    if inner is not None:
        yield ""
        for part, each in fields(inner):
            for line in _entry((*key, part), part, each):
                yield f"   {line}" if line else ""
    else:
        yield ""


def _not_yet(key: Key) -> str:
    """That a key is unavailable beside others that are not; whole sections say so once."""
    if not missing_feature(key) or missing_feature((*key[:-1], "?")):
        return ""
    values = accepted(key)
    return f" *Not available yet; it may only say* ``{_toml(values[0])}``." if values else " *Not available yet.*"


def _is_section(field: FieldInfo) -> bool:
    """Whether a table has a heading of its own: those that are always there, or named by people, and lists of them."""
    if model_of(field.annotation) is None or field.annotation is None:
        return False
    plain = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    return plain or get_origin(field.annotation) is dict


def _heading(key: Key, field: FieldInfo) -> str:
    names = ["NAME" if part == "?" else str(part) for part in key]
    if get_origin(field.annotation) is dict:
        names.append("NAME")
    text = ".".join(names)
    return f"[[{text}]]" if get_origin(field.annotation) is tuple else f"[{text}]"


def _place(key: Key, field: FieldInfo) -> Key:
    """Where the keys of a section stand; "?" for what people name or count."""
    return (*key, "?") if get_origin(field.annotation) in (dict, tuple) else key


def _kind(field: FieldInfo) -> str:
    unit = unit_of(field)
    return unit.name.replace("`", "``") if unit is not None else _kind_of(field.annotation)


def _kind_of(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join([f'``"{each}"``' for each in parts])
    if origin is tuple:
        return "list of tables" if model_of(annotation) else f"list of {_plural(_kind_of(parts[0]))}"
    if origin is dict:
        return "table of tables" if model_of(annotation) else f"table of {_plural(_kind_of(parts[1]))}"
    if model_of(annotation):
        return "table"
    if hasattr(annotation, "__metadata__"):
        return _kind_of(annotation.__origin__)
    return _KINDS.get(annotation, "text")


def _plural(kind: str) -> str:
    return kind if kind.startswith("one of") else f"{kind}s"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _markup(text: str) -> str:
    """Docstrings have single backticks, and are one paragraph."""
    return re.sub(r"`([^`]+)`", r"``\1``", " ".join(text.split()))


if __name__ == "__main__":
    sys.stdout.write(render())
