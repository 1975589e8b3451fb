"""Whether every value is of the right form, said in sentences of ours."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ttagw.config.faults import Finding, Key, shown
from ttagw.config.model import Config

_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing_size": "a whole number that is not as big",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "datetime_type": "a date with a time",
    "model_type": "a table",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "of {} or more"),
    "greater_than": ("gt", "above {}"),
    "less_than_equal": ("le", "of {} or less"),
}


@dataclass(frozen=True)
class Validated:
    """What came of it."""

    config: Config | None
    """With faulty keys left out, if that was possible, so that other checks can look at the rest."""
    findings: list[Finding]
    left_out: tuple[Key, ...] = ()

    def doubts(self, key: Key) -> bool:
        """Whether a further finding about this key may come from what was left out beside it."""
        return any(key[: len(each) - 1] == each[:-1] for each in self.left_out)


def validate(document: dict[str, Any]) -> Validated:
    """The values of a parsed file."""
    try:
        return Validated(_read(document), [])
    except ValidationError as error:
        details = error.errors()
        findings = findings_of(error)
    left_out = tuple([_table_key(key) for key, _ in findings])
    if any(each["type"] == "missing" or each["loc"][-1:] == ("[key]",) for each in details):
        return Validated(None, findings)
    rest = deepcopy(document)
    for key in left_out:
        _remove(rest, key)
    try:
        return Validated(_read(rest), findings, left_out)
    except ValidationError:
        return Validated(None, findings)


def findings_of(error: ValidationError) -> list[Finding]:
    """Where each fault is, and a sentence of ours about it."""
    return [(_key(each), _sentence(each)) for each in error.errors()]


def _read(document: dict[str, Any]) -> Config:
    return Config.model_validate(document, context={"file": True})


def _key(error: ErrorDetails) -> Key:
    key = error["loc"]
    return key[:-1] if key[-1:] == ("[key]",) else key


def _table_key(key: Key) -> Key:
    """The key in a table that this is, or is in: nothing can be taken out of a list without moving the rest."""
    while isinstance(key[-1], int):
        key = key[:-1]
    return key


def _remove(document: Any, key: Key) -> None:
    for part in key[:-1]:
        try:
            document = document[part]
        except (LookupError, TypeError):
            return
    if isinstance(document, dict):
        document.pop(key[-1], None)


def _sentence(error: ErrorDetails) -> str:
    kind = error["type"]
    given = shown(error["input"])
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        return "there is no such key here"
    if kind == "missing":
        return "must be given"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return (
            f"expected {str(context['expected']).replace(chr(39) * 2, chr(34) * 2).replace(chr(39), '')}, got {given}"
        )
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        return f"expected a number {words.format(int(bound) if bound == int(bound) else bound)}, got {given}"
    return f"expected {_EXPECTED.get(kind) or error['msg']}, got {given}"
