"""Which keys have rows in a table, so that rows of new ones are appended instead of merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.tables.batches import WORKSPACE, Batch

WORTH_ASKING = 1_000
"""From this many rows in the first batch, it pays to ask the destination for its keys."""
MOST_KEYS = 200_000
"""Most keys of a table that are kept in memory, about 20 MB. A table with more is merged."""


class LoadedKeys:
    """The keys of this workspace that have rows, by table. `distinct(table, column, most)` reads them.

    A merge writes rows twice, to a staging table and then to the final one, and deletes in between. If
    none of the keys has rows, that work is wasted. The destination is always asked which keys it has: a
    killed load, of this home or another, may have left rows that nothing else knows of. From then on the
    keys of this sync are added, package by package. Only keys of one column beside the workspace count,
    of text or whole numbers; rows of any other table are merged.
    """

    def __init__(self, distinct: Callable[[str, str, int], set[object]]) -> None:
        self._distinct = distinct
        self._loaded: dict[str, set[object]] = {}
        self._sent: dict[str, set[object]] = {}

    def are_new(self, batch: Batch) -> bool:
        """Whether none of the keys in `batch` has rows, and the batch is large enough to ask."""
        column = _key_column(batch)
        if column is None or batch.rows.num_rows < WORTH_ASKING:
            return False
        table = batch.hints.name
        if table not in self._loaded:
            self._loaded[table] = self._distinct(table, column, MOST_KEYS + 1)
        if len(self._loaded[table]) > MOST_KEYS:
            return False
        values = set(pc.unique(batch.rows[column]).to_pylist())
        return self._loaded[table].isdisjoint(values) and self._are_alike(table, values)

    def split(self, batch: Batch) -> tuple[Batch, Batch]:
        """`batch` as rows of new keys, to be appended, and rows of loaded keys, to be merged."""
        column = _key_column(batch)
        assert column is not None, "asked by are_new"
        loaded = pa.array(self._loaded[batch.hints.name], batch.rows[column].type)
        is_loaded = pc.is_in(batch.rows[column], loaded)
        new = batch.rows.filter(pc.invert(is_loaded))
        return replace(batch, rows=new), replace(batch, rows=batch.rows.filter(is_loaded))

    def sent(self, batch: Batch) -> None:
        """Note that `batch` is being loaded."""
        column = _key_column(batch)
        if column is not None and batch.hints.name in self._loaded:
            values = pc.unique(batch.rows[column]).to_pylist()
            self._sent.setdefault(batch.hints.name, set()).update(values)

    def arrived(self) -> None:
        """Note that all that was sent is loaded."""
        for table, values in self._sent.items():
            self._loaded[table] |= values
        self._sent.clear()

    def forget(self) -> None:
        """Forget all keys, because a load failed and it is not known what was loaded."""
        self._loaded.clear()
        self._sent.clear()

    def _are_alike(self, table: str, values: set[object]) -> bool:
        """Whether loaded and new keys have one type. Keys of different types cannot be compared."""
        return len({type(value) for value in (*self._loaded[table], *values)}) <= 1


def _key_column(batch: Batch) -> str | None:
    """The one column beside the workspace that is the key of the rows of `batch`."""
    columns = batch.hints.merge_key or batch.hints.primary_key
    if len(columns) != 2 or WORKSPACE not in columns:
        return None
    [column] = (name for name in columns if name != WORKSPACE)
    kind = batch.rows.schema.field(column).type
    is_plain = (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    )
    return column if is_plain else None
