"""The rows of reports, which may be millions: cut out of their details, loaded in one of three forms.

`json`: `report_rows` with each row as its text, never parsed. `typed`: `report_rows` with typed columns.
`tables`: a table for each report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from oa_sync.definitions.model import Child
from oa_sync.journal.items import Item
from oa_sync.settings import Settings
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import mended, mended_lines
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.report_rows import ReportTables, report_rows_spec, rows_as_json
from oa_sync.shape.shaper import Shaped, Shaper
from oa_sync.shape.spec import Bounds
from oa_sync.shape.spooled import SpooledRows
from oa_sync.tables.batches import (
    WORKSPACE,
    Batch,
    Break,
    Output,
    TableHints,
    column_hint,
    learned_of,
)
from oa_sync.tables.drift import SchemaChanges
from oa_sync.tables.leftovers import Leftovers
from oa_sync.tables.target import Target

BATCH_BYTES = 4 * 1024 * 1024
BATCH_ROWS = 50_000


class LongList(Protocol):
    """Takes the rows of one parent after another."""

    def add(
        self, item: Item, fields: dict[str, Any], rows: Rows | SpooledRows | None
    ) -> Iterator[Output]:
        """Take the `rows` (None: it has no such list) of the parent `item` with `fields`."""

    def flush(self) -> Iterator[Output]:
        """The batches of what is held back."""

    def unloaded(self) -> Iterator[Batch]:
        """The tables whose names are known, and into which nothing was loaded yet, without a row."""


def open_long_list(
    child: Child,
    target: Target,
    settings: Settings,
    changes: SchemaChanges,
    declared: Collection[str],
) -> LongList:
    """The form that `settings.report_rows` asks for; `declared` are all tables of the definition."""
    match settings.report_rows:
        case "json":
            return _AsJson(child, target, settings, changes, declared)
        case "typed":
            return _Typed(child, target, settings, changes, declared)
        case "tables":
            return _RowTables(child, target, settings, changes, declared)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some consecutive rows of one parent; `start` is the position of the first."""

    parent: str
    start: int
    rows: Rows

    def parents(self) -> Any:
        """The parent's id for each row."""
        return pa.repeat(pa.scalar(self.parent, pa.string()), len(self.rows))

    def positions(self) -> Any:
        """The position of each row."""
        return pa.array(np.arange(self.start, self.start + len(self.rows)))


@dataclass(frozen=True, eq=False)
class _Begun:
    """A parent whose rows before position `until` are emitted already."""

    parent: str
    rows: Rows | SpooledRows
    until: int


class _Form:
    """What the three forms share: who the parent is, and what a batch of one table looks like."""

    _more: Mapping[str, Any] = {}
    """Arrow types of the columns that every row has besides its key."""
    _more_hints: Mapping[str, dict[str, Any]] = {}

    def __init__(
        self,
        child: Child,
        target: Target,
        settings: Settings,
        changes: SchemaChanges,
        declared: Collection[str],
    ) -> None:
        self._child, self._target, self._changes = child, target, changes
        self._declared = declared
        self._workspace, self._bounds = (
            settings.workspace,
            Bounds(settings.max_columns, settings.max_tables),
        )
        self._constants = {WORKSPACE: settings.workspace}
        self._leftovers = Leftovers(target)

    def _batch(self, name: str, table: pa.Table, columns: Mapping[str, dict[str, Any]]) -> Batch:
        self._changes.emitted(name, table.column_names)
        return self._hinted(name, table, columns)

    def _hinted(self, name: str, table: pa.Table, columns: Mapping[str, dict[str, Any]]) -> Batch:
        return Batch(TableHints(name, merge_key=(WORKSPACE, "report_id"), columns=columns), table)

    def _shaped(self, shaped: Shaped, learned: LearnedSchema) -> Iterator[Output]:
        yield from self._changes.settle(shaped.drift)
        contract = self._changes.contract
        for name, rows in shaped.tables.items():
            table = contract.apply(name, rows)
            hints = {
                c.name: column_hint(
                    replace(c, data_type=contract.type_of(name, c.name, c.data_type))
                )
                for c in learned.columns(name)
            }
            present = {n: hints[n] for n in table.column_names if n in hints}
            yield self._batch(name, table, present)

    def unloaded(self) -> Iterator[Batch]:
        name = self._child.table
        if not self._target.has_table(name):
            kinds = {"report_id": pa.string(), "position": pa.int64(), **self._more}
            kinds[WORKSPACE] = pa.string()
            yield self._hinted(name, pa.schema(kinds.items()).empty_table(), self._more_hints)

    def _removal(self, name: str, report_ids: Sequence[str]) -> Batch:
        """Removes what these reports have in the table `name`."""
        workspace = pa.repeat(pa.scalar(self._workspace), len(report_ids))
        keys = pa.table({"report_id": list(report_ids), WORKSPACE: workspace})
        return replace(self._batch(name, keys, {}), removes=True)

    def _emptied(self, shaper: Shaper, filled: Mapping[str, Collection[str]]) -> Iterator[Batch]:
        """Removes what reports have in tables that got no row of theirs: lists inside their rows that are empty now.
        `filled`: by report, the tables that got some."""
        for name in shaper.tables:
            if self._target.has_table(name) and (
                empty := [report for report, names in filled.items() if name not in names]
            ):
                yield self._removal(name, empty)


