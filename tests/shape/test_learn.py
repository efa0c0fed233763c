"""What each path becomes, decided once and only widened."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.shape.learn import learn, looks_like_field
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.spec import ChildSpec, TableSpec


def learned(*batches: list[Any], spec: TableSpec | None = None) -> dict[str, dict[str, str]]:
    """Columns and data types by table, after learning from each batch."""
    schema = Schema(spec or TableSpec("things", key=("id",)), LearnedSchema())
    for batch in batches:
        learn(batch, schema)
    return {
        table: {c.name: c.data_type for c in columns.values() if c.kind != "position"}
        for table, columns in schema.learned().tables.items()
    }


@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        ([True, None], "bool"),
        ([1, -(2**63)], "bigint"),
        ([1, 1.5], "double"),
        ([2**53, 1.5], "double"),
        ([2**53 + 1, 1.5], "json"),
        ([2**63], "json"),
        ([float("inf")], "json"),
        ([1, True], "json"),
        ([1, "1"], "json"),
        (["2024-01-31T00:00:00Z"], "text"),
        ([["a"]], "json"),
        ([[]], "json"),
        ([[{}, 1]], "json"),
        ([{"a": 1}, "b"], "json"),
        ([{"a": 1}, [1]], "json"),
        (["a", []], "json"),
    ],
)
def test_one_column_holds_all_values_in_any_order_and_batching(
    values: list[Any], data_type: str
) -> None:
    rows = [{"v": value} for value in values]
    one_by_one = [[row] for row in rows]
    assert learned(rows)["things"]["v"] == data_type
    if not any(isinstance(v, dict) for v in values):
        assert learned(*one_by_one)["things"]["v"] == data_type
        assert learned(*reversed(one_by_one))["things"]["v"] == data_type


def test_a_column_that_is_only_null_is_not_there_yet() -> None:
    assert learned([{"v": None}]) == {}
    assert learned([{"v": None}], [{"v": 1}]) == {"things": {"v": "bigint"}}


def test_times_are_read_where_the_key_or_the_definition_says_so() -> None:
    row = {"createdAt": "2024-01-31T00:00:00Z", "born": "2024-01-31", "at": "x"}
    spec = TableSpec("things", columns={("born",): "date"})
    assert learned([row], spec=spec)["things"] == {
        "created_at": "timestamp",
        "born": "date",
        "at": "text",
    }


def test_objects_are_flattened() -> None:
    assert learned([{"a": {"b": {"cD": 1}}}])["things"] == {"a__b__c_d": "bigint"}


def test_the_keys_of_a_map_are_data() -> None:
    one_key_each = [{"m": {f"key {chr(65 + i)}": i}} for i in range(20)]
    ids = [{"m": {"rpt_7902a8a42020": 1}}]
    many = [{"m": {f"k{chr(97 + i // 26)}{chr(97 + i % 26)}": i for i in range(101)}}]
    for rows in (one_key_each, ids, many):
        assert learned(rows)["things"] == {"m": "json"}


def test_a_map_stays_a_map_and_an_object_stays_flattened() -> None:
    as_map = [{"m": {"2024-01": 1}}]
    as_object = [{"m": {"total": 1}}]
    assert learned(as_map, as_object)["things"] == {"m": "json"}
    assert learned(as_object, as_map)["things"] == {"m__total": "bigint", "m___2024_01": "bigint"}


def test_optional_fields_do_not_make_a_map() -> None:
    rows = [{"o": {"name": "a", "size": 1}} for _ in range(4)] + [{"o": {"name": "b", "note": "x"}}]
    assert set(learned(rows)["things"]) == {"o__name", "o__size", "o__note"}


@pytest.mark.parametrize("key", ["name", "two words", "_id", "sha256checksum", "utf8_name", "a-b"])
def test_field_names(key: str) -> None:
    assert looks_like_field(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "0",
        "2024-01-31",
        "a.b",
        "é",
        "x" * 65,
        "rpt_7902a8a42020",
        "CHART-1NOOLm5YPs",
        "deadbeef1",
        "a8aff161-f60c-4cb3-a225-dc9b1140d2e3",
        "order_10045",
    ],
)
def test_keys_that_are_data(key: str) -> None:
    assert not looks_like_field(key)


def test_a_flattened_object_takes_no_more_than_200_keys() -> None:
    def row(first: int) -> dict[str, Any]:
        return {
            "m": {f"k{chr(97 + i // 26)}{chr(97 + i % 26)}": i for i in range(first, first + 90)}
        }

    columns = learned([row(0)], [row(90)], [row(180)])["things"]
    assert len(columns) == 201
    assert columns["m"] == "json"


def test_lists_of_objects_become_tables_with_the_key_of_their_parent() -> None:
    row = {"id": 1, "tags": [{"name": "a", "marks": [{"at": 1}]}], "o": {"parts": [{"n": 1}]}}
    tables = learned([row], spec=TableSpec("datasets", key=("id",)))
    assert set(tables) == {
        "datasets",
        "datasets__tags",
        "datasets__tags__marks",
        "datasets__o__parts",
    }


def key_of(table: str, spec: TableSpec, row: dict[str, Any]) -> tuple[str, ...]:
    schema = Schema(spec, LearnedSchema())
    learn([row], schema)
    return schema.tables[table].key


def test_keys_of_undeclared_children() -> None:
    row = {"id": 1, "tags": [{"marks": [{"spots": [{"n": 1}]}]}]}
    spec = TableSpec("datasets", key=("id",))
    assert key_of("datasets__tags", spec, row) == ("dataset_id", "position")
    assert key_of("datasets__tags__marks", spec, row) == (
        "dataset_id",
        "tag_position",
        "position",
    )
    assert key_of("datasets__tags__marks__spots", spec, row) == (
        "dataset_id",
        "tag_position",
        "mark_position",
        "position",
    )
    typed_rows = TableSpec("report_rows", key=("report_id", "position"))
    assert key_of("report_rows__tags", typed_rows, row) == (
        "report_id",
        "report_row_position",
        "position",
    )


def test_undeclared_children_follow_their_declared_siblings() -> None:
    spec = TableSpec(
        "agent_runs",
        key=("id",),
        children={
            ("steps",): ChildSpec(
                "agent_run_steps",
                ("run_id",),
                children={("tool_calls",): ChildSpec("agent_run_tool_calls", ("run_id",))},
            )
        },
    )
    row = {"id": 1, "notes": [{"n": 1}], "steps": [{"tool_calls": [{"n": 1}], "logs": [{"n": 1}]}]}
    assert key_of("agent_run_steps", spec, row) == ("run_id", "position")
    assert key_of("agent_run_tool_calls", spec, row) == ("run_id", "step_position", "position")
    assert key_of("agent_runs__notes", spec, row) == ("run_id", "position")
    assert key_of("agent_run_steps__logs", spec, row) == ("run_id", "step_position", "position")


def test_what_lies_below_twelve_levels_is_never_taken_apart() -> None:
    deep: Any = 1
    for _ in range(20):
        deep = {"k": deep}
    (column,) = learned([{"v": deep}])["things"]
    assert column.count("__") == 11
    lists: Any = 1
    for _ in range(20):
        lists = [{"k": lists}]
    tables = learned([{"v": lists}])
    assert len(tables) == 5
    assert sorted(t for columns in tables.values() for t in columns.values()) == ["json"]


def test_a_key_that_is_its_own_name_goes_before_one_that_is_not() -> None:
    columns = learned([{"fooBar": 1, "foo_bar": "x"}])["things"]
    assert columns["foo_bar"] == "text"
    later = learned([{"fooBar": 1}], [{"fooBar": 1, "foo_bar": "x"}])["things"]
    assert later["foo_bar"] == "bigint"


def test_a_definition_that_declares_json_wins_over_what_was_learned() -> None:
    before = LearnedSchema({"things": {("v",): LearnedColumn(("v",), "v", "text")}})
    schema = Schema(TableSpec("things", columns={("v",): "json"}), before)
    assert schema.learned().tables["things"][("v",)].data_type == "json"
