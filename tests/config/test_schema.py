"""The JSON Schema says what the loader takes: every key, and values as people write them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ttagw.config.model import Config
from ttagw.config.schema import fields, json_schema, models

SCHEMA = json_schema()
SHIPPED = Path(__file__).parents[2] / "etc" / "ttagw.toml"


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value fits: the part of JSON Schema that this schema uses."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return any(takes(each, value) for each in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    kind = schema.get("type", "string")  # of an enumeration it is not said, and ours are texts
    if not isinstance(value, kinds[kind]) or isinstance(value, bool) is not (kind == "boolean"):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return all(takes(schema["items"], each) for each in value)
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= set(value) and all(
            _takes_key(schema, name, each) for name, each in value.items()
        )
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _takes_key(schema: dict[str, Any], name: str, value: Any) -> bool:
    if name in schema.get("properties", {}):
        return takes(schema["properties"][name], value)
    for pattern, inner in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return takes(inner, value)
    more = schema.get("additionalProperties", True)
    names = schema.get("propertyNames", {"type": "string"})
    return takes(names, name) and (takes(more, value) if isinstance(more, dict) else bool(more))


def table_of(model: type) -> dict[str, Any]:
    table: dict[str, Any] = SCHEMA if model is Config else SCHEMA["$defs"][model.__name__]
    return table


def test_it_is_json_schema_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_of_the_model_is_there_and_no_other() -> None:
    for model in models(Config):
        table = table_of(model)
        assert set(table["properties"]) == {name for name, _ in fields(model)}
        assert table["additionalProperties"] is False


def test_every_key_and_table_says_what_it_is() -> None:
    for model in models(Config):
        table = table_of(model)
        assert table["description"]
        assert all(each.get("description") or resolved(each)["description"] for each in table["properties"].values())


def test_nothing_is_ever_null() -> None:
    assert "null" not in json.dumps(SCHEMA)


def test_defaults_are_taken() -> None:
    for model in models(Config):
        for name, each in table_of(model)["properties"].items():
            assert "default" not in each or takes(each, each["default"]), name


def test_the_name_of_this_host_is_not_in_it() -> None:
    assert "default" not in SCHEMA["$defs"]["Gateway"]["properties"]["name"]


def test_the_shipped_file_is_taken() -> None:
    assert takes(SCHEMA, tomllib.loads(SHIPPED.read_text()))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('gateway.drain = "10s"', True),
        ("gateway.drain = 10", False),
        ('gateway.drain = "10 s"', False),
        ('http.max_body = "10MiB"', True),
        ("http.max_body = 10", True),
        ('http.max_body = "10MB"', False),
        ('abuse.threshold = "10/2s"', True),
        ("abuse.threshold = 10", False),
        ('gateway.trusted_proxies = ["10.0.0.0/8"]', True),
        ('services.a.instances = ["http://h", {url = "http://h", weight = 2}]', True),
        ('services.a.instances = ["srv+http://_a._tcp.b", {url = "file:a.toml", zone = "b"}]', True),
        ("services.a.instances = []", True),
        ("services.a.instances = [5]", False),
        ("services.a = {}", False),
        ('services."a b".instances = ["http://h"]', False),
        ('services.a = {instances = ["http://h"], tls = {ca = "x"}}', True),
        ('routes = [{name = "r", path = "/", timeout = "1s", class = "crisis", validate = "x"}]', True),
        ('routes = [{name = "r", path = "/", traffic_class = "crisis"}]', False),
        ('routes = [{name = "r", path = "/", auth = "maybe"}]', False),
        ('routes = [{name = "r", path = "/", headers = {"a b" = "1"}}]', False),
        ("nonsense = 1", False),
    ],
)
def test_values_are_as_people_write_them(text: str, good: bool) -> None:
    assert takes(SCHEMA, tomllib.loads(text)) is good
