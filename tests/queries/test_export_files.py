"""The rows of exported files: every value comes back, with the type that the file has for it."""

from __future__ import annotations

import csv
import json
import logging
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.errors import InvalidResponseError
from oa_sync.load.opening import open_target
from oa_sync.shape.export_file import export_rows
from oa_sync.tables.results import ResultTable, load_result
from tests.queries.loading import NOW, settings, table_of
from tests.support.properties import examples


def through(path: Path, form: Literal["parquet", "csv", "json"]) -> list[dict[str, Any]]:
    """The rows of the file as a reader of the loaded table sees them, without positions."""
    place = settings("parquet", path.parent)
    rows = export_rows(path, form)
    with open_target(place, place.home / "dlt") as target:
        load_result(ResultTable("export_x", types=rows.types), rows, target, "default", NOW)
    return [
        {k: v for k, v in row.items() if k != "position"} for row in table_of(place, "export_x")
    ]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    instant = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    columns = {
        "whole": pa.array([1.0, 2.0], pa.float64()),
        "small": pa.array([1, -1], pa.int16()),
        "money": pa.array([Decimal("1.10"), Decimal("-0.05")], pa.decimal128(18, 2)),
        "day": pa.array([date(2026, 1, 1), None]),
        "at": pa.array([instant, None], pa.timestamp("us", "UTC")),
        "local": pa.array([datetime(2026, 1, 1, 5), None], pa.timestamp("ms")),
        "text": pa.array(["2026-01-01", "007"]),
        "flag": pa.array([True, False]),
        "raw": pa.array([b"\x00\xff", None]),
        "nested": pa.array([{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        "tags": pa.array([["x", "y"], []]),
        "kind": pa.array(["a", "b"]).dictionary_encode(),
    }
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path)
    [one, two] = through(path, "parquet")
    assert one == {
        "whole": 1.0,
        "small": 1,
        "money": Decimal("1.1"),
        "day": date(2026, 1, 1),
        "at": instant,
        "local": datetime(2026, 1, 1, 5, tzinfo=UTC),
        "text": "2026-01-01",
        "flag": True,
        "raw": "AP8=",
        "nested__a": 1,
        "nested__b": "x",
        "tags": '["x","y"]',
        "kind": "a",
    }
    assert isinstance(one["whole"], float)
    assert (two["money"], two["text"]) == (Decimal("-0.05"), "007")


def test_what_is_no_number_becomes_null_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.parquet"
    values = [1.5, float("nan"), float("inf"), None]
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "v": values}), path)
    with caplog.at_level(logging.WARNING):
        rows = through(path, "parquet")
    assert [row.get("v") for row in rows] == [1.5, None, None, None]
    assert "v: 2 values that are NaN or infinite" in caplog.text


def test_a_csv_column_has_a_type_only_where_it_gives_every_value_back(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "zip,n,f,long,day,at,flag,empty,quoted,mixed,big\n"
        '01234,1,1.5,0.12345678901234567890,2026-01-01,2026-01-01T10:00:00Z,true,,"a, ""b""",1,1\n'
        '99999,-2,2,1,2026-01-02,2026-01-01 12:00:00.5+02,false,,"line\nbreak",x,9223372036854775808\n'
        '5,,,,,,,,"",,\n'
    )
    [one, two, three] = through(path, "csv")
    assert one == {
        "zip": "01234",
        "n": 1,
        "f": 1.5,
        "long": "0.12345678901234567890",
        "day": date(2026, 1, 1),
        "at": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "flag": True,
        "quoted": 'a, "b"',
        "mixed": "1",
        "big": one["big"],
    }
    assert (two["n"], two["f"], two["quoted"], two["mixed"]) == (-2, 2.0, "line\nbreak", "x")
    assert two["big"] == "9223372036854775808"
    assert three == {"zip": "5", "quoted": ""}


@examples(25)
@given(
    st.lists(
        st.one_of(
            st.integers(-(10**20), 10**20).map(str),
            st.floats(allow_nan=False, allow_infinity=False).map(repr),
            st.sampled_from(["true", "1e5", "01", "-0", "2026-01-01", "2026-13-01", "NaN", "+1"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_csv_value_changes_its_meaning(tmp_path_factory: Any, values: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["v"], *([value] for value in values)])
    found = [
        json.loads(line)
        for block in export_rows(path, "csv").blocks()
        for line in block.ndjson().splitlines()
    ]
    for value, row in zip(values, found, strict=True):
        read = row["v"]
        if isinstance(read, str):
            assert read == value
        elif isinstance(read, bool):
            assert read is (value == "true")
        else:
            assert read == float(value) if isinstance(read, float) else str(read) == value


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "d": "2026-01-01"}, {"a": 2}]',
        '{"data": [{"a": 1, "d": "2026-01-01"}, {"a": 2}], "count": 2}',
        '{"a": 1, "d": "2026-01-01"}\n\n{"a": 2}\n',
        '\ufeff{"a": 1, "d": "2026-01-01"}\r\n{"a": 2}',
    ],
)
def test_json_is_a_list_or_an_object_around_it_or_lines(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, newline="")
    assert through(path, "json") == [{"a": 1, "d": date(2026, 1, 1)}, {"a": 2}]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("parquet", b"PAR1 is not all that a Parquet file is"),
        ("csv", b'a,b\n1\n"open'),
        ("json", b'[{"a": 1}, {"a'),
        ("json", b'{"message": "no rows here"}'),
        ("json", b"<html>"),
    ],
)
def test_a_broken_file_is_told_and_not_loaded(form: Any, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InvalidResponseError):
        through(path, form)
    assert table_of(settings("parquet", tmp_path), "export_x") == []
