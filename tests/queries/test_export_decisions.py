"""What an exported file says of its rows before any is loaded: their texts, types, and in which form it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oa_sync.errors import InvalidResponseError
from oa_sync.shape import export_file
from oa_sync.shape.export_file import ExportFile, export_rows


def texts(found: ExportFile) -> list[str]:
    return [text for block in found.blocks() for text in block.texts().to_pylist()]


def json_file(folder: Path, content: bytes) -> ExportFile:
    path = folder / "x.json"
    path.write_bytes(content)
    return export_rows(path, "json")


def csv_types(folder: Path, *columns: Sequence[str]) -> list[str]:
    """The types of columns of one CSV file; each has as many values."""
    path = folder / "x.csv"
    lines = [",".join(f"c{number}" for number in range(len(columns)))]
    lines += [",".join(values) for values in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    found = export_rows(path, "csv")
    return [found.types[(f"c{number}",)] for number in range(len(columns))]


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"a":1}\n{"a":2}\n', ['{"a":1}', '{"a":2}']),
        (b'\xef\xbb\xbf{"a":1}\n\n  {"a":2} \r\n{}', ['{"a":1}', '{"a":2}', "{}"]),
        (b'\n \n{"a":1}\n{"a":2}', ['{"a":1}', '{"a":2}']),
        (b'[{"a":1},\n{"a":2}]', ['{"a":1}', '{"a":2}']),
        (b'{"data":[1,\n2]}\n', ["1", "2"]),
        (b'{"data":[3]}', ["3"]),
        (b'{"rows":\n[1]}', ["1"]),
        (b'{"data":{"rows":[4]},"n":1}', ["4"]),
        (b'{"data":[{"a":1}]}\n \n', ['{"a":1}']),
    ],
)
def test_json_is_read_as_a_list_or_as_lines(
    content: bytes, rows: list[str], tmp_path: Path
) -> None:
    found = json_file(tmp_path, content)
    assert texts(found) == texts(found) == rows
    assert found.types == {}


@pytest.mark.parametrize("block", [1, 3, 8, 9, 16, 1_000])
def test_lines_are_whole_in_blocks_of_any_size(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_file, "_BLOCK_BYTES", block)
    lines = [f'{{"a":{"1" * size}}}' for size in (1, 2, 9, 30, 1, 1)]
    for mark in (b"", b"\xef\xbb\xbf"):
        for end in ("", "\n"):
            content = mark + ("\n".join(lines) + end).encode()
            found = json_file(tmp_path, content)
            assert texts(found) == lines
            for rows in found.blocks():
                at = [rows.base + start for start in rows.starts.tolist()]
                assert [content[place : place + 1] for place in at] == [b"{"] * len(at)


def test_a_first_line_beyond_the_bound_is_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_file, "_FIRST_LINE", 9)
    assert texts(json_file(tmp_path, b'{"a":1}\n{"a":2}')) == ['{"a":1}', '{"a":2}']
    monkeypatch.setattr(export_file, "_FIRST_LINE", 7)
    with pytest.raises(InvalidResponseError):
        json_file(tmp_path, b'{"a":1}\n{"a":2}')


@pytest.mark.parametrize("content", [b'{"data":7}', b'{"message":"no"}', b"7", b"[1", b"<html>"])
def test_json_without_rows_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidResponseError, match="the export is"):
        json_file(tmp_path, content)


# --- Parquet ----------------------------------------------------------------------------------


def parquet(folder: Path, columns: dict[str, Any]) -> ExportFile:
    path = folder / "o'x.parquet"
    pq.write_table(pa.table(columns), path)
    return export_rows(path, "parquet")


def test_each_type_of_parquet_has_one_here(tmp_path: Path) -> None:
    kinds: dict[str, tuple[Any, str | None]] = {
        "i8": (pa.array([1], pa.int8()), None),
        "u64": (pa.array([2**64 - 1], pa.uint64()), None),
        "flag": (pa.array([True]), None),
        "list": (pa.array([[1]]), None),
        "struct": (pa.array([{"a": 1}]), None),
        "f": (pa.array([0.5], pa.float32()), "double"),
        "d": (pa.array([0.5], pa.float64()), "double"),
        "fits": (pa.array([Decimal("1.5")], pa.decimal128(38, 9)), "decimal"),
        "long": (pa.array([Decimal("1.5")], pa.decimal128(38, 8)), None),
        "fine": (pa.array([Decimal("1.5")], pa.decimal128(20, 10)), None),
        "raw": (pa.array([b"\xff"]), "text"),
        'te"xt': (pa.array(["x'y"]), "text"),
        "time": (pa.array([1], pa.time64("us")), "text"),
        "day": (pa.array([1], pa.date32()), "date"),
        "at": (pa.array([1], pa.timestamp("us", "UTC")), "timestamp"),
        "local": (pa.array([1], pa.timestamp("ns")), "timestamp"),
    }
    found = parquet(tmp_path, {name: values for name, (values, _) in kinds.items()})
    assert found.types == {(name,): kind for name, (_, kind) in kinds.items() if kind}
    assert texts(found) == [
        (
            '{"i8":1,"u64":18446744073709551615,"flag":true,"list":[1],"struct":{"a":1},"f":0.5,"d":0.5,'
            '"fits":1.500000000,"long":1.50000000,"fine":1.5000000000,"raw":"/w==","te\\"xt":"x\'y",'
            '"time":"00:00:00.000001","day":"1970-01-02","at":"1970-01-01 00:00:00.000001+00",'
            '"local":"1970-01-01 00:00:00.000000001"}'
        )
    ]


def test_values_that_json_lacks_are_counted_column_by_column(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {
        "a": [1.0, float("nan"), float("inf")],
        "n": [1, 2, 3],
        "b": [1.0, 2.0, 3.0],
        "c": [float("-inf"), None, 1.0],
    }
    with caplog.at_level(logging.WARNING):
        found = parquet(tmp_path, columns)
    assert [record.getMessage().split(" values")[0] for record in caplog.records] == [
        "a: 2",
        "c: 1",
    ]
    assert texts(found)[1] == '{"a":null,"n":2,"b":2.0,"c":null}'


def test_many_rows_come_in_more_than_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_file, "_BATCH_ROWS", 2_048)
    found = parquet(tmp_path, {"n": list(range(5_000))})
    assert [len(rows) > 0 for rows in found.blocks()].count(True) >= 2
    assert texts(found) == [f'{{"n":{number}}}' for number in range(5_000)]
    assert texts(parquet(tmp_path, {"n": pa.array([], pa.int64())})) == []


# --- CSV --------------------------------------------------------------------------------------


def test_a_csv_column_has_the_narrowest_type_that_gives_its_values_back(tmp_path: Path) -> None:
    assert csv_types(
        tmp_path,
        ["1", "-2"], ["1", ""], ["01", "2"], ["1", "2.5"], ["1.5", "1e3"], ["1.50", "2"],
        ["true", "false"], ["true", "1"], ["2026-01-02", "2026-02-28"], ["2026-01-02", "2026-02-30"],
        ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05"], ["2026-01-02", "2026-01-02T00:00:00Z"],
        ["", ""], ["x", "1"], ["9223372036854775807", "0"], ["9223372036854775808", "0"],
    ) == [
        "bigint", "bigint", "text", "double", "double", "double",
        "bool", "text", "date", "text",
        "timestamp", "text",
        "text", "text", "bigint", "text",
    ]  # fmt: skip


@pytest.mark.parametrize("together", [1, 2, 3, 50])
def test_types_do_not_depend_on_how_many_columns_are_tested_together(
    together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_file, "_TOGETHER", together)
    columns = [["1", "2"], ["x", "y"], ["true", "false"], ["0.5", "1"]]
    assert csv_types(tmp_path, *columns) == ["bigint", "text", "bool", "double"]
    rows = texts(export_rows(tmp_path / "x.csv", "csv"))
    assert rows[0] == '{"c0":1,"c1":"x","c2":true,"c3":0.5}'


def test_a_csv_file_of_one_line_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n")
    assert texts(export_rows(path, "csv")) == []


def test_an_error_says_in_one_line_what_is_broken(tmp_path: Path) -> None:
    for form, content in (("parquet", b"PAR1 no"), ("csv", b'a,b\n1\n"open')):
        path = tmp_path / "x"
        path.write_bytes(content)
        with pytest.raises(InvalidResponseError, match=r"^the export cannot be read: ") as caught:
            texts(export_rows(path, form))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 450
