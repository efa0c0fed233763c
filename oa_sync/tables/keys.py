"""What identifies the rows of a resource in its tables: the key as text (see `oa_sync.journal.items.key_of`).

Extraction compares keys as text. Most tables need nothing more: a column of texts or whole numbers gives the same
text back. A column of another type does not (`2026-01-01T00:00:00Z` is read back as an instant), so such a table,
and the tables under it, have the text beside it in `_oa_key`, and are merged by that.

A table that an earlier version made is merged by its typed columns, as it was. It gets `_oa_key` too, for
comparison, with the rows that are written from now on. Until a row has it, its typed values are spelled as servers
spell them mostly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.extract.lists.changes import Known, identity
from oa_sync.journal.items import key_of, values_of
from oa_sync.shape.json_text import decode
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.naming import Path, is_named_like_time
from oa_sync.shape.spec import TableSpec
from oa_sync.tables.batches import BREAK, Break
from oa_sync.tables.target import Target

KEY = "_oa_key"
_READ_BACK_AS_SENT = frozenset({"text", "bigint"})


def needs_key_text(
    resource: Resource, target: Target, spec: TableSpec, learned: LearnedSchema
) -> bool:
    """Whether the tables of `resource` have `_oa_key`. `learned` are the columns that are loaded of them."""
    paths = [parse_path(path) for path in identity(resource)]
    if not paths:
        return False
    if not target.has_table(resource.name):
        return any(
            _may_be_read_back_otherwise(path, spec.columns.get(path), target) for path in paths
        )
    loaded = {column.path: column.data_type for column in learned.columns(resource.name)}
    types = [loaded.get(path, "text") for path in paths]
    has_it = any((c.table, c.name) == (resource.name, KEY) for c in target.columns())
    return has_it or any(kind not in _READ_BACK_AS_SENT for kind in types)


def _may_be_read_back_otherwise(path: Path, declared: str | None, target: Target) -> bool:
    """For a column that is not there yet: whether its type may become another than text or whole numbers, or
    would have to be altered when a text follows a whole number."""
    if declared is None and is_named_like_time(path):
        return True
    if declared in (None, "bigint"):
        return not target.widens_keys
    return declared != "text"


def merged_by(
    target: Target, table: str, typed: Sequence[str], *, has_text: bool
) -> tuple[str, ...]:
    """The columns by which rows of `table` are merged, besides the workspace. `typed`: those that hold the key."""
    if has_text and not target.has_table(table):
        return (KEY,)
    if has_text:
        hints = target.hints(table)
        if KEY in (*hints.primary_key, *hints.merge_key):
            return (KEY,)
    return tuple(typed)


class KeyColumns:
    """The columns of a loaded table that hold the key: `typed`, and `_oa_key` where it has that."""

    def __init__(self, target: Target, table: str, typed: Sequence[str]) -> None:
        types = {
            column.name: column.data_type for column in target.columns() if column.table == table
        }
        self.typed = tuple(typed)
        self.columns = (*self.typed, *([KEY] if KEY in types else []))
        self._types = [types.get(name, "text") for name in typed]

    def key(self, values: Sequence[Any]) -> str:
        """The key in `values` of `columns`."""
        text = self._text(values)
        return key_of(self._sent(values)) if text is None else text

    def key_values(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The key in `values` of `columns`, as the values that a row holds."""
        text = self._text(values)
        return self._sent(values) if text is None else values_of(text, len(self.typed))

    def _text(self, values: Sequence[Any]) -> str | None:
        return values[-1] if len(values) > len(self.typed) else None

    def _sent(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(_as_sent(*pair) for pair in zip(values, self._types, strict=False))

    def key_in(self, row: Mapping[str, Any]) -> str:
        """The key of a whole row."""
        return self.key([row.get(name) for name in self.columns])

    def known(self, target: Target, table: str) -> dict[str, Known]:
        """What is loaded of this workspace in `table`, by key."""
        found = target.known(table, self.columns)
        is_exact = set(self._types) <= _READ_BACK_AS_SENT
        if self.columns == self.typed and is_exact:
            return {key_of(values): known for values, known in found.items()}
        by_key: dict[str, Known] = {}
        for values, known in found.items():
            key = self.key(values)
            if key not in by_key or by_key[key].deleted:
                is_guessed = not is_exact and self._text(values) is None
                by_key[key] = replace(known, is_key_guessed=True) if is_guessed else known
        return by_key

    def values_of(
        self, target: Target, table: str, merged: Sequence[str], keys: Collection[str]
    ) -> list[tuple[Any, ...]]:
        """The values of the columns `merged` in the loaded rows with `keys`."""
        if tuple(merged) == (KEY,):
            return [(key,) for key in keys]
        width = len(self.typed)
        return [v[:width] for v in target.known(table, self.columns) if self.key(v) in keys]


def keys_in(rows: pa.Table, typed: Sequence[str]) -> list[str]:
    """The key of each row of a batch or of a loaded table, whose columns `typed` hold it."""
    texts: list[Any] = [None] * rows.num_rows
    if KEY in rows.column_names:
        texts = rows[KEY].to_pylist()
    if None not in texts:
        return texts
    types = [
        (rows.schema.field(name).metadata or {}).get(b"data_type", b"").decode() for name in typed
    ]
    values = zip(*(rows[name].to_pylist() for name in typed), strict=True)
    return [
        text
        if text is not None
        else key_of([_as_sent(*pair) for pair in zip(row, types, strict=True)])
        for text, row in zip(texts, values, strict=True)
    ]


def _as_sent(value: Any, data_type: str) -> Any:
    """A value that was read back, as a server most likely sent it."""
    if value is None:
        return None
    if data_type == "json" and isinstance(value, str):
        value = decode(value.encode())
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        digits = (
            "auto" if utc.microsecond % 1000 else "milliseconds" if utc.microsecond else "seconds"
        )
        return utc.replace(tzinfo=None).isoformat(timespec=digits) + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return f"{value.normalize():f}" if data_type == "decimal" else value


class GuessedKeys:
    """Rows of a table that an earlier version made, whose text is guessed from their typed key.

    Where the guess is wrong, such a row comes with the list under another text, and seems to be gone under the
    guessed one. Both are one row of the table, which is merged by its typed columns.
    """

    def __init__(self) -> None:
        self._come: set[tuple[Any, ...]] = set()
        self._gone: set[tuple[Any, ...]] = set()

    def come(self, typed: Iterable[tuple[Any, ...]]) -> Iterator[Break]:
        """Rows with these typed keys are written. If this package marks one of them as gone, a break comes
        first: of two rows with one key in a package, either may count."""
        keys = set(typed)
        self._come |= keys
        if not self._gone.isdisjoint(keys):
            yield BREAK

    def really_gone(self, typed: Mapping[str, tuple[Any, ...]]) -> list[str]:
        """The keys among `typed` whose row was not written in this sync under another text."""
        self._gone.update(typed.values())
        return [key for key, values in typed.items() if values not in self._come]

    def start_package(self) -> None:
        """What was written before is loaded by now."""
        self._gone.clear()


def with_keys(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """`rows` with `keys` as their `_oa_key`, if they have that column."""
    place = rows.schema.get_field_index(KEY)
    return rows if place < 0 else rows.set_column(place, KEY, pa.array(keys, pa.string()))