class _AsJson(_Form):
    """Mode `json`."""

    _more: Mapping[str, Any] = {"row": pa.string()}
    _more_hints: Mapping[str, dict[str, Any]] = {"row": {"data_type": "json"}}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held: list[_Piece] = []
        self._bytes = self._rows = 0
        self._empty: list[str] = []

    def add(
        self, item: Item, fields: dict[str, Any], rows: Rows | SpooledRows | None
    ) -> Iterator[Output]:
        if rows is None or len(rows) == 0:
            if self._leftovers.may_be(item, self._child.table):
                self._empty.append(item.key)
            return
        for start, part in rows.pieces(BATCH_BYTES):
            part = _strict(part)
            self._held.append(_Piece(item.key, start, part))
            self._bytes += part.nbytes
            self._rows += len(part)
            if self._bytes >= BATCH_BYTES or self._rows >= BATCH_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[Output]:
        empty, self._empty = self._empty, []
        if empty and self._target.has_table(self._child.table):
            yield self._removal(self._child.table, empty)
        if not self._held:
            return
        held, self._held = self._held, []
        self._bytes = self._rows = 0
        table = rows_as_json(
            pa.concat_arrays([piece.rows.texts() for piece in held]),
            pa.concat_arrays([piece.parents() for piece in held]),
            pa.concat_arrays([piece.positions() for piece in held]),
            self._constants,
        )
        yield self._batch(self._child.table, table, self._more_hints)


def _lines(rows: Rows) -> bytes:
    """One row a line, also where bytes are not UTF-8, or a text has a raw line break."""
    try:
        return rows.ndjson()
    except InvalidJsonError:
        spans = zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)
        texts = (mended(memoryview(rows.buffer)[start:end]) for start, end in spans)
        return b"".join(text.replace(b"\n", b" ") + b"\n" for text in texts)


def _strict(rows: Rows) -> Rows:
    """`rows`, mended where their texts are no strict JSON (see `oa_sync.shape.json_text`)."""
    try:
        ndjson = rows.ndjson()
        text, _ = mended_lines(ndjson)
        if text is ndjson:
            return rows
    except InvalidJsonError:
        text = _lines(rows)
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    return Rows(text, np.concatenate(([0], ends[:-1] + 1)), ends)


