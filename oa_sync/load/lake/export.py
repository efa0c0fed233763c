"""A snapshot of one table as clean Parquet files, for `oa-sync export --to DIR`."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import DestinationError
from oa_sync.load.destination_errors import destination_errors
from oa_sync.load.lake.writing import TARGET_BYTES, write_file, write_files
from oa_sync.load.store import HIDDEN, is_folder_name
from oa_sync.load.table_schema import TableSchema, described_columns


def export_table(
    rows: Iterator[pa.RecordBatch],
    table: str,
    folder: Path,
    clock: Clock | None = None,
    target_bytes: int = TARGET_BYTES,
) -> list[Path]:
    """Write `rows` as `<folder>/<table>/00000.parquet` and so on; the files, in the order of the rows.

    The files of an earlier export of the table are replaced as one folder when all new ones are
    written. Columns are those of the first batch; a string whose field metadata says
    `data_type: json` stays marked so. Without any batch the columns are not known, and nothing is
    written.

    Raises:
        DestinationError: the name cannot be that of a folder, the folder cannot be written, or a column
            has a type that a file cannot hold.
    """
    if not is_folder_name(table):
        raise DestinationError(f"table name {table!r} cannot be the name of a folder")
    with destination_errors(f"{folder}: {table}"):
        first = next(rows, None)
        if first is None:
            return []
        hints = {
            column.name: {"data_type": (column.metadata or {}).get(b"data_type", b"").decode()}
            for column in first.schema
        }
        schema = TableSchema(described_columns(table, first.schema, hints))
        metadata = {"oa_sync.written_at": isoformat((clock or Clock()).now())}
        hidden = folder / HIDDEN
        fresh, old = hidden / f"{table}.new", hidden / f"{table}.old"
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        names = (f"{number:05d}.parquet" for number in itertools.count())
        batches = (batch.select(list(schema.columns)) for batch in itertools.chain([first], rows))
        arrow = schema.arrow(metadata)
        written = write_files(batches, arrow, lambda: fresh / next(names), (), target_bytes)
        if not written:
            written = [fresh / next(names)]
            write_file((), arrow, written[0], ())
        _swap(fresh, folder / table, old)
        shutil.rmtree(hidden, ignore_errors=True)
    return [folder / table / path.name for path in written]


def _swap(fresh: Path, place: Path, old: Path) -> None:
    if place.exists():
        place.rename(old)
    fresh.rename(place)
