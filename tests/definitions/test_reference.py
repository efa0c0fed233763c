"""The examples of docs/definitions.md are definitions."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from oa_sync.definitions.schema import definition_json_schema
from tests.definitions.written import load

PAGE = (Path(__file__).parents[2] / "docs/definitions.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_reference_is_valid(tmp_path: Path, example: str) -> None:
    keys = yaml.safe_load(example)
    if "name" not in keys:
        example += "name: example\n"
    if "resources" not in keys and "extends" not in keys:
        example += "resources: [posts]\n"
    load(tmp_path, example, environ=dict.fromkeys(re.findall(r"\$\{(\w+)\}", example), "v"))
    schema = jsonschema_rs.Draft202012Validator(definition_json_schema())
    assert list(schema.iter_errors(yaml.safe_load(example))) == []


def test_the_reference_shows_every_word() -> None:
    schema = definition_json_schema()
    parts = {name: part for name, part in schema["$defs"].items() if name != "ResourceDefaults"}
    words = {*schema["properties"], *(w for part in parts.values() for w in part["properties"])}
    assert sorted(w for w in words if not re.search(rf"\b{w}\b", PAGE)) == []
