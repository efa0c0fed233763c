"""What is known of a resource's tables before its first row: which columns, of which type, from where."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from oa_sync.shape.declared import declared_tables
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.naming import Path
from oa_sync.shape.spec import ChildSpec, TableSpec

EXTRAS = {"_oa_key": "text", "_oa_synced_at": "timestamp"}


def types(
    spec: TableSpec, *learned: LearnedColumn, extras: Mapping[str, str] = EXTRAS
) -> dict[str, Mapping[str, str]]:
    """The types of each declared table, without the columns from outside of the resource's own."""
    known = LearnedSchema({spec.name: {column.path: column for column in learned}})
    tables = declared_tables(spec, known, extras)
    return {
        name: {c: t for c, t in table.types.items() if c not in EXTRAS or name != spec.name}
        for name, table in tables.items()
    }


def origins(spec: TableSpec) -> dict[str, dict[str, tuple[Path, str]]]:
    """Where each column that rows fill comes from, and its kind."""
    return {
        name: {column.name: (column.path, column.kind) for column in table.columns}
        for name, table in declared_tables(spec, LearnedSchema(), EXTRAS).items()
    }


def test_a_table_has_its_declared_columns_and_those_from_outside() -> None:
    spec = TableSpec(
        "things",
        key=("id",),
        columns={("id",): "bigint", ("owner", "bornAt"): "date", ("odd",): "binary"},
        constants={"_oa_workspace": "w"},
    )
    (table,) = declared_tables(spec, LearnedSchema(), EXTRAS).values()
    assert table.types == {
        "id": "bigint",
        "owner__born_at": "date",
        "odd": "text",
        "_oa_key": "text",
        "_oa_synced_at": "timestamp",
        "_oa_workspace": "text",
    }
    assert origins(spec)["things"] == {
        "id": (("id",), "value"),
        "owner__born_at": (("owner", "bornAt"), "value"),
        "odd": (("odd",), "value"),
    }


def test_a_column_of_the_rows_does_not_take_the_name_of_one_from_outside() -> None:
    spec = TableSpec("things", columns={("given",): "bigint"})
    (table,) = declared_tables(spec, LearnedSchema(), {"given": "text"}).values()
    (column,) = table.columns
    assert column.name != "given"
    assert table.types == {"given": "text", column.name: "bigint"}


@pytest.mark.parametrize(
    ("declared", "learned", "expected"),
    [
        ({}, [], {}),
        ({("id",): "bigint"}, [], {"id": "bigint"}),
        ({}, [LearnedColumn(("id",), "id", "bigint")], {"id": "bigint"}),
        # A key is compared as text, and JSON of one value may be written in many ways.
        ({("id",): "json"}, [], {"id": "text"}),
        ({("more",): "json"}, [], {"more": "json"}),
    ],
)
def test_a_key_inside_the_rows_is_there_where_its_type_is_known(
    declared: dict[Path, str], learned: list[LearnedColumn], expected: dict[str, str]
) -> None:
    assert types(TableSpec("things", ("id",), declared), *learned) == {"things": expected}


def test_a_key_from_outside_has_its_type_and_may_be_declared_json() -> None:
    spec = TableSpec("things", ("run_id",), children={("parts",): ChildSpec("parts")})
    found = types(spec, extras={**EXTRAS, "run_id": "bigint"})
    assert found["things"] == {"run_id": "bigint"}
    assert found["parts"] == {"run_id": "bigint", "position": "bigint"}


def test_what_was_learned_stays_as_it_is_and_what_only_rows_told_is_there_too() -> None:
    spec = TableSpec("things", columns={("size",): "bigint", ("new",): "date"})
    learned = (
        LearnedColumn(("size",), "size_of_old", "double"),
        LearnedColumn(("free",), "free", "bool"),
    )
    assert types(spec, *learned) == {
        "things": {"size_of_old": "double", "free": "bool", "new": "date"}
    }


def test_a_type_inside_a_column_that_is_declared_whole_makes_no_column() -> None:
    columns = {
        ("whole",): "json",
        ("whole", "a"): "bigint",
        ("whole", "b", "c"): "bigint",
        ("apart", "a"): "bigint",
    }
    assert types(TableSpec("things", columns=columns)) == {
        "things": {"whole": "json", "apart__a": "bigint"}
    }


def test_a_type_for_what_is_a_list_makes_no_column() -> None:
    spec = TableSpec(
        "things", columns={("parts",): "json"}, children={("parts",): ChildSpec("parts")}
    )
    assert types(spec)["things"] == {}


def test_a_type_for_what_was_an_object_makes_a_column_beside_those_of_its_inside() -> None:
    spec = TableSpec("things", columns={("o",): "bigint"})
    assert types(spec, LearnedColumn(("o", "a"), "o__a", "text"))["things"] == {
        "o__a": "text",
        "o": "bigint",
    }


PARTS = ChildSpec(
    "thing_parts",
    ("thing_id",),
    {("name",): "text"},
    {("deep",): ChildSpec("deep_parts", columns={("at",): "timestamp"})},
)


def test_a_declared_list_has_the_keys_of_its_parents_and_its_position() -> None:
    spec = TableSpec(
        "things", ("id",), {("id",): "bigint"}, {("parts",): PARTS}, {"_oa_workspace": "w"}
    )
    assert types(spec) == {
        "things": {"id": "bigint", "_oa_workspace": "text"},
        "thing_parts": {
            "thing_id": "bigint",
            "position": "bigint",
            "name": "text",
            "_oa_workspace": "text",
        },
        "deep_parts": {
            "thing_id": "bigint",
            "part_position": "bigint",
            "position": "bigint",
            "at": "timestamp",
            "_oa_workspace": "text",
        },
    }
    assert origins(spec) == {
        "things": {"id": (("id",), "value")},
        "thing_parts": {
            "position": (("parts",), "position"),
            "name": (("parts", "[]", "name"), "value"),
        },
        "deep_parts": {
            "position": (("parts", "[]", "deep"), "position"),
            "at": (("parts", "[]", "deep", "[]", "at"), "value"),
        },
    }


def test_a_list_of_rows_whose_key_has_no_type_yet_has_its_position_alone() -> None:
    spec = TableSpec("things", ("id",), children={("parts",): PARTS})
    assert types(spec)["thing_parts"] == {"position": "bigint", "name": "text"}


def test_the_key_as_text_is_in_every_table_and_from_outside_in_the_first() -> None:
    spec = TableSpec("things", ("id",), children={("parts",): PARTS}, key_text="_oa_key")
    tables = declared_tables(spec, LearnedSchema(), EXTRAS)
    assert [name for name, table in tables.items() if "_oa_key" in table.types] == [
        "things",
        "thing_parts",
        "deep_parts",
    ]
    assert "_oa_synced_at" in tables["things"].types
    assert "_oa_synced_at" not in tables["thing_parts"].types


def test_a_list_that_only_rows_told_of_is_not_declared() -> None:
    learned = LearnedSchema(
        {"things__tags": {("tags",): LearnedColumn(("tags",), "position", "bigint", "position")}}
    )
    assert list(declared_tables(TableSpec("things"), learned, EXTRAS)) == ["things"]
