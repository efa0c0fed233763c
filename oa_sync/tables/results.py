"""Results of queries and exports into tables: typed, all at once, replaced, appended or merged.

All rows are read once before the first one is loaded, so names and types are final: nothing has to be
widened half way, each table is one file and one transaction, and a result that turns out to be broken
leaves the table as it was.

The rows that are replaced together are a *result*: they all have the same number in `_oa_result`, which
is half of the merge key. With `replace`, a table holds result 0; with `append`, each result gets the
next number. So it is safe to repeat a load, a shorter result leaves no old rows, and on every destination
appended rows are all there or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oa_sync.errors import (
    ConfigurationError,
    DestinationError,
    InvalidResponseError,
    OaSyncError,
)
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.naming import Path
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import TableSpec
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.shape.temporal import TimesInText
from oa_sync.tables.batches import (
    INSTANT,
    WORKSPACE,
    Batch,
    TableHints,
    column_hint,
    learned_of,
)
from oa_sync.tables.drift import SchemaChanges
from oa_sync.tables.target import Target

logger = logging.getLogger(__name__)

RESULT = "_oa_result"
POSITION = "position"
SYNCED_AT = "_oa_synced_at"

Disposition = Literal["replace", "append", "merge"]


class RowSource(Protocol):
    """Rows that can be read more than once (see `oa_sync.shape.result.JsonResult`)."""

    def blocks(self) -> Iterator[Rows]:
        """All rows from the first on, some megabytes at a time."""


@dataclass(frozen=True)
class ResultTable:
    """Where a result goes. `key`: for `merge`, the paths inside a row that identify it. `types`: dlt
    data types that are known by path."""

    name: str
    disposition: Disposition = "replace"
    key: tuple[str, ...] = ()
    types: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """`count` rows came; `rows` were written, by table; `drift` is for the report."""

    count: int
    rows: Mapping[str, int]
    drift: Sequence[dict[str, Any]]


def load_result(
    table: ResultTable, source: RowSource, target: Target, workspace: str, observed_at: datetime
) -> Loaded:
    """Load all rows of `source` into `table` and the tables of the lists of objects in them.

    Raises:
        InvalidResponseError: a row is not an object, or has no key; nothing was loaded.
        ConfigurationError: the table is loaded in another way already.
        DestinationError: the destination did not take it; each table has its old rows or the new.
    """
    try:
        return _Result(table, source, target, workspace, observed_at).load()
    except OaSyncError:
        raise
    except Exception as error:
        logger.exception("loading failed")
        raise DestinationError(
            f"{table.name}: loading failed: {type(error).__name__}: {error}"
        ) from error


class _Result:
    """One result on its way into its tables."""

    def __init__(
        self,
        table: ResultTable,
        source: RowSource,
        target: Target,
        workspace: str,
        observed_at: datetime,
    ) -> None:
        self._table, self._source, self._target = table, source, target
        self._workspace, self._observed_at = workspace, observed_at
        self._merges = table.disposition == "merge"
        _check_layout(table, target)
        self._shaper = self._new_shaper(table.types)
        self._number = self._first = 0
        self._kept: NDArray[np.bool_] | None = None
        self._written: dict[str, int] = {}

    def load(self) -> Loaded:
        """Learn, then write the child tables, then the result's own table. The next load starts from
        the cursor and positions in that one, so after a kill in between it repeats all."""
        if self._table.disposition == "append" and self._target.has_table(self._table.name):
            self._number = self._after(RESULT)
            self._first = self._after(POSITION)
        counts, changes = self._learn()
        if self._merges:
            self._kept = self._last_of_each_key()
        below = [name for name in self._shaper.tables if name != self._table.name]
        if below:
            self._target.load(self._batches(below, counts))
        self._target.load(self._batches([self._table.name], counts))
        return Loaded(counts[self._table.name], self._written, changes.seen)

    def _after(self, column: str) -> int:
        largest = self._target.largest(self._table.name, column)
        return 0 if largest is None else int(largest) + 1

    # -- what the rows are ----------------------------------------------------------------------

    def _learn(self) -> tuple[dict[str, int], SchemaChanges]:
        """How many rows each table gets; loaded columns are made as wide as the rows need."""
        times = TimesInText(self._typed())
        learned = self._walk(times)
        if found := times.found():
            self._shaper = self._new_shaper({**self._table.types, **found})
            learned = self._walk(times)
        return learned

    def _typed(self) -> set[Path]:
        """The paths whose columns have a type before any row is seen."""
        loaded = self._shaper.learned.columns(self._table.name)
        return {*self._table.types, *(column.path for column in loaded)}

    def _walk(self, times: TimesInText) -> tuple[dict[str, int], SchemaChanges]:
        counts, changes = {self._table.name: 0}, SchemaChanges(self._target)
        for start, rows in self._blocks():
            _check_objects(rows, start)
            try:
                shaped = self._shaper.shape(rows.ndjson(), self._extras(start, len(rows)))
            except InvalidJsonError as error:
                raise InvalidResponseError(
                    f"{self._table.name}: a row of the block from row {start:,} on is {error}"
                ) from None
            for _ in changes.settle(shaped.drift):
                pass
            for name, table in shaped.tables.items():
                counts[name] = counts.get(name, 0) + table.num_rows
            own = self._table.name
            times.look(shaped.tables[own], self._shaper.learned.columns(own))
        return counts, changes

    def _new_shaper(self, types: Mapping[Path, str]) -> Shaper:
        name = self._table.name
        key = self._table.key if self._merges else (POSITION,)
        spec = TableSpec(name, key, types, constants={WORKSPACE: self._workspace})
        return Shaper(spec, learned_of(self._target.columns(), {name}, {name}))

    def _last_of_each_key(self) -> NDArray[np.bool_] | None:
        """Which rows to keep: of each key the last one. None: all of them."""
        keys = list(self._shaper.root_key)
        parts = [tables[self._table.name].select(keys) for _, tables in self._shaped()]
        if not parts:
            return None
        whole = pa.concat_tables(parts, promote_options="default")
        for name in keys:
            if whole[name].null_count:
                raise InvalidResponseError(
                    f"{self._table.name}: {whole[name].null_count:,} of {len(whole):,} rows have no"
                    f" {name}, which is part of the primary_key; nothing was loaded"
                )
        numbered = whole.append_column("row", pa.array(np.arange(len(whole))))
        last = numbered.group_by(keys).aggregate([("row", "max")])["row_max"]
        if len(last) == len(whole):
            return None
        kept = np.zeros(len(whole), np.bool_)
        kept[last.to_numpy()] = True
        return kept

    # -- batches --------------------------------------------------------------------------------

    def _batches(self, names: Sequence[str], counts: Mapping[str, int]) -> Iterator[Batch]:
        for name in names:
            if not self._merges:
                yield from self._outdated(name, counts.get(name, 0))
        if not any(counts.get(name) for name in names):
            return
        for parents, tables in self._shaped():
            for name in names:
                if name in tables:
                    yield self._batch(name, tables[name])
                if self._merges and name != self._table.name and self._target.has_table(name):
                    yield from self._without_rows(name, parents, tables.get(name))

    def _shaped(self) -> Iterator[tuple[pa.Table, Mapping[str, pa.Table]]]:
        """The tables of each block, and the key columns of its rows."""
        for start, rows in self._blocks():
            if self._kept is not None:
                kept = self._kept[start : start + len(rows)]
                rows = Rows(rows.buffer, rows.starts[kept], rows.ends[kept], rows.base)
            if len(rows):
                shaped = self._shaper.shape(rows.ndjson(), self._extras(start, len(rows)))
                keys = list(self._shaper.root_key)
                yield shaped.tables[self._table.name].select(keys), shaped.tables

    def _blocks(self) -> Iterator[tuple[int, Rows]]:
        start = 0
        for rows in self._source.blocks():
            if len(rows):
                yield start, rows
            start += len(rows)

    def _extras(self, start: int, count: int) -> dict[str, Any]:
        extras: dict[str, Any] = {
            SYNCED_AT: pa.array([self._observed_at], INSTANT).take(pa.array([0] * count))
        }
        if not self._merges:
            first = self._first + start
            extras[POSITION] = pa.array(np.arange(first, first + count))
        return extras

    def _batch(self, name: str, table: pa.Table) -> Batch:
        """`table` with every column of the whole result: all batches have one shape, so one file."""
        learned = {column.name: column for column in self._shaper.learned.columns(name)}
        for column in learned.values():
            if column.name not in table.column_names:
                nulls = pa.nulls(table.num_rows, ARROW_TYPES[column.data_type])
                table = table.append_column(column.name, nulls)
        keys = [*self._shaper.tables[name].key] if name != self._table.name else [POSITION]
        first = [column for column in keys if column in table.column_names]
        table = table.select(list(dict.fromkeys([*first, *learned, *table.column_names])))
        if not self._merges:
            table = table.append_column(RESULT, pa.array([self._number] * table.num_rows))
        hints = {column.name: column_hint(column) for column in learned.values()}
        self._written[name] = self._written.get(name, 0) + table.num_rows
        return Batch(self._hints(name, hints), table)

    def _hints(self, name: str, columns: Mapping[str, Mapping[str, Any]]) -> TableHints:
        if not self._merges:
            return TableHints(name, merge_key=(WORKSPACE, RESULT), columns=columns)
        keys = self._shaper.root_key
        if name == self._table.name:
            return TableHints(name, primary_key=(WORKSPACE, *keys), columns=columns)
        parent = self._shaper.tables[name].key[: len(keys)]
        return TableHints(name, merge_key=(WORKSPACE, *parent), columns=columns)

    # -- what is removed ------------------------------------------------------------------------

    def _outdated(self, name: str, count: int) -> Iterator[Batch]:
        """With `replace`: removes each loaded result without new rows."""
        if self._table.disposition != "replace" or not self._target.has_table(name):
            return
        numbers = self._target.distinct(name, RESULT) - ({self._number} if count else set())
        if numbers:
            yield self._removal(name, pa.table({RESULT: pa.array(sorted(numbers), pa.int64())}))

    def _without_rows(
        self, name: str, parents: pa.Table, present: pa.Table | None
    ) -> Iterator[Batch]:
        """With `merge`: removes what those of `parents` had that have no rows in `present`."""
        ours = list(self._shaper.tables[name].key[: len(parents.column_names)])
        empty = parents.rename_columns(ours)
        if present is not None:
            with_rows = present.select(ours).group_by(ours).aggregate([])
            empty = empty.join(with_rows, ours, join_type="left anti")
        if empty.num_rows:
            yield self._removal(name, empty.combine_chunks())

    def _removal(self, name: str, keys: pa.Table) -> Batch:
        workspace = pa.repeat(pa.scalar(self._workspace, pa.string()), keys.num_rows)
        return Batch(self._hints(name, {}), keys.append_column(WORKSPACE, workspace), removes=True)


def _check_layout(table: ResultTable, target: Target) -> None:
    """Merged tables have no `position`, the others no key of their own: they cannot be mixed."""
    if not target.has_table(table.name):
        return
    columns = {column.name for column in target.columns() if column.table == table.name}
    if (RESULT in columns) == (table.disposition == "merge"):
        how = "by position" if RESULT in columns else "by primary key"
        raise ConfigurationError(
            f"{table.name}: the table is loaded {how} already, and cannot take a result with"
            f" {table.disposition!r}; choose another table, or drop this one"
        )


def _check_objects(rows: Rows, start: int) -> None:
    if not rows.all_objects():
        data = np.frombuffer(rows.buffer, np.uint8)
        number = start + int(np.argmax(data[rows.starts] != ord("{")))
        raise InvalidResponseError(
            f"row {number:,} of the result is not an object with a value for each column; nothing was"
            " loaded; tell the vendor"
        )
