"""What becomes of a path whose values change: the type of its column, and what the column holds (its kind)."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.shape.learn import MOST_KEYS, learn
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.spec import Bounds, ChildSpec, TableSpec

TIME = "2024-01-31T00:00:00Z"
WITH_STEPS = TableSpec("things", key=("id",), children={("steps",): ChildSpec("steps")})
Columns = dict[str, tuple[str, str]]


def fresh(spec: TableSpec | None = None, *before: LearnedColumn) -> Schema:
    learned = LearnedSchema({"things": {column.path: column for column in before}})
    return Schema(spec or TableSpec("things", key=("id",)), learned)


def tables(schema: Schema) -> dict[str, Columns]:
    """Data type and kind of each column, by table."""
    return {
        table: {column.name: (column.data_type, column.kind) for column in columns.values()}
        for table, columns in schema.learned().tables.items()
    }


def columns(*batches: list[Any], spec: TableSpec | None = None) -> Columns:
    schema = fresh(spec)
    for batch in batches:
        learn(batch, schema)
    return tables(schema).get("things", {})


def mixed(schema: Schema) -> list[tuple[str, ...]]:
    return [node.path for node in schema.root.descendants() if node.mixed]


def test_learning_tells_whether_anything_was_new() -> None:
    schema = fresh()
    assert learn([{"v": 1, "o": {"a": 1}, "l": [{"n": 1}]}], schema)
    assert not learn([{"v": 2, "o": {"a": 3}, "l": [{"n": 2}]}], schema)
    assert learn([{"v": 1.5}], schema)
    assert not learn([{"v": 1}], schema)
    assert mixed(schema) == []


def test_what_an_earlier_sync_learned_is_not_new() -> None:
    schema = fresh(None, LearnedColumn(("v",), "v", "bigint", "value"))
    assert not learn([{"v": 1}], schema)


@pytest.mark.parametrize(
    ("other", "column"),
    [
        ([], None),
        (True, ("json", "rest")),
        ("x", ("json", "rest")),
        ([1], ("json", "rest")),
        ([{"n": 1}], ("json", "rest")),
    ],
)
def test_another_kind_of_value_at_a_flattened_path_goes_to_a_column_for_the_rest(
    other: Any, column: tuple[str, str] | None
) -> None:
    schema = fresh()
    learn([{"o": {"a": 1}}], schema)
    assert learn([{"o": other}], schema), "the batch is read again, and sorted"
    assert not learn([{"o": other}], schema)
    assert mixed(schema) == [("o",)]
    assert tables(schema)["things"].get("o") == column


@pytest.mark.parametrize(("other", "column"), [({}, None), (3, ("json", "rest"))])
def test_another_kind_of_value_at_a_list_of_rows_does_so_too(
    other: Any, column: tuple[str, str] | None
) -> None:
    schema = fresh()
    learn([{"l": [{"n": 1}]}], schema)
    assert learn([{"l": other}], schema)
    assert not learn([{"l": other}], schema)
    assert mixed(schema) == [("l",)]
    assert tables(schema).get("things", {}).get("l") == column


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([3], ("bigint", "rest")),
        ([1.5], ("double", "rest")),
        ([3, 1.5], ("json", "rest")),
        (["x"], ("text", "rest")),
    ],
)
def test_the_rest_of_a_declared_list_has_the_type_of_its_values(
    values: list[Any], column: tuple[str, str]
) -> None:
    batches = [[{"steps": value}] for value in values]
    assert columns(*batches, spec=WITH_STEPS) == {"steps": column}


def test_the_rest_of_a_declared_object_is_json() -> None:
    spec = TableSpec("things", columns={("o", "a"): "bigint"})
    assert columns([{"o": 3}], spec=spec) == {"o": ("json", "rest")}


def test_a_list_without_elements_has_no_rows_in_its_table() -> None:
    schema = fresh(WITH_STEPS)
    learn([{"steps": []}, {"steps": None}], schema)
    assert "steps" not in tables(schema)
    learn([{"steps": [{"n": 1}]}], schema)
    assert tables(schema)["steps"] == {
        "position": ("bigint", "position"),
        "n": ("bigint", "value"),
    }


@pytest.mark.parametrize("later", [{"a": 1}, [{"a": 1}]])
def test_a_path_with_a_column_is_never_taken_apart(later: Any) -> None:
    schema = fresh()
    learn([{"v": "x"}], schema)
    learn([{"v": later}], schema)
    assert tables(schema) == {"things": {"v": ("json", "value")}}


def test_a_path_that_was_only_empty_is_taken_apart_and_its_column_takes_the_rest() -> None:
    assert columns([{"v": {}}]) == {"v": ("json", "empty")}
    assert columns([{"v": {}}], [{"v": {"a": 1}}]) == {
        "v": ("json", "rest"),
        "v__a": ("bigint", "value"),
    }
    assert columns([{"v": []}], [{"v": [{"a": 1}]}]) == {"v": ("json", "rest")}
    assert columns([{"v": []}], [{"v": 1}]) == {"v": ("json", "value")}


def test_a_column_that_was_only_empty_is_json_whatever_type_it_was_read_back_with() -> None:
    schema = fresh(None, LearnedColumn(("v",), "v", "text", "empty"))
    learn([{"v": "x"}], schema)
    assert tables(schema)["things"] == {"v": ("json", "value")}


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([1, 2], ("bigint", "value")),
        ([2**53 + 1], ("bigint", "large")),
        ([2**53 + 1, 1], ("bigint", "large")),
        ([2**53 + 1, 1, 1.5], ("json", "value")),
        ([2**53 + 1, "x"], ("json", "value")),
        ([1, 1.5], ("double", "value")),
    ],
)
def test_a_column_remembers_integers_that_no_double_holds(
    values: list[Any], column: tuple[str, str]
) -> None:
    assert columns(*[[{"v": value}] for value in values]) == {"v": column}


def test_such_integers_beside_other_values_are_nothing_to_remember() -> None:
    assert columns([{"v": 2**53 + 1}, {"v": "x"}]) == {"v": ("json", "value")}


def test_a_double_that_is_read_from_its_text_stays_one() -> None:
    schema = fresh(None, LearnedColumn(("v",), "v", "double", "large"))
    learn([{"v": 1}], schema)
    assert tables(schema)["things"] == {"v": ("double", "large")}


@pytest.mark.parametrize(
    ("batches", "column"),
    [
        ([[{"seen_at": TIME}]], ("seen_at", "timestamp")),
        ([[{"o": {"seen_at": TIME}}]], ("o__seen_at", "timestamp")),
        ([[{"seen_at": 1}]], ("seen_at", "bigint")),
        ([[{"seen_at": TIME}, {"seen_at": 1}]], ("seen_at", "json")),
        ([[{"seen_at": 1}], [{"seen_at": TIME}]], ("seen_at", "json")),
    ],
)
def test_a_column_named_like_a_time_is_one_if_its_first_values_are_texts(
    batches: list[list[Any]], column: tuple[str, str]
) -> None:
    assert [(name, kind[0]) for name, kind in columns(*batches).items()] == [column]


@pytest.mark.parametrize(("depth", "a_table"), [(10, True), (11, False)])
def test_a_list_becomes_a_table_down_to_the_tenth_level(depth: int, a_table: bool) -> None:
    value: Any = [{"n": 1}]
    for _ in range(depth):
        value = {"k": value}
    schema = fresh()
    learn([value], schema)
    assert (len(schema.tables) == 2) is a_table
    kinds = [kind for table in tables(schema).values() for kind in table.values()]
    assert kinds == (
        [("bigint", "position"), ("bigint", "value")] if a_table else [("json", "value")]
    )


def fields(count: int, first: int = 0) -> dict[str, Any]:
    return {f"k{chr(97 + n // 26)}{chr(97 + n % 26)}": n for n in range(first, first + count)}


def test_a_full_object_still_widens_the_columns_that_it_has() -> None:
    batches = [[{"m": fields(50, first)}] for first in range(0, MOST_KEYS, 50)]
    found = columns(*batches, [{"m": {"kaa": "x"}}])
    assert (len(found), found["m__kaa"]) == (MOST_KEYS, ("json", "value"))
    found = columns(*batches, [{"m": {"beyond": 1, "and_null": None}}])
    assert (len(found), found["m"]) == (MOST_KEYS + 1, ("json", "rest"))


def test_the_rows_of_a_child_table_take_any_number_of_keys() -> None:
    schema = fresh()
    learn([{"l": [fields(MOST_KEYS + 50)]}], schema)
    assert len(tables(schema)["things__l"]) == MOST_KEYS + 50 + 1


def test_a_key_that_is_spelled_like_the_mark_for_elements_has_no_column_inside_an_object() -> None:
    assert columns([{"o": {"a": 1}}], [{"o": {"a": 1, "[]": 2}}]) == {
        "o": ("json", "rest"),
        "o__a": ("bigint", "value"),
    }
    assert list(columns([{"[]": 1}]).values()) == [("bigint", "value")]


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_of_two_kinds_is_text_and_another_column_json() -> None:
    both = [{"id": 1, "v": 1}, {"id": "a", "v": "a"}]
    assert columns(both) == {"id": ("text", "value"), "v": ("json", "value")}


def test_it_is_new_once_that_a_key_of_texts_is_written_from_other_values_too() -> None:
    """What is new has the batch read again in another way."""
    schema = fresh()
    for batch, is_new in [([{"id": "a"}], True), ([{"id": "b"}], False), ([{"id": 7}], True)]:
        assert learn(batch, schema) is is_new
    assert not learn([{"id": 8}, {"id": "c"}], schema)


# -- what rows may make of the tables --------------------------------------------------------------

BOUNDED = TableSpec("things", key=("id",), bounds=Bounds(columns=3, tables=2))
WHOLE = "value"


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([{"a": 1, "b": 1, "c": 1}], ["a", "b", "c"]),
        ([{"a": 1, "b": 1, "c": 1, "d": 1}], ["a", "b", "c", WHOLE]),
        ([{"a": 1, "b": 1, "c": 1, "d": None}], ["a", "b", "c"]),
        ([{"a": 1, "b": 1}, {"c": 1, "d": 1}], ["a", "b", "c", WHOLE]),
        ([{"o": {"a": 1, "b": 1}, "c": 1, "d": 1}], ["o__a", "o__b", "c", WHOLE]),
        ([{"o": {"a": 1, "b": 1}}, {"p": {"c": 1}, "d": 1}], ["o__a", "o__b", "p__c", WHOLE]),
        ([{"a": None, "b": None}, {"c": 1, "d": 1}], ["c", WHOLE]),
    ],
)
def test_a_table_has_no_more_columns_than_its_bound_and_one_for_the_whole_row(
    rows: list[Any], names: list[str]
) -> None:
    """Each row is a batch. A key that was always null counts too: its column may come at any time."""
    found = columns(*([row] for row in rows), spec=BOUNDED)
    assert sorted(found) == sorted(names)
    assert found.get(WHOLE) in (None, ("json", "rest"))


def test_columns_stand_in_the_order_of_the_keys_unless_there_are_too_many() -> None:
    """Then those that most rows have come first."""
    rows = [{"a": 1, "b": 1}, {"b": 1, "c": 1}, {"c": 1}, {"c": 1}]
    assert list(columns(rows)) == ["a", "b", "c"]
    assert list(columns(rows, spec=BOUNDED)) == ["a", "b", "c"]
    rows.append({"d": 1, "b": 1, "c": 1})
    assert list(columns(rows, spec=BOUNDED)) == ["c", "b", "a", WHOLE]


def test_further_lists_of_objects_become_json_where_there_are_as_many_tables_as_may_be() -> None:
    schema = fresh(BOUNDED)
    learn([{"l": [{"n": 1}], "m": [{"n": 1}]}], schema)
    assert sorted(tables(schema)) == ["things", "things__l"]
    assert tables(schema)["things"] == {"m": ("json", "value")}
