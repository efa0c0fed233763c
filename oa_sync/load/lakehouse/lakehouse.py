"""The load target for `--destination delta` and `iceberg`; the package's docstring says how it works."""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from oa_sync.errors import ConfigurationError, DestinationError
from oa_sync.load.destination_errors import destination_errors, require_ours
from oa_sync.load.file_reads import DuckReads
from oa_sync.load.lakehouse.formats import Conflict, TableFormat
from oa_sync.load.staging import (
    BATCH_ROWS,
    StagedReader,
    StagedTable,
    Staging,
    children_first,
    in_memory_duckdb,
    stage,
)
from oa_sync.load.store import Store
from oa_sync.load.table_schema import TableSchema, identifier, projection, to_declare
from oa_sync.private import fresh_folder
from oa_sync.settings import Settings
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import Batch

logger = logging.getLogger(__name__)

_ATTEMPTS = 5


class Lakehouse(DuckReads):
    """One workspace's tables in `<bucket_url>/<dataset_name>/`, in the format that the destination names.

    Use it as a context manager and from one thread. Every method that talks to the store or the catalog
    raises `DestinationError` when it cannot; opening raises ConfigurationError without the library.
    """

    def __init__(self, settings: Settings, workdir: Path, *, read_only: bool = False) -> None:
        self._settings, self._workdir, self._read_only = settings, workdir, read_only
        self._tables: dict[str, TableSchema] = {}
        self._declared: dict[str, TableSchema] = {}
        """The tables that only readers have: nothing was loaded into them yet."""
        self._changed: set[str] = set()
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        fresh_folder(self._workdir)
        self._store = Store(self._settings, self._workdir)
        with destination_errors(self._shown):
            self._format: TableFormat = _open_format(self._settings, self._store)
            duck = in_memory_duckdb(self._workdir / "spill")
            self._connection = self._opened.enter_context(duck)
            for name, schema in self._format.schemas().items():
                self._note(name, schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._tidy()
        finally:
            self._opened.close()
            shutil.rmtree(self._workdir, ignore_errors=True)

    # -- reading back ---------------------------------------------------------------------------

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of `sql`, in DuckDB's dialect, over all rows of the tables."""
        with destination_errors(f"{self._shown}: the query"):
            for name, schema in self._tables.items():
                if name in sql:
                    self._connection.register(
                        "whole", self._format.scan(name, list(schema.columns), None)
                    )
                    self._connection.execute(
                        f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS FROM whole"
                    )
            return self._connection.execute(sql).fetchall()

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace, with each column's type as field metadata.

        Use them up before anything else is asked for.
        """
        schema = self._tables[table]
        arrow = schema.arrow({}).remove_metadata()
        with destination_errors(f"{self._shown}: {table} cannot be read"):
            for batch in self._all_rows(table, schema, schema):
                yield batch.cast(arrow)

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches`, a commit for each table, and return the rows written by table.

        They are staged on the local disk while they arrive. Safe to repeat after any failure.
        """
        with Staging(self._workdir / "staged") as staging:
            counts = stage(staging, batches)
            for staged in children_first(staging, self._tables):
                self._committed(staged.name, functools.partial(self._merge, staged))
        return counts

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them."""
        for name, schema in to_declare(batches, self._declared).items():
            self._committed(name, functools.partial(self._declare, name, schema))

    def _declare(self, name: str, schema: TableSchema) -> None:
        if name in self._declared:
            self._format.recreate(name, schema)
        elif name not in self._tables:
            self._format.create(name, schema)
        self._refresh(name)

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values."""
        self._committed(table, lambda: self._widen(table, {column: data_type}))

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column, in one commit that writes the table anew."""
        self._committed(table, lambda: self._drop(table, column))

    def _drop(self, table: str, column: str) -> None:
        before = self._tables.get(table)
        if before is not None and column in before.columns:
            self._rewrite(table, before, before.without(column))

    def require(self, tables: Collection[str]) -> None:
        """Try to write, and look for tables of these names that are not ours."""
        with destination_errors(self._shown):
            self._store.try_writing()
            new = set(tables).difference(self._tables, self._declared)
            foreign = new.intersection(self._format.names()) if new else set()
        require_ours(self._store.shown_dataset, foreign)

    def probe(self) -> str:
        """Write an empty file and delete it again; says what was found."""
        with destination_errors(self._shown):
            self._store.try_writing()
        state = f"{len(self._tables)} tables" if self._tables else "new"
        return (
            f"{self._format.name} in {self._shown} ({state}): may write and delete; merges by delete and"
            " insert in one commit a table"
        )

    def _merge(self, staged: StagedTable) -> None:
        name, before = staged.name, self._tables.get(staged.name)
        if name in self._declared:
            self._format.recreate(name, staged.schema)
        elif before is None:
            self._format.create(name, staged.schema)
        else:
            after = before.merged(staged.schema)
            new = [column for column in after.columns if column not in before.columns]
            if new:
                self._format.add_columns(name, after, new)
                self._refresh(name)
            self._widen(name, {c: column.data_type for c, column in after.columns.items()})
        self._refresh(name)
        schema = self._tables[name]
        rows = StagedReader(self._connection, staged, schema)
        self._format.replace(name, schema, rows, self._settings.workspace)

    def _widen(self, table: str, types: Mapping[str, str]) -> None:
        before = self._tables.get(table)
        if before is None:
            return
        after = before
        for column, data_type in types.items():
            if column in before.columns and before.columns[column].data_type != data_type:
                after = after.retyped(column, data_type)
        if after is not before:
            self._rewrite(table, before, after)

    def _rewrite(self, table: str, before: TableSchema, after: TableSchema) -> None:
        with self._copied(self._all_rows(table, before, after)) as batches:
            self._format.rewrite(table, after, batches)
        self._refresh(table)

    def _committed(self, table: str, write: Callable[[], None]) -> None:
        """Call `write`, and again if another writer committed first."""
        with destination_errors(f"{self._shown}: {table}"):
            for _ in range(_ATTEMPTS):
                try:
                    self._changed.add(table)
                    return write()
                except Conflict:
                    logger.info("%s was written by another sync; trying again", table)
                    self._refresh(table)
        raise DestinationError(
            f"{self._shown}: {table} was written by another sync {_ATTEMPTS} times in turn; run again"
        )

    def _tidy(self) -> None:
        """Tidy the tables that changed. If it fails, the next sync does it."""
        for table in () if self._read_only else sorted(self._changed):
            try:
                with destination_errors(table):
                    self._format.tidy(table)
            except (DestinationError, Conflict) as error:
                logger.info("small files stay until the next sync: %s", error)

    # -- rows -----------------------------------------------------------------------------------

    @property
    def _shown(self) -> str:
        return self._store.shown

    def _refresh(self, table: str) -> None:
        schema = self._format.schema(table)
        self._tables.pop(table, None)
        self._declared.pop(table, None)
        if schema is not None:
            self._note(table, schema)

    def _note(self, table: str, schema: TableSchema) -> None:
        (self._declared if schema.is_declared else self._tables)[table] = schema

    def _schemas(self) -> Mapping[str, TableSchema]:
        return self._tables

    def _read(self, table: str, columns: Sequence[str], query: str) -> pa.Table:
        with destination_errors(f"{self._shown}: {table} cannot be read"):
            self._connection.register(
                "loaded", self._format.scan(table, columns, self._settings.workspace)
            )
            return self._connection.sql(query).to_arrow_table()

    @contextlib.contextmanager
    def _copied(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Iterator[pa.RecordBatch]]:
        """`batches`, read back from a local copy: a library cannot write a table while its own reader of
        that table is open."""
        path = self._workdir / "rewritten.parquet"
        first = next(batches, None)
        if first is None:
            yield iter(())
            return
        with pq.ParquetWriter(path, first.schema) as writer:
            for batch in chain([first], batches):
                writer.write_batch(batch)
        with pq.ParquetFile(path) as file:
            yield file.iter_batches(BATCH_ROWS)
        path.unlink()

    def _all_rows(
        self, table: str, have: TableSchema, want: TableSchema
    ) -> Iterator[pa.RecordBatch]:
        """Every row of `table`, which has the columns of `have`, in the columns and types of `want`."""
        names = list(want.columns)
        self._connection.register("whole", self._format.scan(table, list(have.columns), None))
        query = f"SELECT {projection(have, want, names)} FROM whole"
        schema = pa.schema([(n, ARROW_TYPES[c.data_type]) for n, c in want.columns.items()])
        with self._connection.sql(query).to_arrow_reader(BATCH_ROWS) as reader:
            for batch in reader:
                yield batch.cast(schema)


def _open_format(settings: Settings, store: Store) -> TableFormat:
    try:
        if settings.destination == "delta":
            from oa_sync.load.lakehouse.delta import Delta

            return Delta(store)
        from oa_sync.load.lakehouse.iceberg import Iceberg

        return Iceberg(settings, store)
    except ImportError as error:
        name = settings.destination
        raise ConfigurationError(
            f"destination {name}: {error}; pip install 'oa-sync[{name}]'"
        ) from error
