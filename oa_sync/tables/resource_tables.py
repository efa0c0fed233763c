"""The tables of one resource: shaped rows with keys and system columns, and what they replace."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, identity
from oa_sync.journal.items import Item
from oa_sync.journal.list_keys import ListKeys
from oa_sync.settings import Settings
from oa_sync.shape.declared import declared_tables
from oa_sync.shape.document import LONG_LISTS, Document
from oa_sync.shape.json_text import REPLACEMENT
from oa_sync.shape.learned import LearnedColumn
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import Bounds, table_spec
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.agent_runs import FIRST_SEEN_AT, FIRST_SEEN_BY, STALLED_AT
from oa_sync.tables.batches import (
    DELETED_AT,
    INSTANT,
    WORKSPACE,
    Batch,
    Output,
    TableHints,
    column_hint,
    learned_of,
)
from oa_sync.tables.drift import SchemaChanges, gone_fields
from oa_sync.tables.history import History, has_history
from oa_sync.tables.keys import (
    KEY,
    GuessedKeys,
    KeyColumns,
    merged_by,
    needs_key_text,
)
from oa_sync.tables.leftovers import Leftovers
from oa_sync.tables.long_lists import LongList, open_long_list
from oa_sync.tables.target import Target

SYSTEM_COLUMNS: dict[str, Any] = {
    KEY: pa.string(),
    "_oa_synced_at": INSTANT,
    "_oa_version": pa.string(),
    "_oa_row_hash": pa.string(),
    "_oa_detail_version": pa.string(),
    DELETED_AT: INSTANT,
    FIRST_SEEN_AT: INSTANT,
    FIRST_SEEN_BY: pa.string(),
    STALLED_AT: INSTANT,
}
"""The columns that resource tables have besides the API's own; the first where the key's own columns do not give
back its text, the last three if rows have a status."""

_IN_EVERY_ROW = {
    "_oa_synced_at": "timestamp",
    "_oa_version": "text",
    "_oa_row_hash": "text",
    "_oa_detail_version": "text",
}
"""The dlt types of those that no row is without."""

KEYLESS = "_oa_row_hash"
"""The key column of a resource without primary key: a hash of the row's content."""


