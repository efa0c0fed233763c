"""The tree of paths: what a restart finds again, and how tables, columns and keys are named."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.shape.learn import learn
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.spec import ChildSpec, TableSpec

THINGS = TableSpec("things", key=("id",))
ROWS: list[Any] = [
    {
        "id": 1,
        "[]": 1,
        "text": "x",
        "large": 2**53 + 1,
        "map": {"2024-01": 1},
        "empty": {},
        "o": {"a": 1, "inner": {"b": 1.5}, "fooBar": 1},
        "l": [{"n": 1, "deep": [{"m": 1, "o": {"p": 1}}]}],
        "rest": {"a": 1},
        "list_rest": [{"n": 1}],
    },
    {"id": 2, "rest": "x", "list_rest": 3, "l": [{"n": 2, "deep": 5}]},
]


def schema_of(*batches: list[Any], spec: TableSpec = THINGS) -> Schema:
    schema = Schema(spec, LearnedSchema())
    for batch in batches:
        learn(batch, schema)
    return schema


def restarted(schema: Schema, spec: TableSpec | None = None, step: int = 1) -> Schema:
    """As the next process finds it, from what is stored with the columns (step -1: in another order)."""
    stored = [
        (table, column.name, column.data_type, column.hint())
        for table, columns in schema.learned().tables.items()
        for column in columns.values()
    ]
    return Schema(spec or schema.spec, LearnedSchema.from_columns(stored[::step]))


def tree(schema: Schema) -> dict[tuple[str, ...], tuple[str, str, LearnedColumn | None]]:
    """Of each path: what it is, in which table and column."""
    return {
        node.path: (node.kind.value, node.table.name, node.column)
        for node in schema.root.descendants()
    }


def recalled(*columns: LearnedColumn, spec: TableSpec = THINGS, table: str = "things") -> Schema:
    return Schema(spec, LearnedSchema({table: {column.path: column for column in columns}}))


DECLARED = TableSpec(
    "things",
    key=("id",),
    children={("l",): ChildSpec("parts", children={("deep",): ChildSpec("deep_parts")})},
)


@pytest.mark.parametrize("spec", [THINGS, DECLARED])
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("first", [0, 1])
def test_a_restart_finds_the_same_tree_and_learns_nothing_new(
    first: int, step: int, spec: TableSpec
) -> None:
    before = schema_of(ROWS[first : first + 1], ROWS, spec=spec)
    after = restarted(before, step=step)
    assert tree(after) == tree(before)
    assert after.learned() == before.learned()
    assert {name: table.key for name, table in after.tables.items()} == {
        name: table.key for name, table in before.tables.items()
    }
    assert after.version > 0
    learn(ROWS, after)
    assert after.learned() == before.learned()


def test_a_key_is_new_even_if_it_is_null_and_a_list_even_if_its_rows_have_no_key() -> None:
    schema = schema_of(spec=TableSpec("things", children={("steps",): ChildSpec("steps")}))
    assert learn([{"v": None}], schema), "the parser refuses a key that is not known"
    assert not learn([{"v": None}], schema)
    assert learn([{"steps": [{}]}], schema)
    assert not learn([{"steps": [{}]}], schema)


def test_a_list_that_is_sent_to_another_table_now_begins_anew() -> None:
    before = schema_of([{"id": 1, "steps": [{"n": 1}]}])
    spec = TableSpec("things", key=("id",), children={("steps",): ChildSpec("run_steps")})
    after = restarted(before, spec)
    assert set(after.tables) == {"things", "run_steps"}
    assert after.tables["run_steps"].columns == {}
    assert tree(after)[("steps", "[]")][:2] == ("object", "run_steps")
    assert tree(after)[("steps", "[]", "n")] == ("unknown", "run_steps", None)


def test_an_object_that_is_declared_json_now_is_taken_apart_no_more() -> None:
    before = schema_of([{"o": {"a": 1}}])
    after = restarted(before, TableSpec("things", columns={("o",): "json"}))
    assert tree(after)[("o",)][0] == "leaf"
    learn([{"o": {"a": 2}}], after)
    assert names(after)[("o",)] == "o"


def test_rows_that_are_no_objects_have_a_column_of_their_own() -> None:
    schema = schema_of([5, {"a": 1}])
    assert names(schema) == {(): "value", ("a",): "a"}
    assert names(restarted(schema)) == names(schema)


def test_names_and_types_stay_as_they_were_stored() -> None:
    schema = recalled(
        LearnedColumn(("fooBar",), "custom", "bigint"),
        LearnedColumn(("raw",), "raw", "binary"),
    )
    learn([{"fooBar": "x", "custom": 1, "raw": "y"}], schema)
    found = {path: (c.name, c.data_type) for path, c in schema.tables["things"].columns.items()}
    assert found[("fooBar",)] == ("custom", "json")
    assert found[("raw",)] == ("raw", "text"), "JSON has no values of the stored type"
    assert found[("custom",)][0] != "custom"


def test_a_child_table_keeps_the_name_that_it_was_stored_with() -> None:
    position = LearnedColumn(("l",), "position", "bigint", "position")
    schema = recalled(position, table="things__odd")
    learn([{"odd": [{"n": 1}], "l": [{"n": 1}]}], schema)
    assert tree(schema)[("l", "[]")][1] == "things__odd"
    assert tree(schema)[("odd", "[]")][1] not in ("things__odd", "things")


def test_a_declared_table_keeps_its_name_whatever_was_stored() -> None:
    spec = TableSpec("things", children={("steps",): ChildSpec("things__odd")})
    schema = recalled(
        LearnedColumn(("odd",), "position", "bigint", "position"), spec=spec, table="other"
    )
    learn([{"odd": [{"n": 1}], "steps": [{"n": 1}]}], schema)
    assert tree(schema)[("steps", "[]")][1] == "things__odd"
    assert tree(schema)[("odd", "[]")][1] == "other"


def test_a_list_without_a_name_of_its_own_does_not_take_its_parents_table() -> None:
    schema = schema_of([{"id": 1, "": [{"n": 1}]}])
    assert len(schema.tables) == 2
    own = tree(schema)[("", "[]")][1]
    assert own.startswith("things_")
    assert not own.endswith("_")


def test_two_declared_lists_cannot_share_a_table() -> None:
    lists = {("a",): ChildSpec("parts"), ("b",): ChildSpec("parts")}
    with pytest.raises(ConfigurationError, match="'parts'; give each a table of its own"):
        Schema(TableSpec("things", children=lists), LearnedSchema())


def names(schema: Schema) -> dict[tuple[str, ...], str]:
    return {path: column.name for path, column in schema.root_table.columns.items()}


def test_the_key_has_its_own_name_whatever_comes_first() -> None:
    inside, outside = schema_of(), schema_of()
    inside.reserve_outside_columns([])
    outside.reserve_outside_columns(["id"])
    for schema in (inside, outside):
        learn([{"ID": 1}], schema)
        learn([{"id": 2}], schema)
        assert names(schema)[("ID",)] != "id"
    assert names(inside)[("id",)] == "id"
    assert names(outside)[("id",)] != "id", "it is a column from outside the rows"


def test_a_column_from_outside_cannot_take_the_name_of_one_inside() -> None:
    schema = schema_of([{"number": 1}])
    with pytest.raises(ConfigurationError, match="'number' is given from outside"):
        schema.reserve_outside_columns(["number"])


def test_a_childs_own_columns_give_way_to_its_keys_and_to_constants() -> None:
    spec = TableSpec("things", key=("id",), constants={"_oa_workspace": "w"})
    schema = schema_of([{"l": [{"position": 1, "thing_id": 2, "_oa_workspace": 3}]}], spec=spec)
    table = schema.tables["things__l"]
    taken = {column.name for column in table.columns.values() if column.kind != "position"}
    assert len(taken) == 3
    assert not taken & {"position", "thing_id", "_oa_workspace"}


def keys(spec: TableSpec, row: Any) -> dict[str, tuple[str, ...]]:
    return {name: table.key for name, table in schema_of([row], spec=spec).tables.items()}


def test_keys_of_lists_in_lists_of_the_same_name_are_told_apart() -> None:
    found = keys(THINGS, {"tags": [{"tags": [{"tags": [{"n": 1}]}]}]})
    assert list(found.values()) == [
        ("id",),
        ("thing_id", "position"),
        ("thing_id", "tag_position", "position"),
        ("thing_id", "tag_position", "tag_tag_position", "position"),
    ]


def test_a_parents_key_is_never_called_position() -> None:
    spec = TableSpec("things", key=("id",), children={("l",): ChildSpec("l", ("position",))})
    assert keys(spec, {"l": [{"n": 1}]})["l"] == ("thing_position", "position")


def test_each_declared_list_has_its_own_names_and_an_undeclared_one_those_beside_it() -> None:
    spec = TableSpec(
        "things",
        key=("id",),
        children={
            ("steps",): ChildSpec(
                "steps",
                ("run_id",),
                children={("calls",): ChildSpec("calls", ("step_run_id",))},
            ),
            ("logs",): ChildSpec("logs", ("owner_id",)),
        },
    )
    row = {
        "steps": [{"calls": [{"n": 1}], "notes": [{"n": 1}]}],
        "logs": [{"n": 1, "lines": [{"n": 1}]}],
        "more": [{"n": 1}],
    }
    assert keys(spec, row) == {
        "things": ("id",),
        "steps": ("run_id", "position"),
        "calls": ("step_run_id", "step_position", "position"),
        "steps__notes": ("step_run_id", "step_position", "position"),
        "logs": ("owner_id", "position"),
        "logs__lines": ("owner_id", "log_position", "position"),
        "things__more": ("run_id", "position"),
    }


def test_what_is_declared_is_decided_before_any_row() -> None:
    spec = TableSpec(
        "things",
        columns={("o", "inner", "a"): "bigint", ("when",): "date", ("blob",): "binary"},
        children={("o", "parts"): ChildSpec("parts", columns={("n",): "decimal"})},
    )
    schema = Schema(spec, LearnedSchema())
    assert set(schema.tables) == {"things", "parts"}
    learn([{"o": {"2024-01": 1}, "when": "2024-01-31", "blob": "x"}], schema)
    learn([{"o": {"inner": {"a": 1}, "parts": [{"n": "1.10"}]}}], schema)
    found = {
        path: (kind, column and column.data_type)
        for path, (kind, _, column) in tree(schema).items()
    }
    assert found[("o",)] == ("object", None)
    assert found[("o", "inner")] == ("object", None)
    assert found[("when",)] == ("leaf", "date")
    assert found[("blob",)] == ("leaf", "text")
    assert found[("o", "parts")] == ("list", None)
    assert found[("o", "parts", "[]", "n")] == ("leaf", "decimal")


@pytest.mark.parametrize("more", [{}, {("m", "a"): "bigint"}])
def test_an_object_that_is_declared_json_is_a_leaf_whatever_is_declared_inside(
    more: dict[tuple[str, ...], str],
) -> None:
    spec = TableSpec("things", columns={("m",): "json", **more})
    schema = schema_of([{"m": {"a": 1}}], spec=spec)
    assert tree(schema)[("m",)][0] == "leaf"
    assert names(schema) == {("m",): "m"}


def test_a_key_column_from_outside_is_none_inside_the_rows() -> None:
    schema = schema_of(spec=TableSpec("things", key=("id", "o.id", "n")))
    schema.reserve_outside_columns(["id"])
    paths: list[tuple[str, ...]] = [("id",), ("o", "id"), ("n",), ("o",)]
    assert [schema.is_key(schema.node_at(path)) for path in paths] == [False, True, True, False]
