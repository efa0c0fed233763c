"""Every version of a resource's rows and of the lists under them, in `<table>_history`.

A version is valid from the time when a sync saw it (`_oa_valid_from`) until the time when a sync saw the next
one, or saw that the row is gone (`_oa_valid_to`; NULL: it is the current one). A history table has the columns
of its table without `_oa_deleted_at`, and these two; and its key is that table's key with `_oa_valid_from`. So one condition, the same
for rows and their lists, gives what was there on some day:

    _oa_valid_from <= day AND (_oa_valid_to > day OR _oa_valid_to IS NULL)

A version differs from the next in what change detection compares (`_oa_version`, `_oa_row_hash`,
`_oa_detail_version`). A detail that is loaded later than its list row completes the version of that row. All
depends only on what is in the destination and on when an item was fetched, so a load that is repeated writes
the same rows again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.errors import ConfigurationError
from oa_sync.journal.items import Item, Kind, key_of
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import (
    DELETED_AT,
    INSTANT,
    VALID_FROM,
    VALID_TO,
    WORKSPACE,
    Batch,
    Output,
    TableHints,
    history_table,
)
from oa_sync.tables.keys import KEY, KeyColumns, keys_in, with_keys
from oa_sync.tables.target import Target

_SYNCED_AT = "_oa_synced_at"
_STATE = ("_oa_version", "_oa_row_hash", "_oa_detail_version")
State = tuple[str | None, str | None, str | None]


def has_history(target: Target, table: str) -> bool:
    """Whether there is a history of `table`; if so, every sync continues it."""
    place = (history_table(table), VALID_FROM)
    return any((column.table, column.name) == place for column in target.columns())


@dataclass(frozen=True)
class _Version:
    """A current version: its start, and the values that change detection compares."""

    since: datetime
    state: State

    def covers(self, state: State, at: datetime) -> bool:
        """Whether a row seen `at` with `state` belongs to this version, also if it is loaded again."""
        version, _, detail = self.state
        lacks_detail = version is not None and detail != version
        return self.since >= at or self.state == state or (lacks_detail and state[0] == version)


class History:
    """The versions of one resource. `children` gives the names of the tables under it.

    Raises ConfigurationError if a table with the name of a history is something else.
    """

    def __init__(
        self,
        target: Target,
        name: str,
        root_key: Sequence[str],
        workspace: str,
        children: Callable[[], Iterable[str]],
    ) -> None:
        self._target, self._name, self._workspace = target, name, workspace
        self._root_key, self._children = list(root_key), children
        self._current: dict[str, _Version] | None = None
        self._stored: dict[str, datetime] = {}
        self._emitted: set[str] = set()
        self._with_lists: set[str] = set()
        self._closed: set[tuple[str, str]] = set()
        self._check_names()

    def start_package(self) -> None:
        """What was emitted before is loaded by now."""
        self._with_lists |= self._emitted
        self._emitted.clear()
        self._closed.clear()

    def observe(self, items: Iterable[Item]) -> None:
        """Decide which version each item belongs to; to be called before `follow` gets its rows."""
        for item in items:
            current = self._versions().get(item.key)
            if item.kind is Kind.GONE:
                self._versions().pop(item.key, None)
                continue
            state = (item.version, item.row_hash, item.detail_version)
            if current is None:
                current = _Version(item.observed_at, state)
            elif item.kind is Kind.STALLED:
                pass
            elif current.covers(state, item.observed_at):
                current = _Version(current.since, state)
            else:
                current = _Version(item.observed_at, state)
            self._versions()[item.key] = current

    def follow(self, outputs: Iterable[Output]) -> Iterator[Output]:
        """`outputs`, and before each batch the batches of its history: a row says that its version is loaded,
        as it says so of its children, and must not say so before it is true."""
        for output in outputs:
            if isinstance(output, Batch):
                if output.hints.name == self._name:
                    yield from self._rows(output)
                else:
                    yield from self._lists(output)
            yield output

    # -- the resource's own rows ----------------------------------------------------------------

    def _rows(self, batch: Batch) -> Iterator[Batch]:
        rows = batch.rows
        versions = self._versions()
        merged = _merge_columns(batch.hints)
        values, keys = _values(rows, merged), keys_in(rows, self._root_key)
        alive = pc.is_null(rows[DELETED_AT])
        living = {key for key, is_alive in zip(keys, alive.to_pylist(), strict=True) if is_alive}
        ends = dict(zip(keys, rows[_SYNCED_AT].to_pylist(), strict=True))
        ends |= {key: versions[key].since for key in living}
        former = [
            v for k, v in zip(keys, values, strict=True) if self._stored.get(k, ends[k]) < ends[k]
        ]
        yield from self._closing(self._name, merged, former, ends)
        gone = rows.filter(pc.invert(alive))
        for child in self._children() if gone.num_rows else ():
            yield from self._closing_lists(child, gone, ends)
        yield from self._opening(batch, alive, [ends[k] for k in keys])
        self._stored |= {key: ends[key] for key in living}
        self._emitted |= living
        for key in ends.keys() - living:
            self._stored.pop(key, None)

    def _opening(self, batch: Batch, alive: Any, since: list[datetime]) -> Iterator[Batch]:
        rows = _with_span(batch.rows, pa.array(since, INSTANT)).filter(alive)
        if rows.num_rows:
            hints = TableHints(
                history_table(self._name),
                primary_key=(WORKSPACE, *_merge_columns(batch.hints), VALID_FROM),
                columns=_without_paths(batch.hints.columns),
            )
            yield Batch(hints, rows)

    # -- lists ----------------------------------------------------------------------------------

    def _lists(self, batch: Batch) -> Iterator[Batch]:
        parent_key = _merge_columns(batch.hints)
        since, parents = self._since(batch.rows, parent_key)
        name = batch.hints.name
        former = [
            value
            for key, value in parents.items()
            if key in self._with_lists and (name, key) not in self._closed
        ]
        self._closed.update((name, key) for key in parents)
        ends = {key: self._versions()[key].since for key in parents}
        yield from self._closing(name, parent_key, former, ends)
        if batch.removes and not self._target.has_table(history_table(name)):
            return
        hints = self._list_hints(name, parent_key, _without_paths(batch.hints.columns))
        yield Batch(hints, _with_span(batch.rows, since), batch.removes)

    def _since(
        self, rows: pa.Table, parent_key: Sequence[str]
    ) -> tuple[Any, dict[str, tuple[Any, ...]]]:
        """The start of each row's version, and the parents in `rows`: key, values."""
        if parent_key == [KEY] or (len(parent_key) == 1 and KEY not in rows.column_names):
            encoded = rows[parent_key[0]].combine_chunks().dictionary_encode()
            values = [(value,) for value in encoded.dictionary.to_pylist()]
            starts = pa.array([self._versions()[key_of(v)].since for v in values], INSTANT)
            return starts.take(encoded.indices), {key_of(v): v for v in values}
        keys, values = keys_in(rows, parent_key), _values(rows, parent_key)
        since = [self._versions()[key].since for key in keys]
        return pa.array(since, INSTANT), dict(zip(keys, values, strict=True))

    def _closing_lists(
        self, child: str, gone: pa.Table, ends: Mapping[str, datetime]
    ) -> Iterator[Batch]:
        """The current versions of the lists under rows that are `gone`, now with their end."""
        history = history_table(child)
        if not self._target.has_table(history):
            return
        hints = self._target.hints(history)
        key = [name for name in _merge_columns(hints) if name != VALID_FROM]
        if len(key) == 1 and hints.columns[key[0]]["data_type"] == "text":
            values = [(text,) for text in keys_in(gone, self._root_key)]
        else:
            values = _values(gone, self._root_key)
        yield from self._closing(child, key, values, ends)

    # -- the end of a version -------------------------------------------------------------------

    def _closing(
        self,
        table: str,
        key: Sequence[str],
        values: Sequence[tuple[Any, ...]],
        ends: Mapping[str, datetime],
    ) -> Iterator[Batch]:
        """The current versions with the keys `values` in the history of `table`, now with their end."""
        name = history_table(table)
        key_columns, closed = KeyColumns(self._target, name, key), []
        for row in self._target.current_rows(name, key, values, null=VALID_TO):
            end = ends[key_columns.key_in(row)]
            if row[VALID_FROM] < end:
                closed.append({**row, VALID_TO: end})
        if closed:
            types = {c.name: c.data_type for c in self._target.columns() if c.table == name}
            rows = pa.table(
                {c: pa.array([r[c] for r in closed], ARROW_TYPES[t]) for c, t in types.items()}
            )
            columns = {c: {"data_type": t} for c, t in types.items() if t == "json"}
            hints = self._list_hints(table, key, columns)
            if table == self._name:
                hints = TableHints(name, primary_key=hints.merge_key, columns=columns)
            yield Batch(hints, rows)

    # -- the start ------------------------------------------------------------------------------

    def seed(self) -> Iterator[Batch]:
        """What was loaded before there was a history, as its first versions; nothing if there is one.

        A row is valid from the time it was loaded in its present form: earlier forms are not known.
        """
        if not self._target.has_table(self._name) or self._has_begun():
            return
        spans: dict[str, tuple[datetime, datetime | None]] = {}
        for rows in self._own_rows(self._name):
            ends = rows[DELETED_AT].to_pylist()
            since = rows[_SYNCED_AT].to_pylist()
            keys = keys_in(rows, self._root_key)
            spans |= dict(zip(keys, zip(since, ends, strict=True), strict=True))
            loaded = self._target.hints(self._name)
            hints = TableHints(
                history_table(self._name),
                primary_key=(WORKSPACE, *_merge_columns(loaded), VALID_FROM),
                columns=_without_paths(loaded.columns),
            )
            rows = with_keys(rows, keys)
            yield Batch(hints, _with_span(rows, rows[_SYNCED_AT], rows[DELETED_AT]))
        for child in self._children():
            if self._target.has_table(child):
                yield from self._seeded_lists(child, spans)

    def _has_begun(self) -> bool:
        """Whether there is a version, be it of a row that is gone by now."""
        if self._stored_versions():
            return True
        return self._target.largest(history_table(self._name), VALID_FROM) is not None

    def _seeded_lists(
        self, child: str, spans: Mapping[str, tuple[datetime, datetime | None]]
    ) -> Iterator[Batch]:
        parent_key = _merge_columns(self._target.hints(child))
        columns = _without_paths(self._target.hints(child).columns)
        for rows in self._own_rows(child):
            keys = keys_in(rows, parent_key)
            rows = with_keys(rows, keys).filter(pa.array([key in spans for key in keys]))
            found = [spans[key] for key in keys if key in spans]
            if found:
                since = pa.array([start for start, _ in found], INSTANT)
                until = pa.array([end for _, end in found], INSTANT)
                yield Batch(
                    self._list_hints(child, parent_key, columns), _with_span(rows, since, until)
                )

    def _own_rows(self, table: str) -> Iterator[pa.Table]:
        for batch in self._target.batches(table):
            rows = pa.Table.from_batches([batch])
            rows = rows.filter(pc.equal(rows[WORKSPACE], self._workspace))
            if rows.num_rows:
                yield rows

    # -- what is there --------------------------------------------------------------------------

    def _versions(self) -> dict[str, _Version]:
        """The current version of each key, from the destination and from the items observed since."""
        if self._current is None:
            self._current = self._stored_versions()
            self._stored = {key: version.since for key, version in self._current.items()}
            self._with_lists |= self._current.keys()
        return self._current

    def _stored_versions(self) -> dict[str, _Version]:
        name = history_table(self._name)
        columns = KeyColumns(self._target, name, self._root_key)
        width = len(columns.columns)
        names = [*columns.columns, VALID_FROM, *_STATE]
        rows = self._target.select(name, names, null=VALID_TO)
        return {
            columns.key(row[:width]): _Version(row[width], (row[-3], row[-2], row[-1]))
            for row in rows
        }

    def _list_hints(
        self, table: str, parent_key: Sequence[str], columns: Mapping[str, Mapping[str, Any]]
    ) -> TableHints:
        key = (WORKSPACE, *parent_key, VALID_FROM)
        return TableHints(history_table(table), merge_key=key, columns=columns)

    def _check_names(self) -> None:
        for table in (self._name, *self._children()):
            name = history_table(table)
            if self._target.has_table(name) and not has_history(self._target, table):
                raise ConfigurationError(
                    f"history of {self._name}: there is a table {name} already, which is no history;"
                    " give the resource another name, or keep no history of it"
                )


def _merge_columns(hints: TableHints) -> list[str]:
    """The columns by which rows are merged, besides the workspace."""
    return [name for name in (*hints.primary_key, *hints.merge_key) if name != WORKSPACE]


def _values(rows: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))


def _with_span(rows: pa.Table, since: Any, until: Any = None) -> pa.Table:
    """`rows` with the two columns of a history, which say when a row was gone."""
    if until is None:
        until = pa.nulls(rows.num_rows, INSTANT)
    if DELETED_AT in rows.column_names:
        rows = rows.drop_columns([DELETED_AT])
    return rows.append_column(VALID_FROM, since).append_column(VALID_TO, until)


def _without_paths(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The hints that a history keeps: without paths, because nothing is learned from its columns."""
    return {n: {"data_type": "json"} for n, c in columns.items() if c.get("data_type") == "json"}
