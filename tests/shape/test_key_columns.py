"""The columns that identify a row: their texts, and what becomes of them when their type changes."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import TableSpec
from tests.support.json_rows import exact_tables


def take(shaper: Shaper, *rows: Any) -> list[Any]:
    """The ids of the rows; both passes agree."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    ndjson = "".join(line + "\n" for line in lines).encode()
    tables = shaper.shape(ndjson).tables
    exact = exact_tables(shaper, ndjson, {})
    assert all(exact[name].equals(table) for name, table in tables.items())
    return list(tables["things"].column("id").to_pylist())


def test_keys_of_two_kinds_are_texts_without_quotes() -> None:
    shaper = Shaper(TableSpec("things", key=("id",)))
    assert take(shaper, {"id": 7}, {"id": "a"}, {"a": 1}) == ["7", "a", None]
    shaper.stats.exact = 0
    assert take(shaper, {"id": 8}, {"id": "b"}, {"id": "9"}) == ["8", "b", "9"]
    assert shaper.stats.exact == 0


def test_a_decimal_key_that_no_longer_fits_becomes_text_and_another_column_json() -> None:
    columns = {("id",): "decimal", ("n",): "decimal"}
    shaper = Shaper(TableSpec("things", key=("id",), columns=columns))
    long = "0.12345678901"
    assert take(shaper, f'{{"id": {long}, "n": {long}}}', '{"id": "x"}') == [long, "x"]
    learned = shaper.learned.tables["things"]
    assert [learned[key,].data_type for key in ("id", "n")] == ["text", "json"]


def test_a_key_of_times_that_no_longer_fits_becomes_text() -> None:
    columns = {("id",): "timestamp", ("at",): "timestamp"}
    shaper = Shaper(TableSpec("things", key=("id",), columns=columns))
    assert take(shaper, {"id": "never", "at": "never"}) == ["never"]
    learned = shaper.learned.tables["things"]
    assert [learned[key,].data_type for key in ("id", "at")] == ["text", "text"]


def test_the_key_as_text_is_repeated_below_and_nothing_else_from_outside() -> None:
    shaper = Shaper(TableSpec("things", key=("id",), key_text="_key", constants={"w": "x"}))
    extras = {"id": pa.array([7, 8]), "_key": pa.array(["7", "8"]), "version": pa.array([1, 2])}
    rows = b'{"a":[{"b":[{"n":1}]}]}\n{"a":[{"n":2},{"b":[{"n":3}]}]}\n'
    tables = shaper.shape(rows, extras).tables
    assert tables["things"].column_names == ["id", "_key", "version", "w"]
    assert tables["things__a"].column_names == ["thing_id", "position", "n", "_key", "w"]
    assert tables["things__a"].column("_key").to_pylist() == ["7", "8", "8"]
    assert tables["things__a__b"].column("_key").to_pylist() == ["7", "8"]
    assert tables["things__a__b"].column_names[-2:] == ["_key", "w"]


def test_without_a_key_as_text_none_is_made() -> None:
    tables = Shaper(TableSpec("things")).shape(b'{"a":[{"n":1}]}\n', {"v": pa.array([1])}).tables
    assert tables["things__a"].column_names == ["position", "n"]


def test_a_declared_double_stays_one_as_a_key() -> None:
    shaper = Shaper(TableSpec("things", key=("id",), columns={("id",): "double"}))
    assert take(shaper, {"id": 0.5}) == [0.5]
    assert take(shaper, {"id": 1e300}, {"id": 0.25}) == [1e300, 0.25]
