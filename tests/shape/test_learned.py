"""What was learned goes into the hints of columns and comes back; what is no such hint is passed over."""

from __future__ import annotations

from typing import get_args

import pytest

from oa_sync.shape.learned import Kind, LearnedColumn, LearnedSchema


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("path", [("a",), ("a", "[]", "é"), ("",), ("\ud800",), ()])
def test_a_column_comes_back_from_its_hint(kind: Kind, path: tuple[str, ...]) -> None:
    column = LearnedColumn(path, "name", "text", kind)
    assert column.hint().isascii()
    read = LearnedSchema.from_columns([("t", "name", "text", column.hint())])
    assert read == LearnedSchema({"t": {path: column}})
    assert read.columns("t") == [column]
    assert read.columns("other") == []


@pytest.mark.parametrize(
    "hint",
    [
        None,
        "",
        "?",
        "[]",
        "{}",
        '"value"',
        '["value", 1]',
        "[1]",
        '{"value": "a"}',
        '["strange", "b"]',
        "null",
    ],
)
def test_what_is_no_hint_belongs_to_a_column_from_outside(hint: str | None) -> None:
    columns = [("t", "name", "text", hint), ("t", "a", "bigint", '["value", "a"]')]
    read = LearnedSchema.from_columns(columns)
    assert read.tables == {"t": {("a",): LearnedColumn(("a",), "a", "bigint")}}


def test_columns_of_all_tables_are_kept_in_order() -> None:
    columns = [(table, name, "text", f'["value", "{name}"]') for table in "ab" for name in "yx"]
    read = LearnedSchema.from_columns(columns)
    assert [column.name for column in read.columns("a")] == ["y", "x"]
    assert list(read.tables) == ["a", "b"]
    assert read != LearnedSchema.from_columns(columns[1:])
    assert (read == "other") is False
