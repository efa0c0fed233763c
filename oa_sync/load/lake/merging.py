"""Merges one table: finds the files that hold changed keys, and rewrites each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pyarrow as pa

from oa_sync.load.lake import kept
from oa_sync.load.lake.files import LakeFile, LakeTable
from oa_sync.load.lake.writing import Replaced, write_file, write_files
from oa_sync.load.staging import ROW, StagedTable
from oa_sync.load.store import Store
from oa_sync.load.table_schema import identifiers, literal

_FILE = "__file"
_BATCH_ROWS = 2_048

Describe = Callable[[], dict[str, str]]
"""Key-value metadata for a file that is about to be written."""

Grace = Callable[[], tuple[float, float]]
"""The time now (Unix seconds), and for how many seconds a file keeps what it replaces."""


class Merge:
    """Merges into `table` under its lock. At no moment is a key in two files or in none.

    Each old file is replaced as a whole, and only rows of its own keys change in it. Rows of new keys go
    to the newest file or to new ones. So a merge may be killed after any file, and repeating it gives the
    same rows.
    """

    def __init__(
        self,
        table: LakeTable,
        store: Store,
        connection: duckdb.DuckDBPyConnection,
        owner: str,
        describe: Describe,
        grace: Grace,
        target_bytes: int,
    ) -> None:
        self._grace = grace
        self._table, self._store, self._connection = table, store, connection
        self._owner, self._describe, self._target_bytes = owner, describe, target_bytes

    def merge(self, staged: StagedTable) -> None:
        """Write the rows of `staged`, and remove what they replace."""
        table = self._table
        table.refresh()
        table.extend(staged.schema)
        self.conform(columns=False)
        keys = identifiers(table.schema.key)
        self._view("staged", staged.relation(table.schema))
        self._keep_last_of_each_key(staged)
        self._temporary("changed", f"SELECT DISTINCT {keys} FROM staged")
        self._temporary("placed", self._places(keys))
        fresh = f"SELECT * FROM staged ANTI JOIN placed USING ({keys}) WHERE {staged.keeps}"
        open_file = self._open_file(staged, self._count(fresh))
        touched = {address for (address,) in self._rows(f"SELECT DISTINCT {_FILE} FROM placed")}
        for file in table.own:
            address = self._address(file)
            takes_fresh = file is open_file
            if address in touched or takes_fresh:
                self._rewrite(
                    file, self._merged_rows(file, staged, keys, fresh if takes_fresh else None)
                )
        if open_file is None:
            self._write_new(fresh)

    def conform(self, *, columns: bool) -> None:
        """Give every file of the table, of whichever workspace, the types of the schema, and with
        `columns` its columns too, and no others."""
        table = self._table
        for file in list(table.files):
            if file.schema.differs_in_type(table.schema) or (
                columns and file.schema.columns.keys() != table.schema.columns.keys()
            ):
                self._rewrite(file, table.relation([file], list(table.schema.columns)))
        table.refresh()

    # -- where keys are -------------------------------------------------------------------------

    def _places(self, keys: str) -> str:
        table = self._table
        if not table.own:
            return f"SELECT {keys}, '' AS {_FILE} FROM changed WHERE false"
        relation = table.relation(table.own, table.schema.key, with_file=_FILE)
        return f"SELECT DISTINCT {keys}, {_FILE} FROM ({relation}) SEMI JOIN changed USING ({keys})"

    def _open_file(self, staged: StagedTable, fresh_rows: int) -> LakeFile | None:
        """The newest file, if the rows of new keys fit into it. None: they do not fit, or there are none."""
        own = self._table.own
        if not own:
            return None
        fresh_bytes = staged.nbytes * fresh_rows // max(1, staged.rows)
        fits = own[-1].nbytes + fresh_bytes <= self._target_bytes
        return own[-1] if fresh_rows and fits else None

    def _keep_last_of_each_key(self, staged: StagedTable) -> None:
        """Of rows with the same primary key, keep the last. Child tables keep all rows."""
        if staged.by_parent:
            return
        keys = identifiers(self._table.schema.key)
        distinct = self._count(f"SELECT DISTINCT {keys} FROM staged")
        if distinct == staged.rows:
            return
        last = f"SELECT max({ROW}) FROM staged GROUP BY {keys}"
        self._temporary("last_rows", last)
        relation = staged.relation(self._table.schema)
        self._view("staged", f"SELECT * FROM ({relation}) WHERE {ROW} IN (FROM last_rows)")

    # -- writing --------------------------------------------------------------------------------

    def _merged_rows(
        self, file: LakeFile, staged: StagedTable, keys: str, fresh: str | None
    ) -> str:
        old = self._table.relation([file], list(self._table.schema.columns))
        here = f"SELECT {keys} FROM placed WHERE {_FILE} = {literal(self._address(file))}"
        parts = [
            f"SELECT * FROM ({old}) ANTI JOIN changed USING ({keys})",
            f"SELECT * FROM staged SEMI JOIN ({here}) USING ({keys}) WHERE {staged.keeps}",
            *([fresh] if fresh else []),
        ]
        return " UNION ALL BY NAME ".join(f"({part})" for part in parts)

    def _rewrite(self, file: LakeFile, rows: str) -> None:
        table = self._table
        unfinished = self._store.scratch(self._owner, table.name)
        schema = table.schema.arrow(self._describe())
        place = self._store.local_path(table.name, file.found.name)
        replaced = Replaced(place, kept.to_keep(place, *self._grace())) if place else None
        write_file(self._sorted(rows), schema, unfinished, table.schema.key, replaced)
        self._store.replace(unfinished, table.name, file.found.name, file.found)

    def _write_new(self, rows: str) -> None:
        table = self._table
        paths = write_files(
            self._sorted(rows),
            table.schema.arrow(self._describe()),
            lambda: self._store.scratch(self._owner, table.name),
            table.schema.key,
            self._target_bytes,
        )
        for path, name in zip(paths, table.next_names(len(paths)), strict=True):
            self._store.replace(path, table.name, name, None)

    def _sorted(self, rows: str) -> Iterator[pa.RecordBatch]:
        table = self._table
        columns, keys = identifiers(table.schema.columns), identifiers(table.schema.key)
        query = f"SELECT {columns} FROM ({rows}) ORDER BY {keys}, {ROW}"
        with self._connection.sql(query).to_arrow_reader(_BATCH_ROWS) as reader:
            yield from reader

    def cut(self) -> None:
        """Remove kept pages from each of this workspace's files in which the time of all of them is over."""
        now, _ = self._grace()
        for file in self._table.own:
            place = self._store.local_path(self._table.name, file.found.name)
            if place is not None and kept.is_over(place, now):
                unfinished = self._store.scratch(self._owner, self._table.name)
                kept.write_without_kept(place, unfinished)
                self._store.replace(unfinished, self._table.name, file.found.name, file.found)

    # -- DuckDB ---------------------------------------------------------------------------------

    def _address(self, file: LakeFile) -> str:
        return self._store.address(self._table.name, file.found.name)

    def _view(self, name: str, query: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")

    def _temporary(self, name: str, query: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")

    def _count(self, query: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM ({query})")[0][0])

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()
