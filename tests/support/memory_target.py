"""A target in memory: what `oa_sync.tables.target.Target` asks of a destination, in plain Python.

It is the reference for the real destinations (`tests/destinations/test_conformance.py`), and the destination of
simulated nights. Where the real ones differ, it is the strict one: a value that does not fit the type of its
column is refused, and never rounded or made to fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from oa_sync.errors import DestinationError, UnusableDestinationError
from oa_sync.extract.lists.changes import Known
from oa_sync.load.table_schema import Column, TableSchema, arriving_schema, to_declare, wider
from oa_sync.settings import Settings
from oa_sync.shape.learned import HINT
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, Batch, LoadedColumn, TableHints
from oa_sync.tables.counts import DETAIL_VERSION, VERSION, Counts

Key = tuple[Any, ...]
Row = dict[str, Any]
Step = Callable[[str], object]

_COMPARED = (VERSION, "_oa_row_hash", DETAIL_VERSION, DELETED_AT)


@dataclass
class MemoryTable:
    """One table. `groups` holds the rows of each key: one row by primary key, a list by merge key.

    A row has no entry for a column that came later. Rows are never changed, only replaced.
    """

    schema: TableSchema = field(default_factory=TableSchema)
    groups: dict[Key, list[Row]] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """The rows of all workspaces."""
        for group in self.groups.values():
            yield from group


class MemoryStore:
    """What stands in the database. It outlives the targets that are opened on it."""

    def __init__(self) -> None:
        self.tables: dict[str, MemoryTable] = {}
        self.declared: dict[str, TableSchema] = {}
        """Tables that only readers have: nothing was loaded into them yet."""
        self.foreign: set[str] = set()
        """Names of tables that somebody else made."""

    def rows(self, table: str) -> list[Row]:
        """All rows of `table`, whole; none where there is no such table."""
        found = self.tables.get(table, MemoryTable())
        return [{name: row.get(name) for name in found.schema.columns} for row in found.rows()]


def _nothing(what: str) -> None:
    """A step at which nothing happens."""


class MemoryTarget:
    """One workspace's tables in `store`.

    `step` is called with a word on what comes next, before the rows of each table are merged and before each
    column is widened. What it raises goes through; what was merged before stays merged.
    """

    def __init__(
        self,
        settings: Settings,
        store: MemoryStore,
        step: Step = _nothing,
        *,
        read_only: bool = False,
    ) -> None:
        self._workspace, self._store = settings.workspace, store
        self._step, self._read_only = step, read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    def held_open(self) -> AbstractContextManager[None]:
        """For several steps in a row; nothing has to be opened."""
        return nullcontext()

    # -- reading back ---------------------------------------------------------------------------

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table."""
        return [
            LoadedColumn(table, name, column.data_type, column.hints.get(HINT))
            for table, found in self._store.tables.items()
            for name, column in found.schema.columns.items()
        ]

    def has_table(self, table: str) -> bool:
        """Whether `table` has ever been loaded into."""
        return table in self._store.tables

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, and the type and hints of each column."""
        return self._table(table).schema.hints(table)

    def known(self, table: str, key_columns: Sequence[str]) -> Mapping[Key, Known]:
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
        keys: Sequence[Key],
        *,
        null: str | None = None,
    ) -> list[Row]:
        """This workspace's loaded rows with `keys`, whole; JSON columns as text. With `null`, only the rows
        in which that column is NULL."""
        if not keys or not self.has_table(table):
            return []
        names, wanted = self._columns(table, key_columns), set(keys)
        return [
            {name: row.get(name) for name in names}
            for row in self._own(table, null)
            if tuple(row.get(name) for name in key_columns) in wanted
        ]

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""
        if not self.has_table(table):
            return set()
        self._columns(table, [column])
        return {row.get(column) for row in self._own(table)}

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""
        return max(
            (value for value in self.distinct(table, column) if value is not None), default=None
        )

    def select(
        self, table: str, columns: Sequence[str], *, null: str | None = None
    ) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None. With
        `null`, only the rows in which that column is NULL."""
        if not self.has_table(table):
            return []
        return [tuple([row.get(name) for name in columns]) for row in self._own(table, null)]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """A table in memory has no SQL."""
        raise DestinationError(f"memory: it knows no SQL, so it cannot answer {sql!r}")

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace, with each column's type as field metadata."""
        found = self._table(table)
        schema, rows = found.schema.arrow({}).remove_metadata(), list(found.rows())
        if rows:
            arrays = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
            yield pa.record_batch(arrays, schema=schema)

    def counts(self, table: str) -> Counts:
        """This workspace's rows in `table`, counted."""
        has_backlog = {VERSION, DETAIL_VERSION, DELETED_AT} <= set(self._columns(table))
        rows = list(self._own(table))
        living = [row for row in rows if row.get(DELETED_AT) is None]
        versions = [(row.get(VERSION), row.get(DETAIL_VERSION)) for row in living]
        late = sum(version is None or version != detail for version, detail in versions)
        return Counts(len(living), len(rows) - len(living), late if has_backlog else None)

    def recent(self, table: str, columns: Sequence[str], by: str, count: int) -> list[Row]:
        """The `count` rows of this workspace with the largest `by`, largest first."""
        if not self.has_table(table):
            return []
        self._columns(table, [by])
        rows = [row for row in self._own(table) if row.get(by) is not None]
        rows.sort(key=lambda row: row[by], reverse=True)
        rows += [row for row in self._own(table) if row.get(by) is None]
        return [{name: row.get(name) for name in columns} for row in rows[:count]]

    def require(self, tables: Collection[str]) -> None:
        """Look for tables of these names that are not ours."""
        if foreign := self._store.foreign.intersection(tables):
            raise UnusableDestinationError(f"memory: {sorted(foreign)} are somebody else's")

    def probe(self) -> str:
        """Nothing can be in the way of a load."""
        return "memory: may be written; merges by key, a table at a time"

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches`, table by table, those of lists first; rows by table. May be repeated at will.

        Raises:
            DestinationError: a row does not fit its table. Nothing of that table is changed.
        """
        staged: dict[str, list[Batch]] = {}
        counts: dict[str, int] = {}
        for batch in batches:
            name = batch.hints.name
            if batch.removes and name not in self._store.tables and name not in staged:
                continue
            if batch.rows.num_rows:
                staged.setdefault(name, []).append(batch)
            if batch.rows.num_rows and not batch.removes:
                counts[name] = counts.get(name, 0) + batch.rows.num_rows
        # A resource's row says that its lists are loaded.
        for name in sorted(staged, key=lambda name: bool(staged[name][0].hints.primary_key)):
            self._merge(name, staged[name])
        return counts

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them."""
        for name, schema in to_declare(batches, self._store.declared).items():
            self._may_write(f"declare {name}")
            self._store.declared[name] = schema

    widens_keys = True

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values. Nothing happens where there
        is no such column."""
        found = self._store.tables.get(table)
        if found is None or column not in found.schema.columns:
            return
        before = found.schema.columns[column].data_type
        if before == data_type:
            return
        self._may_write(f"widen {table}.{column}")
        if wider(before, data_type) == before:
            raise DestinationError(f"memory: {table}.{column}: {before} cannot become {data_type}")
        found.schema = found.schema.retyped(column, data_type)
        rows = (
            {**row, column: _converted(row.get(column), before, data_type)} for row in found.rows()
        )
        found.groups = _grouped(rows, found.schema.key)

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column."""
        found = self._store.tables.get(table)
        if found is not None and column in found.schema.columns:
            self._may_write(f"drop {table}.{column}")
            found.schema = found.schema.without(column)
            rows = ({n: v for n, v in row.items() if n != column} for row in found.rows())
            found.groups = _grouped(rows, found.schema.key)

    def _merge(self, name: str, batches: Sequence[Batch]) -> None:
        """Merge the rows of one table: all of them, or none."""
        self._may_write(f"load {name}")
        found = self._store.tables.get(name, MemoryTable())
        schema, changed = found.schema, dict[Key, list[Row]]()
        for batch in batches:
            if batch.removes:
                batch = replace(batch, rows=batch.rows.select(batch.hints.merge_key))
            arriving = arriving_schema(batch)
            schema = _extended(name, schema, arriving)
            for row in _rows(batch, arriving, schema):
                key = tuple([row[column] for column in schema.key])
                if None in key:
                    raise DestinationError(f"memory: {name}: a key is NULL: {key}")
                group = changed.setdefault(key, [])
                if not schema.by_parent:
                    group[:] = [row]
                elif not batch.removes:
                    group.append(row)
        if found.schema.key != schema.key:
            found.groups = _grouped(found.rows(), schema.key)
        found.schema = schema
        found.groups.update(changed)
        for key in [key for key, group in changed.items() if not group]:
            del found.groups[key]
        self._store.tables[name] = found
        self._store.declared.pop(name, None)

    # -- the store ------------------------------------------------------------------------------

    def _may_write(self, what: str) -> None:
        if self._read_only:
            raise DestinationError(f"memory: {what}: opened for reading only")
        self._step(what)

    def _table(self, name: str) -> MemoryTable:
        try:
            return self._store.tables[name]
        except KeyError:
            raise DestinationError(f"memory: there is no table {name}") from None

    def _columns(self, table: str, needed: Iterable[str] = ()) -> Mapping[str, Column]:
        """The columns of `table`; `needed` must be among them."""
        columns = self._table(table).schema.columns
        for name in needed:
            if name not in columns:
                raise DestinationError(f"memory: {table} has no column {name}")
        return columns

    def _own(self, table: str, null: str | None = None) -> Iterator[Row]:
        """This workspace's rows of `table`; with `null`, those in which that column is NULL."""
        self._columns(table, [] if null is None else [null])
        for row in self._store.tables[table].rows():
            if row[WORKSPACE] == self._workspace and (null is None or row.get(null) is None):
                yield row


def _extended(table: str, loaded: TableSchema, arriving: TableSchema) -> TableSchema:
    """`loaded` with the new columns of `arriving`. Raises DestinationError where a loaded column would have to
    become wider: that is asked for by `widen`."""
    for name, column in arriving.columns.items():
        have = loaded.columns.get(name)
        if have is not None and wider(have.data_type, column.data_type) != have.data_type:
            raise DestinationError(
                f"memory: {table}.{name}: {column.data_type} does not fit into {have.data_type}"
            )
    for name in arriving.key:
        if name not in arriving.columns:
            raise DestinationError(f"memory: {table}: the rows have no key column {name}")
    return loaded.merged(arriving)


def _rows(batch: Batch, arriving: TableSchema, schema: TableSchema) -> Iterator[Row]:
    """The rows of `batch` in the types of `schema`."""
    columns = []
    for name, column in arriving.columns.items():
        values, kind = batch.rows[name], ARROW_TYPES[column.data_type]
        if values.type != kind:
            try:
                values = values.cast(kind)
            except pa.ArrowInvalid as error:
                place = f"{batch.hints.name}.{name}"
                raise DestinationError(f"memory: {place}: {error}") from error
        before, after = column.data_type, schema.columns[name].data_type
        plain = values.to_pylist()
        columns.append(
            plain if before == after else [_converted(value, before, after) for value in plain]
        )
    names = list(arriving.columns)
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _grouped(rows: Iterable[Row], key: Sequence[str]) -> dict[Key, list[Row]]:
    """`rows` by their key."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple([row.get(column) for column in key]), []).append(row)
    return groups


# -- wider types --------------------------------------------------------------------------------


def _converted(value: Any, before: str, after: str) -> Any:
    """A value of type `before` in the wider type `after`, spelled as DuckDB does."""
    if value is None or before == after:
        return value
    if after == "double":
        return float(value)
    if before == "timestamp":
        value = f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    if after == "json":
        return _json(value)
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _json(value: Any) -> str:
    if isinstance(value, float):
        return _json_number(value)
    if isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    return str(value) if isinstance(value, Decimal) else json.dumps(str(value))


def _json_number(value: float) -> str:
    """With an exponent only for numbers below 1e-6 or from 1e21 on."""
    number = Decimal(repr(value))
    if not number.is_finite() or not -7 < number.adjusted() < 21:
        return repr(value).replace("e+", "e").replace("e-0", "e-")
    text = f"{number:f}"
    return text if "." in text else f"{text}.0"
