"""Reading back through DuckDB, for targets whose tables are files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import duckdb
import pyarrow as pa

from oa_sync.extract.lists.changes import Known
from oa_sync.load.table_schema import TableSchema, identifier, identifiers
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import DELETED_AT, LoadedColumn, TableHints
from oa_sync.tables.counts import (
    DETAIL_VERSION,
    VERSION,
    Counts,
    count_columns,
    counts_of,
)

_COMPARED = ("_oa_version", "_oa_row_hash", "_oa_detail_version", DELETED_AT)


class DuckReads(ABC):
    """The reading half of a target: a subclass says what its tables are and runs the queries."""

    widens_keys = True

    _connection: duckdb.DuckDBPyConnection

    @abstractmethod
    def _schemas(self) -> Mapping[str, TableSchema]:
        """Every table of ours, of all workspaces."""

    @abstractmethod
    def _read(self, table: str, columns: Sequence[str], query: str) -> pa.Table:
        """The result of `query` over the relation `loaded`: `columns` of this workspace's rows of
        `table`, or an empty table of `columns` where it has none."""

    def held_open(self) -> AbstractContextManager[None]:
        """Nothing to do: the connection stays open anyway."""
        return nullcontext()

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table, of all workspaces."""
        return [
            LoadedColumn(table, name, column.data_type, column.hints.get("x-oa-path"))
            for table, schema in self._schemas().items()
            for name, column in schema.columns.items()
        ]

    def has_table(self, table: str) -> bool:
        """Whether `table` has ever been loaded into."""
        return table in self._schemas()

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, and the type and path of each column."""
        return self._schemas()[table].hints(table)

    def known(self, table: str, key_columns: Sequence[str]) -> dict[tuple[Any, ...], Known]:
        """What is loaded of this workspace in `table`, by the values of `key_columns`."""
        width = len(key_columns)
        return {
            row[:width]: Known(row[width], row[width + 1], row[width + 2], row[-1] is not None)
            for row in self.select(table, [*key_columns, *_COMPARED])
        }

    def current_rows(
        self,
        table: str,
        key_columns: Sequence[str],
        keys: Sequence[tuple[Any, ...]],
        *,
        null: str | None = None,
    ) -> list[dict[str, Any]]:
        """The loaded rows of this workspace with `keys`, whole, as column name -> value.

        JSON columns come as text. Keys that are not loaded are left out. With `null`, so are rows in which
        that column has a value.
        """
        if not keys or not self.has_table(table):
            return []
        columns = self._schemas()[table].columns
        wanted = pa.table(
            {
                name: pa.array(values, ARROW_TYPES[columns[name].data_type])
                for name, values in zip(key_columns, zip(*keys, strict=True), strict=True)
            }
        )
        self._connection.register("wanted", wanted)
        try:
            using = identifiers(key_columns)
            query = f"SELECT {identifiers(columns)} FROM loaded SEMI JOIN wanted USING ({using})"
            if null is not None:
                query += f" WHERE {identifier(null)} IS NULL"
            return list(self._read(table, list(columns), query).to_pylist())
        finally:
            self._connection.unregister("wanted")

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""
        if not self.has_table(table):
            return set()
        query = f"SELECT DISTINCT {identifier(column)} FROM loaded"
        return set(self._read(table, [column], query)[column].to_pylist())

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""
        if not self.has_table(table):
            return None
        query = f"SELECT max({identifier(column)}) AS largest FROM loaded"
        values = self._read(table, [column], query)
        return values[0][0].as_py() if values.num_rows else None

    def select(
        self, table: str, columns: Sequence[str], *, null: str | None = None
    ) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None. With
        `null`, only the rows in which that column is NULL."""
        if not self.has_table(table):
            return []
        there = self._schemas()[table].columns
        names = [name for name in columns if name in there]
        if not names:
            return []
        query = f"SELECT {identifiers(names)} FROM loaded"
        if null is not None:
            query += f" WHERE {identifier(null)} IS NULL"
        needed = list(dict.fromkeys([*names, *([null] if null else [])]))
        read = self._read(table, needed, query).to_pydict()
        empty = [None] * len(read[names[0]])
        return list(zip(*(read.get(name, empty) for name in columns), strict=True))

    def counts(self, table: str) -> Counts:
        """This workspace's rows in `table`, counted."""
        columns = self._schemas()[table].columns
        names = [name for name in (VERSION, DETAIL_VERSION, DELETED_AT) if name in columns]
        counted = count_columns(columns, identifier)
        read = self._read(table, names or list(columns)[:1], f"SELECT {counted} FROM loaded")
        if not len(read):
            return Counts(0, 0, 0 if len(names) == 3 else None)
        return counts_of([column[0].as_py() for column in read.columns])

    def recent(
        self, table: str, columns: Sequence[str], by: str, count: int
    ) -> list[dict[str, Any]]:
        """The `count` rows of this workspace with the largest `by`, largest first."""
        if not self.has_table(table):
            return []
        there = [name for name in columns if name in self._schemas()[table].columns]
        query = f"SELECT * FROM loaded ORDER BY {identifier(by)} DESC LIMIT {count:d}"
        empty: dict[str, Any] = dict.fromkeys(columns)
        rows = self._read(table, sorted({*there, by}), query).to_pylist()
        return [{**empty, **{name: row[name] for name in there}} for row in rows]
