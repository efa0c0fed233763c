"""Which columns a finished table has, in which order, and what its keys are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import TableSpec
from oa_sync.shape.tables import Part, assemble, joined, key_names

SPEC = TableSpec("things", key=("fooBar",), constants={"_oa_workspace": "north"})


def schema(spec: TableSpec, **columns: str) -> Schema:
    """A schema that knows these keys of the rows, by dlt data type."""
    learned = {(key,): LearnedColumn((key,), key, data_type) for key, data_type in columns.items()}
    return Schema(spec, LearnedSchema({spec.name: learned}))


def part(known: Schema, rows: int, **columns: list[Any]) -> Part:
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return Part(known.root_table, rows, columns=arrays)


def test_columns_stand_in_order_and_those_without_a_value_are_left_out() -> None:
    known = schema(TableSpec("things", key=("id",), constants={"w": "x"}), b="bigint", a="bigint")
    rows = part(known, 2, a=[1, None], b=[None, None])
    rows.columns["b"] = pa.nulls(2, pa.int64())
    extras = {"_oa_version": pa.array(["1", "2"]), "id": pa.array([7, 8])}
    known.reserve_outside_columns(list(extras))
    found = assemble({"things": rows}, known, extras)["things"]
    assert found.column_names == ["id", "a", "_oa_version", "w"]
    assert found.to_pylist()[1] == {"id": 8, "a": None, "_oa_version": "2", "w": "x"}


def test_what_comes_from_outside_and_is_no_key_is_not_repeated_below() -> None:
    shaper = Shaper(TableSpec("things", key=("id",), constants={"w": "x"}))
    extras = {"id": pa.array([7, 8]), "version": pa.array(["1", "2"])}
    rows = b'{"parts":[{"n":1}]}\n{"parts":[{"n":2},{"n":3,"version":"own"}]}\n'
    tables = shaper.shape(rows, extras).tables
    assert tables["things"].column_names == ["id", "version", "w"]
    assert tables["things__parts"].column_names == ["thing_id", "position", "n", "version", "w"]
    assert tables["things__parts"].to_pydict() == {
        "thing_id": [7, 8, 8],
        "position": [0, 0, 1],
        "n": [1, 2, 3],
        "version": [None, None, "own"],
        "w": ["x", "x", "x"],
    }


def test_a_key_inside_the_rows_is_named_like_any_other_column() -> None:
    shaper = Shaper(SPEC)
    tables = shaper.shape(b'{"a":1,"fooBar":"k"}\n').tables
    assert tables["things"].column_names == ["foo_bar", "a", "_oa_workspace"]
    assert key_names(shaper.tables["things"]) == ["foo_bar"]


def test_keys_of_a_child_are_its_own() -> None:
    shaper = Shaper(SPEC)
    shaper.shape(b'{"fooBar":"k","parts":[{"n":1}]}\n')
    child = shaper.tables["things__parts"]
    assert key_names(child) == list(child.key) == ["thing_foo_bar", "position"]


def test_a_key_without_a_value_is_null_in_its_type_or_text_before_it_is_known() -> None:
    spec = TableSpec("things", key=("n",))
    known, unknown = schema(spec, n="bigint", a="bigint"), schema(spec, a="bigint")
    for one, kind in ((known, pa.int64()), (unknown, pa.string())):
        found = assemble({"things": part(one, 2, a=[1, 2])}, one, {})["things"]
        assert found.schema.field("n").type == kind
        assert found.to_pydict() == {"n": [None, None], "a": [1, 2]}


def test_a_table_without_rows_is_left_out_and_one_without_a_part_too() -> None:
    known = schema(TableSpec("things", key=("n",)), n="bigint")
    assert assemble({"things": part(known, 0, n=[])}, known, {}) == {}
    assert assemble({}, known, {}) == {}


def test_pieces_are_joined_table_by_table_in_the_order_of_a_whole_batch() -> None:
    shaper = Shaper(TableSpec("things", key=("id",), constants={"w": "x"}))
    lines = [b'{"b":1,"parts":[{"n":1}]}\n', b'{"a":2}\n', b'{"b":3,"parts":[{"m":2}]}\n']

    def extras(*ids: int) -> dict[str, Any]:
        return {"id": pa.array(ids), "version": pa.array([str(each) for each in ids])}

    shaper.shape(b"".join(lines), extras(1, 2, 3))
    whole = shaper.shape(b"".join(lines), extras(1, 2, 3)).tables
    pieces = [shaper.shape(line, extras(i + 1)).tables for i, line in enumerate(lines)]
    assert list(whole) == ["things", "things__parts"]
    found = joined([pieces[1], pieces[0], pieces[2]], shaper._schema, ["id", "version"])
    assert list(found) == ["things", "things__parts"]
    assert found["things"].column_names == whole["things"].column_names
    assert found["things"].to_pydict()["a"] == [2, None, None]
    assert found["things__parts"].equals(whole["things__parts"])
    assert list(joined(pieces[1:2], shaper._schema, ["id", "version"])) == ["things"]


def test_the_keys_of_a_parent_reach_its_grandchildren() -> None:
    shaper = Shaper(TableSpec("things", key=("id",)))
    rows = b'{"id":"p","a":[{"b":[{"n":1}]},{"b":[]},{"b":[{"n":2},{"n":3}]}]}\n'
    deepest = shaper.shape(rows).tables["things__a__b"]
    assert deepest.to_pydict() == {
        "thing_id": ["p"] * 3,
        "a_position": [0, 2, 2],
        "position": [0, 0, 1],
        "n": [1, 2, 3],
    }


def test_a_shaper_names_its_tables_and_the_key_of_its_own() -> None:
    shaper = Shaper(SPEC)
    assert list(shaper.tables) == ["things"]
    assert shaper.root_key == ("foo_bar",)
    shaper.shape(b'{"fooBar":"k","parts":[{"n":1}]}\n')
    assert list(shaper.tables) == ["things", "things__parts"]
