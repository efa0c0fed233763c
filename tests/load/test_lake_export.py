"""Snapshots for `export --to DIR`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oa_sync.errors import DestinationError
from oa_sync.load.lake import export_table

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("doc", pa.string(), metadata={"data_type": "json"}),
        pa.field("nothing", pa.null()),
    ]
)


def _rows(count: int, start: int = 0) -> Iterator[pa.RecordBatch]:
    for first in range(start, start + count, 1_000):
        ids = list(range(first, min(first + 1_000, start + count)))
        docs = [f'{{"n": {n * 7919}}}' for n in ids]
        yield pa.record_batch([ids, docs, [None] * len(ids)], schema=SCHEMA)


def _ids(folder: Path, table: str = "reports") -> list[int]:
    found = duckdb.sql(f"SELECT id FROM read_parquet('{folder}/{table}/*.parquet') ORDER BY id")
    return [id_ for (id_,) in found.fetchall()]


def test_rows_are_written_once_and_json_columns_stay_marked(tmp_path: Path) -> None:
    (path,) = export_table(_rows(2_500), "reports", tmp_path / "out")
    assert path == tmp_path / "out" / "reports" / "00000.parquet"
    assert _ids(tmp_path / "out") == list(range(2_500))
    schema = pq.read_schema(path)
    assert schema.names == ["id", "doc"]
    assert schema.field("doc").metadata[b"data_type"] == b"json"
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_a_later_export_replaces_all_files_of_the_table_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oa_sync.load.lake.writing.ROW_GROUP_ROWS", 1_000)
    export_table(_rows(10), "datasets", tmp_path)
    assert len(export_table(_rows(9_000), "reports", tmp_path, target_bytes=5_000)) > 2
    export_table(_rows(5, start=100), "reports", tmp_path)
    assert _ids(tmp_path) == list(range(100, 105))
    assert _ids(tmp_path, "datasets") == list(range(10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["datasets", "reports"]


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from _rows(1_000, start=500)
        raise OSError("the source went away")

    export_table(_rows(3), "reports", tmp_path)
    with pytest.raises(DestinationError, match="reports: OSError: the source went away"):
        export_table(failing(), "reports", tmp_path)
    assert _ids(tmp_path) == [0, 1, 2]
    export_table(_rows(4), "reports", tmp_path)
    assert _ids(tmp_path) == [0, 1, 2, 3]


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    empty = pa.RecordBatch.from_pylist([], SCHEMA)
    (path,) = export_table(iter([empty]), "reports", tmp_path)
    assert pq.read_table(path).num_rows == 0
    assert pq.read_schema(path).names == ["id", "doc"]
    assert export_table(iter(()), "dashboards", tmp_path) == []


def test_a_table_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="cannot be the name of a folder"):
        export_table(_rows(1), "../reports", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_column_that_a_file_cannot_hold_is_named(tmp_path: Path) -> None:
    batch = pa.record_batch({"id": [1], "where": [{"x": 1}]})
    with pytest.raises(DestinationError, match=r"reports\.where: a column of type struct"):
        export_table(iter([batch]), "reports", tmp_path)
