"""What the exact pass alone decides: rows that the fast pass refuses, next to what is known of the others."""

from __future__ import annotations

import json
from typing import Any

from oa_sync.shape.exact import exact_parts
from oa_sync.shape.learn import MOST_KEYS, learn
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.spec import TableSpec
from oa_sync.shape.tables import assemble


def tables(*lines: str, known: tuple[Any, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table for `lines`, of which `known` and then they themselves were learned."""
    schema = Schema(TableSpec("things"), LearnedSchema())
    for row in known:
        learn([row], schema)
    learn([json.loads(line) for line in lines], schema)
    parts = exact_parts([line.encode() for line in lines], schema)
    return {name: table.to_pylist() for name, table in assemble(parts, schema, {}).items()}


def test_each_element_of_a_list_is_a_row_with_its_place() -> None:
    found = tables('{"parts": [{"x": 1}, {"x": 2, "in": [{"y": 3}]}]}', '{"parts": [{"x": 4}]}')
    assert [row["x"] for row in found["things__parts"]] == [1, 2, 4]
    assert [row["position"] for row in found["things__parts"]] == [0, 1, 0]
    assert [row["y"] for row in found["things__parts__in"]] == [3]
    assert [row["part_position"] for row in found["things__parts__in"]] == [1]


def test_an_object_of_nulls_where_a_list_was_is_kept_whole() -> None:
    found = tables('{"parts": {"x": null}}', '{"parts": {}}', known=({"parts": [{"x": 1}]},))
    assert found == {"things": [{"parts": '{"x": null}'}, {"parts": None}]}


def test_an_object_is_kept_whole_only_for_a_key_without_a_column_that_has_a_value() -> None:
    keys = [f"k{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(MOST_KEYS)]
    full = ({"m": dict.fromkeys(keys[:100], 1)}, {"m": dict.fromkeys(keys[100:], 1)})
    found = tables('{"m": {"kaa": 1, "new": null}}', '{"m": {"new": 2}}', known=full)
    assert [row["m"] for row in found["things"]] == [None, '{"new": 2}']
    assert [row["m__kaa"] for row in found["things"]] == [1, None]


def test_of_a_key_that_stands_twice_only_the_last_value_is_taken_apart() -> None:
    found = tables('{"o": {"a": 1}, "o": {"b": 2}}', '{"o": {"a": 3, "b": 4}}')
    assert found == {"things": [{"o__b": 2, "o__a": None}, {"o__b": 4, "o__a": 3}]}
