"""Batches of JSON rows to Arrow tables: by the fast pass if possible, else by the exact one.

If the fast pass refuses a batch, the tree learns from it, at first from a few hundred rows, and the
batch is tried again. If it still does not fit, it is halved until only the few rows around the cause
take the exact pass. The tables do not depend on which pass a row took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.exact import exact_parts
from oa_sync.shape.fast import Unfit, fast_parts
from oa_sync.shape.json_text import decode, mended_lines
from oa_sync.shape.learn import learn
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.naming import Path
from oa_sync.shape.schema import Schema, Table
from oa_sync.shape.spec import TableSpec
from oa_sync.shape.tables import Misfit, Part, assemble, joined, key_names

LESSON_ROWS = 500
"""How many rows of a large batch are learned from at first."""

EXACT_ROWS = 64
"""A piece of a batch with at most so many rows is not halved any more: it takes the exact pass."""

_NEWLINE, _BRACE = b"\n{"


@dataclass(frozen=True)
class Drift:
    """A column that is new (`before` None), is wider, or now takes values of other kinds, too."""

    table: str
    column: str
    path: Path
    before: str | None
    after: str


@dataclass(frozen=True)
class Shaped:
    """One batch as tables by final name: only tables with rows, and only columns with values.

    `mended`: the numbers of the rows in which something could not be kept (see `oa_sync.shape.json_text`).
    """

    tables: dict[str, Any]
    drift: tuple[Drift, ...] = ()
    mended: tuple[int, ...] = ()


@dataclass
class ShapeStats:
    """How many rows of the resource's own table took which pass."""

    fast: int = 0
    exact: int = 0


@dataclass(frozen=True, eq=False)
class _Batch:
    """Lines of JSON, each with a newline at its end, and the columns that belong to them."""

    ndjson: bytes
    ends: NDArray[np.int64]
    extras: Mapping[str, Any]
    mended: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.ends)

    def lines(self) -> list[bytes]:
        return self.ndjson.split(b"\n")[:-1]

    def holds_only_objects(self) -> bool:
        """Whether each line begins with a brace; pyarrow 26 crashes on a first line `null`."""
        data = np.frombuffer(self.ndjson, np.uint8)
        return bool(data[0] == _BRACE and (data[self.ends[:-1] + 1] == _BRACE).all())


class Shaper:
    """Shapes one resource's rows, and remembers what it learned. For one thread at a time.

    `learned`: what earlier syncs learned, so that names and types stay as they are.
    """

    def __init__(self, spec: TableSpec, learned: LearnedSchema | None = None) -> None:
        self.stats = ShapeStats()
        self._schema = Schema(spec, learned or LearnedSchema())
        self._reports_new = bool(learned and learned.tables)
        self._known = (self._schema.version, self._schema.learned())

    @property
    def learned(self) -> LearnedSchema:
        """Every column known so far."""
        return self._schema.learned()

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables known so far, the resource's own among them, by name."""
        return self._schema.tables

    @property
    def root_key(self) -> tuple[str, ...]:
        """The final names of the key columns of the resource's own table."""
        root = self._schema.root_table
        return tuple(key_names(root))

    def shape(self, ndjson: bytes, extras: Mapping[str, Any] | None = None) -> Shaped:
        """The tables of `ndjson`: one JSON value a line, normally an object.

        `extras`: finished columns (Arrow arrays) for the resource's own table, in the order of the
        rows. Raises InvalidJsonError if a line is not JSON, ValueError for an extra of another
        length.
        """
        batch = _batch(ndjson, extras or {})
        if batch.rows == 0:
            return Shaped({})
        self._schema.reserve_outside_columns(list(batch.extras))
        before = (self.stats.fast, self.stats.exact)
        while True:
            try:
                tables = self._tables(batch)
                return Shaped(tables, self._drift(), batch.mended)
            except Misfit as misfit:
                in_key = self._schema.is_key(misfit.node) and misfit.data_type == "json"
                data_type = "text" if in_key else misfit.data_type
                self._schema.set_column(misfit.node, data_type, misfit.kind)
                self.stats.fast, self.stats.exact = before

    def _tables(self, batch: _Batch) -> dict[str, Any]:
        row: int | None = None
        try:
            return self._fast(batch)
        except Unfit as unfit:
            row = unfit.row
        for lines in _lessons(batch, row):
            if learn(_decoded(lines), self._schema):
                try:
                    return self._fast(batch)
                except Unfit:
                    continue
        pieces = list(self._piecewise(batch))
        return joined(pieces, self._schema, list(batch.extras))

    def _fast(self, batch: _Batch) -> dict[str, Any]:
        if not batch.holds_only_objects():
            raise Unfit("a row is no object")
        try:
            parts = fast_parts(batch.ndjson, batch.rows, self._schema, sorting=False)
        except Unfit:
            if not any(node.mixed for node in self._schema.root.descendants()):
                raise
            parts = fast_parts(batch.ndjson, batch.rows, self._schema, sorting=True)
        tables = self._assembled(parts, batch)
        self.stats.fast += batch.rows
        return tables

    def _exact(self, batch: _Batch) -> dict[str, Any]:
        parts = exact_parts(batch.lines(), self._schema)
        tables = self._assembled(parts, batch)
        self.stats.exact += batch.rows
        return tables

    def _assembled(self, parts: Mapping[str, Part], batch: _Batch) -> dict[str, Any]:
        return assemble(parts, self._schema, batch.extras)

    def _piecewise(self, batch: _Batch) -> Iterator[dict[str, Any]]:
        """The tables of the batch in pieces, as large as the fast pass takes them."""
        if batch.rows <= EXACT_ROWS:
            yield self._exact(batch)
            return
        for half in _halves(batch):
            try:
                yield self._fast(half)
            except Unfit:
                yield from self._piecewise(half)

    def _drift(self) -> tuple[Drift, ...]:
        """What changed since the last batch; for the first batch ever, nothing: all of it is new."""
        version, before = self._known
        if version == self._schema.version:
            return ()
        after = self._schema.learned()
        self._known = (self._schema.version, after)
        reports_new, self._reports_new = self._reports_new, True
        return tuple(_changes(before, after)) if reports_new else ()


