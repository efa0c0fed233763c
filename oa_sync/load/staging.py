"""Keeps the batches of one load on the local disk until all have arrived. Targets that merge without dlt
then read them from there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from oa_sync.load.destination_errors import destination_errors
from oa_sync.load.table_schema import (
    TableSchema,
    arriving_schema,
    identifiers,
    literal,
    projection,
)
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import Batch, TableHints

BATCH_ROWS = 16_384
ROW = "__row"
"""Extra column of a relation: the order in which its rows arrived. No column of ours has such a name."""
_REMOVES = "__removes"
"""Another one: whether the row only removes what has its key."""


@dataclass(frozen=True)
class _Part:
    path: Path
    schema: TableSchema
    removes: bool


class StagedTable:
    """The rows of one table, in one file for each set of columns that arrived."""

    def __init__(self, hints: TableHints, folder: Path) -> None:
        self.name = hints.name
        self.by_parent = not hints.primary_key
        """All rows of a parent are replaced together (merge key), rather than row by row."""
        self.schema = TableSchema()
        self.rows = 0
        self._folder = folder
        self._parts: list[_Part] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, batch: Batch) -> None:
        """Append the rows of `batch`."""
        if batch.removes:
            batch = replace(batch, rows=batch.rows.select(batch.hints.merge_key))
        arriving = arriving_schema(batch)
        self.schema = self.schema.merged(arriving)
        part = self._parts[-1] if self._parts else None
        if (
            part is None
            or part.removes != batch.removes
            or part.schema.merged(arriving).columns.keys() != part.schema.columns.keys()
            or part.schema.differs_in_type(arriving)
        ):
            part = self._next_part(arriving, removes=batch.removes)
        assert self._writer is not None
        self._writer.write_table(_aligned(batch.rows, part.schema))
        self.rows += batch.rows.num_rows

    def close(self) -> None:
        """No more rows; they can be read from now on."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def nbytes(self) -> int:
        """Bytes on disk, compressed about as well as they will be in their final files."""
        return sum(part.path.stat().st_size for part in self._parts)

    def relation(self, want: TableSchema) -> str:
        """SQL of all staged rows in the columns of `want`, with two more: see `ROW` and `keeps`."""
        selects = [
            f"SELECT {projection(part.schema, want, list(want.columns))},"
            f" file_row_number + {number << 40} AS {ROW}, {part.removes} AS {_REMOVES}"
            f" FROM read_parquet({literal(str(part.path))}, file_row_number = true)"
            for number, part in enumerate(self._parts)
        ]
        return " UNION ALL ".join(selects)

    keeps = f"NOT {_REMOVES}"
    """SQL condition for the rows that are written. The other rows only remove."""

    @property
    def only_removes(self) -> bool:
        """Whether no row is written."""
        return all(part.removes for part in self._parts)

    def _next_part(self, arriving: TableSchema, *, removes: bool) -> _Part:
        self.close()
        alike = [part.schema.columns for part in self._parts if part.removes == removes]
        schema = replace(arriving, columns={**(alike[-1] if alike else {}), **arriving.columns})
        part = _Part(self._folder / f"{len(self._parts)}.parquet", schema, removes)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(part.path, _arrow(schema), compression="zstd")
        self._parts.append(part)
        return part


class Staging:
    """The tables of one load, in the order of their first batch. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tables: dict[str, StagedTable] = {}

    def __enter__(self) -> Staging:
        shutil.rmtree(self._folder, ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, batch: Batch) -> None:
        """Stage `batch`."""
        name = batch.hints.name
        if name not in self.tables:
            folder = self._folder / str(len(self.tables))
            self.tables[name] = StagedTable(batch.hints, folder)
        self.tables[name].add(batch)

    def close(self) -> None:
        """No more batches."""
        for table in self.tables.values():
            table.close()


def _arrow(schema: TableSchema) -> pa.Schema:
    return pa.schema(
        [(name, ARROW_TYPES[column.data_type]) for name, column in schema.columns.items()]
    )


def _aligned(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """`rows` in the columns and types of `schema`."""
    target = _arrow(schema)
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in target
    ]
    return pa.table(columns, names=target.names).cast(target)


def stage(staging: Staging, batches: Iterable[Batch]) -> dict[str, int]:
    """Put all `batches` into `staging`; returns the rows to write by table. More batches may arrive
    meanwhile."""
    counts: dict[str, int] = {}
    for batch in batches:
        if batch.rows.num_rows:
            name = batch.hints.name
            if not batch.removes:
                counts[name] = counts.get(name, 0) + batch.rows.num_rows
            with destination_errors(f"{name}: staging"):
                staging.add(batch)
    staging.close()
    return counts


def children_first(staging: Staging, loaded: Collection[str]) -> list[StagedTable]:
    """What is to be merged, child tables first: a row of a resource says that its child rows are loaded, so
    it is written after them. From a table that is not `loaded` there is nothing to remove."""
    tables = (t for t in staging.tables.values() if t.name in loaded or not t.only_removes)
    return sorted(tables, key=lambda table: not table.by_parent)


@contextlib.contextmanager
def in_memory_duckdb(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that reads staged files and spills what it cannot hold to the folder `spill`."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'")
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


class StagedReader:
    """The staged rows of one table in the columns and types of `schema`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, staged: StagedTable, schema: TableSchema
    ) -> None:
        self._connection, self._staged, self._schema = connection, staged, schema
        self._relation = staged.relation(schema)

    def keys(self) -> pa.RecordBatchReader:
        """Every key that is written or removed, once."""
        return self._reader(
            f"SELECT DISTINCT {identifiers(self._schema.key)} FROM ({self._relation})",
            self._schema.key,
        )

    def rows(self) -> pa.RecordBatchReader:
        """The rows to write, in the order they arrived; of rows with the same primary key, the last."""
        columns = identifiers(self._schema.columns)
        query = f"SELECT {columns} FROM ({self._relation}) WHERE {self._staged.keeps}"
        if not self._staged.by_parent and self._has_duplicates():
            keys = identifiers(self._schema.key)
            query += f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {ROW} DESC) = 1"
        return self._reader(query, list(self._schema.columns))

    def _has_duplicates(self) -> bool:
        keys = f"SELECT DISTINCT {identifiers(self._schema.key)} FROM ({self._relation})"
        [(count,)] = self._connection.execute(f"SELECT count(*) FROM ({keys})").fetchall()
        return bool(count != self._staged.rows)

    def _reader(self, query: str, names: Sequence[str]) -> pa.RecordBatchReader:
        wanted = self._schema.arrow({}).remove_metadata()
        schema = pa.schema([wanted.field(name).remove_metadata() for name in names])
        reader = self._connection.sql(query).to_arrow_reader(BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))