class ResourceTables:
    """Shapes one resource's rows into its own table and its child tables."""

    def __init__(
        self,
        resource: Resource,
        target: Target,
        settings: Settings,
        changes: SchemaChanges,
        declared: Collection[str],
        *,
        history: bool = False,
    ) -> None:
        self._target, self._changes = target, changes
        self._name, self._workspace = resource.name, settings.workspace
        own = set(resource.tables()) - LONG_LISTS
        learned = learned_of(target.columns(), own, declared)
        bounds = Bounds(settings.max_columns, settings.max_tables)
        spec = replace(table_spec(resource, settings.workspace), bounds=bounds)
        keyed = identity(resource)
        if not keyed:
            spec = replace(spec, key=(KEYLESS,))
        self._has_key_text = needs_key_text(resource, target, spec, learned)
        if self._has_key_text:
            spec = replace(spec, key_text=KEY)
        self._spec, self._shaper = spec, Shaper(spec, learned)
        self._root_key = self._shaper.root_key if keyed else (KEYLESS,)
        self._replaces_whole = resource.write_disposition == "replace"
        self._long_lists: dict[str, LongList] = {
            path: open_long_list(child, target, settings, changes, declared)
            for path, child in resource.children.items()
            if child.table in LONG_LISTS
        }
        self._long_list_tables = [
            child.table for child in resource.children.values() if child.table in LONG_LISTS
        ]
        self._long_lists_have_history = settings.report_rows != "tables"
        self.mended: set[str] = set()
        """Keys of the rows in which something could not be kept (see `oa_sync.shape.json_text`)."""
        self._history: History | None = None
        if keyed and (history or resource.history or has_history(target, resource.name)):
            self._history = History(
                target, self._name, self._root_key, self._workspace, self._lists_with_history
            )
        self._guessed = GuessedKeys()
        self._leftovers = Leftovers(target)

    def known(self) -> dict[str, Known]:
        """What is loaded of each row, by key. With a history, the lists of a row end with it, so that its detail is
        asked for when it comes back, whatever its version."""
        known = self._key_columns().known(self._target, self._name)
        if self._history is not None:
            for key, row in known.items():
                if row.deleted:
                    known[key] = replace(row, detail_version=None)
        return known

    def unloaded(self) -> Iterator[Batch]:
        """The declared tables into which nothing was loaded yet: no row, and the columns that are known."""
        extras = {**({KEY: "text"} if self._has_key_text else {}), **_IN_EVERY_ROW}
        declared = declared_tables(self._spec, self._shaper.learned, extras)
        for name, table in declared.items():
            if name not in LONG_LISTS and not self._target.has_table(name):
                marks = {DELETED_AT: "timestamp"} if name == self._name else {}
                types = {**table.types, **marks}
                rows = pa.schema([(n, ARROW_TYPES[kind]) for n, kind in types.items()])
                yield Batch(self._hints(name, rows.names, table.columns), rows.empty_table())
        for long_list in self._long_lists.values():
            yield from long_list.unloaded()

    # -- lists that were cut out ----------------------------------------------------------------

    def add_long_lists(self, item: Item, document: Document) -> Iterator[Output]:
        """Take the long lists of one row; gives batches when enough rows are held back."""
        if self._history is not None:
            self._history.observe([item])
        for path, long_list in self._long_lists.items():
            rows = document.rows.get(path)
            yield from self._followed_list(long_list.add(item, document.fields, rows))

    def flush(self) -> Iterator[Output]:
        """The batches of what long lists still hold back."""
        for long_list in self._long_lists.values():
            yield from self._followed_list(long_list.flush())

    # -- the resource's own rows ----------------------------------------------------------------

    def rows(
        self, items: Sequence[Item], texts: Sequence[bytes], *, full: bool
    ) -> Iterator[Output]:
        """The batches of `texts`, the rows of `items`; all full, or all list rows without detail."""
        yield from self._followed(items, self._current(items, texts, full))

    def _current(
        self, items: Sequence[Item], texts: Sequence[bytes], full: bool
    ) -> Iterator[Output]:
        ndjson = b"".join(one_line(text) for text in texts)
        columns = _system_columns(items)
        if self._has_key_text:
            columns[KEY] = pa.array([item.key for item in items], pa.string())
        shaped = self._shaper.shape(ndjson, columns)
        self.mended.update(items[number].key for number in shaped.mended)
        yield from self._changes.settle(shaped.drift, self._inherited_keys())
        root = shaped.tables[self._name]
        mask = self._changes.contract.conforming(self._name, root)
        if mask is not None:
            kept = [n for n, keep in enumerate(mask.to_pylist()) if keep]
            items, texts = [items[n] for n in kept], [texts[n] for n in kept]
            if items:
                yield from self._current(items, texts, full)
            return
        tables = {n: self._changes.contract.apply(n, table) for n, table in shaped.tables.items()}
        if any(REPLACEMENT in item.key for item in items):
            tables = {name: self._with_keys_as_compared(name, t) for name, t in tables.items()}
        root = tables[self._name]
        if full and self._root_key != (KEYLESS,):
            self._report_gone(root, items, texts)
        if self._has_key_text and self._merged_by(self._name) != (KEY,):
            typed = zip(*(root[n].to_pylist() for n in self._root_key), strict=True)
            yield from self._guessed.come(typed)
        yield self._batch(self._name, root if full else self._overlay(root, items))
        for name, table in tables.items():
            if name != self._name:
                yield self._batch(name, table)
        yield from self._emptied(root, items, tables, full)

    def marked(self, items: Sequence[Item], column: str) -> Iterator[Output]:
        """The rows of `items` as they are loaded, with the time in `column`: when they left the API (with
        `replace`, they are removed), or were given up."""
        yield from self._followed(items, self._marked(items, column))

    def _marked(self, items: Sequence[Item], column: str) -> Iterator[Output]:
        when = {item.key: item.observed_at for item in items}
        loaded = self._loaded({item.key for item in items})
        removes = column == DELETED_AT and self._replaces_whole
        if self._has_key_text:
            typed = {key: tuple(row[n] for n in self._root_key) for key, row in loaded.items()}
            loaded = {key: loaded[key] for key in self._guessed.really_gone(typed)}
        for key, row in loaded.items():
            row[column] = when[key]
            row["_oa_synced_at"] = when[key]
        if loaded:
            table = self._as_table(list(loaded.values()))
            yield self._batch(self._name, table, removes=removes)

    def _report_gone(self, root: pa.Table, items: Sequence[Item], texts: Sequence[bytes]) -> None:
        columns, present = self._learned(self._name), root.column_names
        for column in gone_fields(self._loaded, columns, present, items, texts):
            self._changes.gone(self._name, column)

    # -- history --------------------------------------------------------------------------------

    def start_history(self) -> Iterator[Batch]:
        """What is loaded already, as first versions, if the history begins only now."""
        return iter(()) if self._history is None else self._history.seed()

    def start_package(self) -> None:
        """What was emitted before is loaded by now."""
        self._guessed.start_package()
        if self._history is not None:
            self._history.start_package()

    def _followed(self, items: Sequence[Item], outputs: Iterator[Output]) -> Iterator[Output]:
        if self._history is None:
            return outputs
        self._history.observe(items)
        return self._history.follow(outputs)

    def _followed_list(self, outputs: Iterator[Output]) -> Iterator[Output]:
        if self._history is None or not self._long_lists_have_history:
            return outputs
        return self._history.follow(outputs)

    def _lists_with_history(self) -> list[str]:
        shaped = [name for name, table in self._shaper.tables.items() if table.parent is not None]
        long = [name for name in self._long_list_tables if name not in shaped]
        return [*shaped, *(long if self._long_lists_have_history else ())]

    # -- what a batch replaces ------------------------------------------------------------------

    def _overlay(self, root: pa.Table, items: Sequence[Item]) -> pa.Table:
        """`root` with the loaded values of the columns that only a detail brings."""
        loaded = self._loaded({item.key for item in items if item.replaces})
        if not loaded:
            return root
        told = ListKeys({key for item in items for key in item.list_keys})
        old = [loaded.get(item.key, {}) for item in items]
        for column in self._learned(self._name):
            if column.path and told.tell(column.path):
                continue
            values = pa.array([row.get(column.name) for row in old], ARROW_TYPES[column.data_type])
            if column.name in root.column_names:
                root = root.drop_columns([column.name])
            root = root.append_column(column.name, values)
        return root

    def _emptied(
        self, root: pa.Table, items: Sequence[Item], tables: Mapping[str, pa.Table], full: bool
    ) -> Iterator[Batch]:
        """For each child table, remove the rows of this batch's parents that have none in it any more."""
        told = ListKeys({key for item in items for key in item.list_keys})
        for name, table in self._shaper.tables.items():
            if table.parent is None or name in LONG_LISTS or not self._target.has_table(name):
                continue
            if not full and not told.tell(table.prefix):
                continue
            may_be = pa.array([self._leftovers.may_be(item, name) for item in items], pa.bool_())
            yield from self._without_rows(name, root.filter(may_be), tables.get(name))

    def _without_rows(
        self, name: str, parents: pa.Table, present: pa.Table | None
    ) -> Iterator[Batch]:
        """A batch that only removes, for the `parents` without rows in `present`."""
        ours = list(self._merged_by(name))
        theirs = [KEY] if ours == [KEY] else list(self._root_key)
        empty = parents.select(theirs).rename_columns(ours)
        if self._has_key_text and ours != [KEY]:
            empty = empty.append_column(KEY, parents[KEY])
        if present is not None and present.num_rows:
            empty = empty.join(
                present.select(ours).group_by(ours).aggregate([]), ours, join_type="left anti"
            )
        if empty.num_rows:
            workspace = pa.repeat(pa.scalar(self._workspace), empty.num_rows)
            keys = empty.combine_chunks().append_column(WORKSPACE, workspace)
            yield self._batch(name, keys, removes=True)

    def _loaded(self, keys: set[str]) -> dict[str, dict[str, Any]]:
        """The loaded rows with `keys`, with all their columns, by key."""
        if not keys:
            return {}
        merged = self._merged_by(self._name)
        columns = self._key_columns()
        values = columns.values_of(self._target, self._name, merged, keys)
        found = {}
        for row in self._target.current_rows(self._name, merged, values):
            key = columns.key_in(row)
            if KEY in row:
                row[KEY] = key
            found[key] = row
        return found

    def _key_columns(self) -> KeyColumns:
        return KeyColumns(self._target, self._name, self._root_key)

    def _merged_by(self, name: str) -> tuple[str, ...]:
        """The columns by which the rows of the table `name` are merged."""
        typed = self._root_key
        if name != self._name:
            typed = self._shaper.tables[name].key[: len(self._root_key)]
        return merged_by(self._target, name, typed, has_text=self._has_key_text)

    def _inherited_keys(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """For each key column of the resource's own table, the columns of the child tables that repeat it."""
        children = [table for table in self._shaper.tables.values() if table.parent is not None]
        return {
            (self._name, column): [(child.name, child.key[place]) for child in children]
            for place, column in enumerate(self._root_key)
        }

    # -- batches --------------------------------------------------------------------------------

    def _with_keys_as_compared(self, name: str, table: pa.Table) -> pa.Table:
        """`table` with U+FFFD for NUL in its key columns, as in the key of an item (see `spelled`): what refers
        to a row has the same text everywhere."""
        hints = self._hints(name, table.column_names, self._learned(name))
        for column in (*hints.primary_key, *hints.merge_key):
            place = table.schema.get_field_index(column)
            if place >= 0 and pa.types.is_string(table.schema.field(place).type):
                texts = pc.replace_substring(table[column], "\0", REPLACEMENT)
                table = table.set_column(place, table.schema.field(place), texts)
        return table

    def _batch(self, name: str, table: pa.Table, *, removes: bool = False) -> Batch:
        if name == self._name and table.schema.get_field_index(DELETED_AT) < 0:
            nulls = pa.nulls(table.num_rows, INSTANT)
            table = table.append_column(DELETED_AT, nulls)
        self._changes.emitted(name, table.column_names)
        hints = self._hints(name, table.column_names, self._learned(name))
        return Batch(hints, table, removes)

    def _hints(self, name: str, names: Sequence[str], known: Sequence[LearnedColumn]) -> TableHints:
        learned = {column.name: column for column in known}
        columns = {column: column_hint(learned[column]) for column in names if column in learned}
        key = (WORKSPACE, *self._merged_by(name))
        if name == self._name and not self._replaces_whole:
            return TableHints(name, primary_key=key, columns=columns)
        return TableHints(name, merge_key=key, columns=columns)

    def _as_table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        types = {
            **{column.name: ARROW_TYPES[column.data_type] for column in self._learned(self._name)},
            **SYSTEM_COLUMNS,
            WORKSPACE: pa.string(),
        }
        return pa.table(
            {
                name: pa.array([row[name] for row in rows], kind)
                for name, kind in types.items()
                if name in rows[0]
            }
        )

    def _learned(self, name: str) -> list[LearnedColumn]:
        """The columns of the table `name`, with the types in which they are written."""
        contract = self._changes.contract
        return [
            replace(column, data_type=contract.type_of(name, column.name, column.data_type))
            for column in self._shaper.learned.columns(name)
            if not contract.leaves_out(name, column.name)
        ]


def _system_columns(items: Sequence[Item]) -> dict[str, Any]:
    columns = {
        "_oa_synced_at": pa.array([item.observed_at for item in items], INSTANT),
        "_oa_version": pa.array([item.version for item in items], pa.string()),
        "_oa_row_hash": pa.array([item.row_hash for item in items], pa.string()),
        "_oa_detail_version": pa.array([item.detail_version for item in items], pa.string()),
    }
    seen = [item.first_seen for item in items]
    if any(seen):
        columns[FIRST_SEEN_AT] = pa.array([one.at if one else None for one in seen], INSTANT)
        columns[FIRST_SEEN_BY] = pa.array([one.how if one else None for one in seen], pa.string())
    if any(item.deleted for item in items):
        gone = [item.observed_at if item.deleted else None for item in items]
        columns[DELETED_AT] = pa.array(gone, INSTANT)
    return columns


def one_line(text: bytes) -> bytes:
    """`text` as one line: a raw line break can only be insignificant whitespace in JSON."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