def _changes(before: LearnedSchema, after: LearnedSchema) -> Iterator[Drift]:
    for table, columns in after.tables.items():
        known: Mapping[Path, LearnedColumn] = before.tables.get(table, {})
        for path, column in columns.items():
            old = known.get(path)
            overflows = column.kind == "rest" and (old is None or old.kind != "rest")
            if old is None or old.data_type != column.data_type or overflows:
                yield Drift(
                    table, column.name, path, old.data_type if old else None, column.data_type
                )


def _batch(ndjson: bytes, extras: Mapping[str, Any]) -> _Batch:
    ndjson, mended = mended_lines(ndjson)
    if ndjson and not ndjson.endswith(b"\n"):
        ndjson += b"\n"
    batch = _Batch(ndjson, _line_ends(ndjson), extras, tuple(mended))
    for name, values in extras.items():
        if len(values) != batch.rows:
            raise ValueError(f"the column {name!r} has {len(values)} values for {batch.rows} rows")
    return batch


def _line_ends(ndjson: bytes) -> NDArray[np.int64]:
    return np.flatnonzero(np.frombuffer(ndjson, np.uint8) == _NEWLINE)


def _lessons(batch: _Batch, row: int | None) -> Iterator[list[bytes]]:
    """The lines to learn from: those from `row` on, then some from everywhere, at last all."""
    lines = batch.lines()
    if len(lines) > LESSON_ROWS:
        if row is not None:
            yield lines[row : row + LESSON_ROWS]
        yield lines[:: -(-len(lines) // LESSON_ROWS)]
    yield lines


def _decoded(lines: list[bytes]) -> list[Any]:
    rows = []
    for number, line in enumerate(lines):
        try:
            rows.append(decode(line))
        except InvalidJsonError as error:
            start = sum(len(before) + 1 for before in lines[:number])
            raise InvalidJsonError(f"row {number}: {error}", start) from None
    return rows


def _halves(batch: _Batch) -> Iterator[_Batch]:
    middle = batch.rows // 2
    cut = int(batch.ends[middle - 1]) + 1
    first = {name: values.slice(0, middle) for name, values in batch.extras.items()}
    second = {name: values.slice(middle) for name, values in batch.extras.items()}
    yield _Batch(batch.ndjson[:cut], batch.ends[:middle], first)
    yield _Batch(batch.ndjson[cut:], batch.ends[middle:] - cut, second)
