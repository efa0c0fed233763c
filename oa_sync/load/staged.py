"""The rows of one load, staged on the local disk, as those targets read them that merge by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from oa_sync.load.destination_errors import destination_errors
from oa_sync.load.staging import ROW, StagedTable, Staging
from oa_sync.load.table_schema import TableSchema, identifiers, literal
from oa_sync.tables.batches import Batch

BATCH_ROWS = 16_384


def stage(staging: Staging, batches: Iterable[Batch]) -> dict[str, int]:
    """Put all `batches` into `staging`; rows by table. They may still be coming while it runs."""
    counts: dict[str, int] = {}
    for batch in batches:
        if batch.rows.num_rows:
            name = batch.hints.name
            counts[name] = counts.get(name, 0) + batch.rows.num_rows
            with destination_errors(f"{name}: staging"):
                staging.add(batch)
    staging.close()
    return counts


def children_first(tables: Iterable[StagedTable]) -> list[StagedTable]:
    """`tables` with the resources' own last: their rows say that the rows of their children are loaded,
    and must not say so before it is true."""
    return sorted(tables, key=lambda table: not table.by_parent)


@contextlib.contextmanager
def in_memory_duckdb(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that reads staged files and spills what it cannot hold to the folder `spill`."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'")
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


class StagedRows:
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
        """The rows to write, in the order they came; of rows with one primary key, the last."""
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
