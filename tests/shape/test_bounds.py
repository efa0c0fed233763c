"""What rows may make of a resource's tables is bounded; nothing is dropped for it."""

from __future__ import annotations

import json
from typing import Any

from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import Bounds, TableSpec

REST = "value"
"""The documented column for rows with more keys than columns."""


def shaper(columns: int = 0, tables: int = 0, learned: LearnedSchema | None = None) -> Shaper:
    return Shaper(TableSpec("things", bounds=Bounds(columns, tables)), learned)


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_a_row_of_more_keys_than_columns_is_kept_whole_as_json() -> None:
    bounded = shaper(columns=10)
    wide = {f"k{n}": n for n in range(25)}
    [table] = bounded.shape(lines({"k0": 0}, wide)).tables.values()
    assert table.num_columns == 11
    first, second = table.to_pylist()
    assert (first["k0"], first[REST]) == (0, None)
    assert json.loads(second[REST]) == wide
    assert [second[f"k{n}"] for n in range(10)] == list(range(10))
    again = bounded.shape(lines(wide, {f"other{n}": n for n in range(5)})).tables["things"]
    assert again.num_columns == 11
    assert json.loads(again.to_pylist()[1][REST]) == {f"other{n}": n for n in range(5)}


def test_the_keys_that_most_rows_have_get_the_columns() -> None:
    usual = {"id": 1, "name": "x"}
    odd = {f"k{n}": n for n in range(50)} | usual
    table = shaper(columns=5).shape(lines(odd, *[usual] * 20)).tables["things"]
    assert table.num_columns == 6
    assert [row["name"] for row in table.to_pylist()] == ["x"] * 21


def test_nested_objects_and_nulls_do_not_pass_the_bound() -> None:
    row = {f"o{n}": {"a": n, "b": {"c": n}} for n in range(30)} | {f"n{n}": None for n in range(30)}
    bounded = shaper(columns=10)
    [table] = bounded.shape(lines(row)).tables.values()
    assert 10 <= table.num_columns <= 13, (
        "an object that is cut short has a column for the whole of it"
    )
    assert json.loads(table.to_pylist()[0][REST]) == row


def test_further_lists_of_objects_are_json() -> None:
    row = {f"list{n}": [{"x": n}] for n in range(20)}
    tables = shaper(tables=4).shape(lines(row)).tables
    assert len(tables) == 4
    [root] = tables["things"].to_pylist()
    assert sorted(json.loads(text)[0]["x"] for text in root.values()) == list(range(3, 20))


def test_what_was_learned_before_there_was_a_bound_stays() -> None:
    free = shaper()
    row = {f"k{n}": n for n in range(25)}
    free.shape(lines(row))
    table = shaper(columns=10, learned=free.learned).shape(lines(row)).tables["things"]
    assert table.num_columns == 25


def test_a_row_of_200_000_keys_takes_no_more_columns_than_the_bound() -> None:
    row = {f"key {n}": "x" for n in range(200_000)}
    bounded = shaper(columns=1_000)
    for _ in range(2):
        table = bounded.shape(lines({"id": 1}, row, {"id": 2})).tables["things"]
        assert table.num_columns <= 1_001
        assert len(json.loads(table.to_pylist()[1][REST])) == 200_000
