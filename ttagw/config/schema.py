"""The JSON Schema of a configuration file as people write it: durations as text, lists as arrays, no nulls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from ttagw.config.model import Config
from ttagw.config.units import Unit


def json_schema() -> dict[str, Any]:
    """For editors: JSON Schema 2020-12."""
    document = Config.model_json_schema()
    definitions = document["$defs"]
    for model in models(Config):
        table = document if model is Config else definitions[model.__name__]
        for name, field in fields(model):
            table["properties"][name] = _property(table["properties"][name], field)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": "urn:ttagw:configuration",
        **document,
        "title": "ttagw configuration",
    }


def _property(schema: dict[str, Any], field: FieldInfo) -> dict[str, Any]:
    """The schema of one key: what may be left out in the file is left out there, and is never null."""
    schema = {name: value for name, value in schema.items() if name not in ("default", "title")}
    choices = schema.get("anyOf", [])
    if {"type": "null"} in choices:
        rest = [each for each in choices if each != {"type": "null"}]
        schema = {**schema, "anyOf": rest} if len(rest) > 1 else {**schema, **rest[0]}
        schema = {name: value for name, value in schema.items() if name != "anyOf" or len(rest) > 1}
    if "patternProperties" in schema:
        schema["additionalProperties"] = False
    default = written_default(field)
    return schema if default is None else {**schema, "default": default}


def models(top: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and all models of tables in it, each once."""
    todo, seen = [top], {top}
    while todo:
        model = todo.pop(0)
        yield model
        for _, field in fields(model):
            inner = model_of(field.annotation)
            if inner is not None and inner not in seen:
                seen.add(inner)
                todo.append(inner)


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a table as they stand in the file."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of the table, or of the tables, that a type is made of."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return annotation
    found = [model for each in get_args(annotation) if (model := model_of(each)) is not None]
    return found[-1] if found else None


def unit_of(field: FieldInfo) -> Unit | None:
    """The unit of a key's number, if it has one."""
    pieces: list[Any] = [*field.metadata, field.annotation]
    while pieces:
        piece = pieces.pop()
        if isinstance(piece, Unit):
            return piece
        if get_origin(piece) is Annotated:
            pieces += piece.__metadata__
        pieces += get_args(piece)
    return None


def written_default(field: FieldInfo) -> Any:
    """What stands for the default in the file; None if there is none, or if the whole table may be left out."""
    if field.is_required() or field.default is None or isinstance(field.default, BaseModel):
        return None
    if field.default_factory is not None:
        return {} if field.default_factory is dict else None
    unit = unit_of(field)
    value = field.default if unit is None else unit.write(field.default)
    return list(value) if isinstance(value, tuple) else value