class _Typed(_Form):
    """Mode `typed`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        spec = report_rows_spec(self._constants, self._child.table, self._bounds)
        learned = learned_of(self._target.columns(), {self._child.table}, self._declared)
        self._shaper = Shaper(spec, learned)
        self._held: list[_Piece] = []
        self._bytes = 0
        self._begun: _Begun | None = None
        self._filled: dict[str, set[str]] = {}
        """By report, the tables that got rows of it. A report that adds to what is loaded is not among them."""

    def add(
        self, item: Item, fields: dict[str, Any], rows: Rows | SpooledRows | None
    ) -> Iterator[Output]:
        if self._leftovers.may_be(item, self._child.table):
            self._filled[item.key] = set()
        if rows is None or len(rows) == 0:
            return
        for start, part in rows.pieces(BATCH_BYTES):
            self._held.append(_Piece(item.key, start, part))
            self._bytes += part.nbytes
            if self._bytes >= BATCH_BYTES:
                yield from self._flush()
                self._begun = _Begun(item.key, rows, start + len(part))
        self._begun = None if not self._held else self._begun

    def flush(self) -> Iterator[Output]:
        if self._held:
            yield from self._flush()
        whole, self._filled = self._filled, {}
        yield from self._emptied(self._shaper, whole)

    def _flush(self) -> Iterator[Output]:
        held, self._held, self._bytes = self._held, [], 0
        begun, self._begun = self._begun, None
        for output in self._emit(held):
            yield output
            if isinstance(output, Break) and begun is not None and begun.parent == held[0].parent:
                # The next package replaces all rows of this parent, so it needs the earlier ones too.
                for start, part in begun.rows.pieces(BATCH_BYTES, begun.until):
                    yield from self._emit([_Piece(begun.parent, start, part)])

    def _emit(self, pieces: list[_Piece]) -> Iterator[Output]:
        ndjson = b"".join(_lines(piece.rows) for piece in pieces)
        extras = {
            "report_id": pa.concat_arrays([piece.parents() for piece in pieces]),
            "position": pa.concat_arrays([piece.positions() for piece in pieces]),
        }
        shaped = self._shaper.shape(ndjson, extras)
        for name, table in shaped.tables.items():
            for parent in table["report_id"].unique().to_pylist() if self._filled else ():
                self._filled.get(parent, set()).add(name)
        yield from self._shaped(shaped, self._shaper.learned)


class _RowTables(_Form):
    """Mode `tables`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        columns = [c for c in self._target.columns() if c.table.startswith("report__")]
        learned = learned_of(columns, {c.table for c in columns}, {c.table for c in columns})
        self._reports = ReportTables(self._constants, self._names(learned), learned, self._bounds)

    def add(
        self, item: Item, fields: dict[str, Any], rows: Rows | SpooledRows | None
    ) -> Iterator[Output]:
        name = str(fields.get("name") or item.key)
        shaper = self._reports.shaper(item.key, name)
        filled: set[str] = set()
        if rows is not None:
            yield from self._emit(item.key, name, shaper, rows, len(rows), filled)
        yield from self._emptied(shaper, {item.key: filled})

    def _emit(
        self,
        report_id: str,
        name: str,
        shaper: Shaper,
        rows: Rows | SpooledRows,
        until: int,
        filled: set[str],
    ) -> Iterator[Output]:
        """The first rows, up to position `until`; the tables that get some go into `filled`."""
        for start, part in rows.pieces(BATCH_BYTES, until):
            piece = _Piece(report_id, start, part)
            shaped = self._reports.shape(report_id, name, _lines(part), piece.positions())
            filled.update(table for table, its in shaped.tables.items() if its.num_rows)
            for output in self._shaped(shaped, shaper.learned):
                yield output
                if isinstance(output, Break) and start > 0:
                    yield from self._emit(report_id, name, shaper, rows, start, filled)

    def flush(self) -> Iterator[Output]:
        return iter(())

    def unloaded(self) -> Iterator[Batch]:
        return iter(())  # a report that was not read has no table

    def _names(self, learned: LearnedSchema) -> dict[str, str]:
        """Table by report id, read back from the tables, which hold the id."""
        names: dict[str, str] = {}
        for name in learned.tables:
            if name.startswith("report__") and "__" not in name.removeprefix("report__"):
                names |= dict.fromkeys(self._target.distinct(name, "report_id"), name)
        return names
