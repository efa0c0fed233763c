"""The rows of reports, which may be millions: cut out of their details, loaded in one of three forms.

`json`: `report_rows` with each row as its text, never parsed. `typed`: `report_rows` with typed columns.
`tables`: a table for each report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from oa_sync.definitions.model import Child
from oa_sync.extract.items import Item
from oa_sync.load.drift import SchemaChanges
from oa_sync.load.learned import learned_of
from oa_sync.load.tables import (
    DELETED_AT,
    INSTANT,
    REMOVAL,
    WORKSPACE,
    Batch,
    Output,
    TableHints,
    column_hint,
)
from oa_sync.load.warehouse import Warehouse
from oa_sync.settings import Settings
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.report_rows import ReportTables, json_rows, report_rows_spec
from oa_sync.shape.shaper import Shaped, Shaper
from oa_sync.shape.spans import Rows

BATCH_BYTES = 8 * 1024 * 1024
BATCH_ROWS = 100_000


class LongList(Protocol):
    """Takes the rows of one parent after the other."""

    def add(self, item: Item, fields: dict[str, Any], rows: Rows | None) -> Iterator[Output]:
        """The `rows` (None: the parent has no such list) of the parent `item` with `fields`."""

    def flush(self) -> Iterator[Output]:
        """The batches of what is held back."""


def open_long_list(
    child: Child,
    warehouse: Warehouse,
    settings: Settings,
    changes: SchemaChanges,
    declared: Collection[str],
) -> LongList:
    """The form that `settings.report_rows` asks for; `declared` are all tables of the definition."""
    match settings.report_rows:
        case "json":
            return _JsonRows(child, warehouse, settings, changes, declared)
        case "typed":
            return _TypedRows(child, warehouse, settings, changes, declared)
        case "tables":
            return _RowTables(child, warehouse, settings, changes, declared)


class _Rows:
    """What the three forms share: who the parent is, and what a batch of one table looks like."""

    def __init__(
        self,
        child: Child,
        warehouse: Warehouse,
        settings: Settings,
        changes: SchemaChanges,
        declared: Collection[str],
    ) -> None:
        self._child, self._warehouse, self._changes = child, warehouse, changes
        self._declared = declared
        self._workspace = settings.workspace
        self._constants = {WORKSPACE: settings.workspace}

    def _batch(self, name: str, table: pa.Table, columns: dict[str, dict[str, Any]]) -> Batch:
        if table.schema.get_field_index(DELETED_AT) < 0:
            table = table.append_column(DELETED_AT, pa.nulls(table.num_rows, INSTANT))
        self._changes.emitted(name, table.column_names)
        return Batch(TableHints(name, merge_key=(WORKSPACE, "report_id"), columns=columns), table)

    def _shaped(self, shaped: Shaped, learned: LearnedSchema) -> Iterator[Output]:
        yield from self._changes.settle(shaped.drift)
        for name, table in shaped.tables.items():
            hints = {c.name: column_hint(c) for c in learned.columns(name)}
            present = {n: hints[n] for n in table.column_names if n in hints}
            yield self._batch(name, table, present)

    def _removal(self, name: str, report_id: str, rest: tuple[str, ...] = ("position",)) -> Batch:
        """A row that only removes what `report_id` has in the table `name`."""
        row = {"report_id": [report_id], **{column: [-1] for column in rest}}
        row[WORKSPACE] = [self._workspace]
        table = pa.table(row).append_column(DELETED_AT, pa.array([REMOVAL], INSTANT))
        return self._batch(name, table, {})


class _JsonRows(_Rows):
    """Mode `json`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._texts: list[Any] = []
        self._ids: list[Any] = []
        self._positions: list[Any] = []
        self._bytes = self._rows = 0

    def add(self, item: Item, fields: dict[str, Any], rows: Rows | None) -> Iterator[Output]:
        if rows is None or len(rows) == 0:
            if item.replaces and self._warehouse.has_table(self._child.table):
                yield self._removal(self._child.table, item.key)
            return
        for start, part in _pieces(rows):
            texts = part.texts()
            self._texts.append(texts)
            self._ids.append(pa.repeat(pa.scalar(item.key, pa.string()), len(part)))
            self._positions.append(pa.array(np.arange(start, start + len(part))))
            self._bytes += texts.nbytes
            self._rows += len(part)
            if self._bytes >= BATCH_BYTES or self._rows >= BATCH_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[Output]:
        if not self._texts:
            return
        table = json_rows(
            pa.concat_arrays(self._texts),
            pa.concat_arrays(self._ids),
            pa.concat_arrays(self._positions),
            self._constants,
        )
        self._texts, self._ids, self._positions = [], [], []
        self._bytes = self._rows = 0
        yield self._batch(self._child.table, table, {"row": {"data_type": "json"}})


