"""Loading Arrow batches into clean Parquet files, and reading back what is loaded.

A `oa_sync.tables.target.Target`. The package's docstring says what readers are promised, how the promise is
kept, and its limits.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from oa_sync._version import __version__
from oa_sync.clock import Clock, isoformat
from oa_sync.errors import DestinationError
from oa_sync.load.destination_errors import destination_errors, require_ours
from oa_sync.load.file_reads import DuckReads
from oa_sync.load.lake.files import LakeTable, owner_of
from oa_sync.load.lake.merging import Merge
from oa_sync.load.lake.writing import TARGET_BYTES, write_file
from oa_sync.load.staging import StagedTable, Staging, children_first, stage
from oa_sync.load.store import Store
from oa_sync.load.table_schema import TableSchema, identifier, identifiers, literal, to_declare
from oa_sync.private import fresh_folder
from oa_sync.settings import Settings
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import Batch

logger = logging.getLogger(__name__)

_MEMORY = "1GB"
"""What DuckDB may hold while it sorts one file; the rest goes to the working folder."""

_BATCH_ROWS = 8_192

_WITHOUT_ROWS = "empty.parquet"
"""The file of a table into which nothing was loaded yet. It goes when the first rows are there."""


class Lake(DuckReads):
    """One workspace's tables as Parquet files under `<bucket_url>/<dataset_name>/<table>/`.

    Use it as a context manager and from one thread. `target_bytes` is the size from which a file takes
    no further keys. With `read_only`, nothing in the folder is changed. Every method that talks to the
    store raises `DestinationError` when it cannot.
    """

    def __init__(
        self,
        settings: Settings,
        workdir: Path,
        clock: Clock | None = None,
        target_bytes: int = TARGET_BYTES,
        *,
        read_only: bool = False,
    ) -> None:
        self._settings = settings
        self._workdir = workdir
        self._clock = clock or Clock()
        self._target_bytes = target_bytes
        self._read_only = read_only
        self._owner = owner_of(settings.workspace)
        self._tables: dict[str, LakeTable] = {}
        self._declared: dict[str, TableSchema] = {}
        """The tables that only readers have: nothing was loaded into them yet."""
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        fresh_folder(self._workdir)
        self._store = Store(self._settings, self._workdir)
        with destination_errors(self._store.shown):
            self._connection = self._opened.enter_context(self._connect())
            if not self._read_only:
                self._store.remove_leftovers(self._owner)
            self._folders = self._store.tables()
            for name in self._folders:
                table = LakeTable(name, self._store, self._owner)
                table.refresh()
                self._note(table)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._tables and not self._read_only:
                self._add_new_columns_everywhere()
                if self._store.is_local:
                    self._cut_what_is_over()
        finally:
            self._opened.close()
            shutil.rmtree(self._workdir, ignore_errors=True)

    # -- reading back ---------------------------------------------------------------------------

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of `sql`, in DuckDB's dialect, over all rows of the folder's tables."""
        with destination_errors(f"{self._store.shown}: the query"):
            for name, table in self._tables.items():
                table.refresh()
                relation = table.relation(table.files, list(table.schema.columns))
                self._connection.execute(
                    f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {relation}"
                )
            return self._connection.execute(sql).fetchall()

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace, with each column's type as field metadata.

        Use them up before anything else is asked for.
        """
        loaded = self._tables[table]
        loaded.refresh()
        schema = loaded.schema.arrow({}).remove_metadata()
        with destination_errors(f"{self._store.shown}: {table} cannot be read"):
            relation = loaded.relation(loaded.files, schema.names)
            query = f"SELECT {identifiers(schema.names)} FROM ({relation})"
            with self._connection.sql(query).to_arrow_reader(_BATCH_ROWS) as reader:
                for batch in reader:
                    yield batch.cast(schema)

    def require(self, tables: Collection[str]) -> None:
        """Try to write, and look for files that are not ours in the folders of `tables`."""
        with destination_errors(self._store.shown):
            self._store.try_writing()
            new = set(tables).intersection(self._folders)
            new -= {*self._tables, *self._declared}
            foreign = [table for table in new if self._store.files(table)]
        require_ours(self._store.shown_dataset, foreign)

    def probe(self) -> str:
        """Write an empty file and delete it again; says what was found."""
        with destination_errors(self._store.shown):
            self._store.try_writing()
        return f"parquet in {self._store.shown}: may write and delete; each key once, by replacing files"

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches` and return the rows written by table.

        The batches are staged on the local disk while they arrive, then table after table is merged.
        Safe to repeat after any failure.
        """
        with Staging(self._workdir / "staged") as staging:
            counts = stage(staging, batches)
            for staged in children_first(staging, self._tables):
                self._merge(staged)
        return counts

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them: a file without rows each."""
        for name, schema in to_declare(batches, self._declared).items():
            table = self._tables.get(name) or LakeTable(name, self._store, self._owner)
            with destination_errors(f"{self._store.shown}: {name}"), self._store.lock(name):
                table.refresh()
                if not table.files:
                    unfinished = self._store.scratch(self._owner, name)
                    write_file((), schema.arrow(self._description()), unfinished, ())
                    seen = table.declared.found if table.declared else None
                    self._store.replace(unfinished, name, _WITHOUT_ROWS, seen)
                    table.refresh()
            self._note(table)

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values.

        Reading gives the new type from now on. The files are converted by the next load of the table
        before it writes a row, or else at the end.
        """
        loaded = self._tables.get(table)
        if loaded is not None and column in loaded.schema.columns:
            loaded.widen(column, data_type)

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column: each file is written anew without it."""
        loaded = self._tables.get(table)
        if loaded is None or column not in loaded.schema.columns:
            return
        with destination_errors(f"{self._store.shown}: {table}"), self._store.lock(table):
            loaded.refresh()
            loaded.drop(column)
            self._merging(loaded).conform(columns=True)

    def _merge(self, staged: StagedTable) -> None:
        name = staged.name
        table = self._tables.get(name) or LakeTable(name, self._store, self._owner)
        with destination_errors(f"{self._store.shown}: {name}"), self._store.lock(name):
            self._merging(table).merge(staged)
            table.refresh()
            if table.files and table.declared is not None:
                self._store.remove(name, table.declared.found.name)
                table.declared = None
        self._note(table)

    def _note(self, table: LakeTable) -> None:
        self._declared.pop(table.name, None)
        if table.files:
            self._tables[table.name] = table
        elif table.declared is not None:
            self._declared[table.name] = table.declared.schema

    def _add_new_columns_everywhere(self) -> None:
        """Give all files of a table the same columns: some readers take the columns of the first for all.

        Done once a sync, not once a load: in a first sync, new columns come with every load. If it fails,
        the next sync does it; the rows are loaded by now.
        """
        for table in self._tables.values():
            if not any(
                file.schema.lacks_columns_of(table.schema)
                or file.schema.differs_in_type(table.schema)
                for file in table.files
            ):
                continue
            try:
                with destination_errors(table.name), self._store.lock(table.name):
                    table.refresh()
                    self._merging(table).conform(columns=True)
            except DestinationError as error:
                logger.warning("older files lack new columns until the next sync: %s", error)

    def _cut_what_is_over(self) -> None:
        """Remove kept pages whose time is over, to free their room. If it fails, the next sync does it."""
        for table in self._tables.values():
            try:
                with destination_errors(table.name), self._store.lock(table.name):
                    table.refresh()
                    self._merging(table).cut()
            except DestinationError as error:
                logger.warning("old pages stay until the next sync: %s", error)

    def _merging(self, table: LakeTable) -> Merge:
        return Merge(
            table,
            self._store,
            self._connection,
            self._owner,
            self._description,
            self._grace,
            self._target_bytes,
        )

    def _grace(self) -> tuple[float, float]:
        return self._clock.now().timestamp(), self._settings.grace_seconds

    def _description(self) -> dict[str, str]:
        return {
            "oa_sync.source": self._settings.base_url,
            "oa_sync.written_at": isoformat(self._clock.now()),
            "oa_sync.writer": f"oa-sync {__version__}",
        }

    # -- DuckDB ---------------------------------------------------------------------------------

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = {literal(str(self._workdir / 'spill'))}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_file_cache = false")
        self._store.connect(connection)
        return connection

    def _schemas(self) -> Mapping[str, TableSchema]:
        return {name: table.schema for name, table in self._tables.items()}

    def _read(self, name: str, columns: Sequence[str], query: str) -> pa.Table:
        """The result of `query` over the relation `loaded`: `columns` of this workspace's rows."""
        table = self._tables[name]
        table.refresh()
        if not table.own:
            empty = [pa.field(c, ARROW_TYPES[table.schema.columns[c].data_type]) for c in columns]
            return pa.schema(empty).empty_table()
        relation = table.relation(table.own, columns)
        with destination_errors(f"{self._store.shown}: {name} cannot be read"):
            return self._connection.sql(f"WITH loaded AS ({relation}) {query}").to_arrow_table()