class _TypedRows(_Rows):
    """Mode `typed`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        spec = report_rows_spec(self._constants, self._child.table)
        learned = learned_of(self._warehouse.columns(), {self._child.table}, self._declared)
        self._shaper = Shaper(spec, learned)
        self._lines: list[bytes] = []
        self._ids: list[Any] = []
        self._positions: list[Any] = []
        self._bytes = 0

    def add(self, item: Item, fields: dict[str, Any], rows: Rows | None) -> Iterator[Output]:
        if rows is None or len(rows) == 0:
            if item.replaces:
                yield from self._without_rows(item.key)
            return
        for start, part in _pieces(rows):
            self._lines.append(part.ndjson())
            self._ids.append(pa.repeat(pa.scalar(item.key, pa.string()), len(part)))
            self._positions.append(pa.array(np.arange(start, start + len(part))))
            self._bytes += len(self._lines[-1])
            if self._bytes >= BATCH_BYTES:
                yield from self.flush()

    def flush(self) -> Iterator[Output]:
        if not self._lines:
            return
        ndjson = b"".join(self._lines)
        extras = {
            "report_id": pa.concat_arrays(self._ids),
            "position": pa.concat_arrays(self._positions),
        }
        self._lines, self._ids, self._positions, self._bytes = [], [], [], 0
        shaped = self._shaper.shape(ndjson, extras)
        yield from self._shaped(shaped, self._shaper.learned)

    def _without_rows(self, report_id: str) -> Iterator[Output]:
        for name, table in self._shaper.tables.items():
            if self._warehouse.has_table(name):
                yield self._removal(name, report_id, table.key[1:])


class _RowTables(_Rows):
    """Mode `tables`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        columns = [c for c in self._warehouse.columns() if c.table.startswith("report__")]
        learned = learned_of(columns, {c.table for c in columns}, {c.table for c in columns})
        self._reports = ReportTables(self._constants, self._names(learned), learned)

    def add(self, item: Item, fields: dict[str, Any], rows: Rows | None) -> Iterator[Output]:
        name = str(fields.get("name") or item.key)
        shaper = self._reports.shaper(item.key, name)
        if item.replaces:
            for table_name, table in shaper.tables.items():
                if self._warehouse.has_table(table_name) and (rows is None or len(rows) == 0):
                    yield self._removal(table_name, item.key, table.key[1:])
        for start, part in _pieces(rows) if rows is not None else ():
            positions = pa.array(np.arange(start, start + len(part)))
            shaped = self._reports.shape(item.key, name, part.ndjson(), positions)
            yield from self._shaped(shaped, shaper.learned)

    def flush(self) -> Iterator[Output]:
        return iter(())

    def _names(self, learned: LearnedSchema) -> dict[str, str]:
        """Table by report id, read back from the tables, which hold the id."""
        names: dict[str, str] = {}
        for name in learned.tables:
            if name.startswith("report__") and "__" not in name.removeprefix("report__"):
                for (report_id,) in self._warehouse.select(
                    f"SELECT DISTINCT report_id FROM {self._warehouse.qualified(name)}"
                    " WHERE _oa_workspace = %s",
                    self._workspace,
                ):
                    names[report_id] = name
        return names


def _pieces(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """`rows` in pieces of at most about `BATCH_BYTES`, each with the position of its first row."""
    if rows.nbytes <= BATCH_BYTES:
        if len(rows):
            yield 0, rows
        return
    ends = np.cumsum(rows.ends - rows.starts)
    start = 0
    while start < len(rows):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + BATCH_BYTES)))
        yield start, rows.slice(start, stop)
        start = stop
