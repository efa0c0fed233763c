"""Decides what each path becomes, from the values seen there.

A path is decided when it first has values; afterwards its type only widens. Scalars become a typed
column, lists of objects a child table, other or mixed values one JSON column, and objects follow
the map rule below. `{}` and `[]` do not count as values: a path that has only them is a JSON column
until something else arrives.

The map rule. An object is flattened if, over the rows of the batch in which it first has keys,
1. each key looks like a field's name: `[A-Za-z_][A-Za-z0-9_ -]*`, at most 64 characters, and not
   like a hash, a UUID, an id (`rpt_7902a8a4`, `CHART-1NOOLm5YPs`) or anything with a long number;
2. there are at most 100 different keys; and
3. only one row has the object, or at least half of all its keys, counted over those rows, are keys
   that more than half of those rows have.
Otherwise it is a map: its keys are data, and it stays one JSON column. An object declared `json` is
always a map; one with declared columns or child tables inside never is. The decision is kept: a map
is a `json` column, a flattened object has columns for its paths. A flattened object takes at most
200 different keys. An object with further ones is kept whole in the JSON column of its own path, and
its known keys in their columns as well. The same holds for a row whose table has as many columns as it may
have (`oa_sync.shape.spec.Bounds`); of the new keys of a batch, those that most rows have come first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from oa_sync.shape import lattice
from oa_sync.shape.learned import Kind
from oa_sync.shape.naming import ELEMENT, Names, is_named_like_time
from oa_sync.shape.observe import Seen, observe
from oa_sync.shape.schema import MAX_DEPTH, Node, NodeKind, Schema

FLATTEN_KEYS = 100
MOST_KEYS = 200

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,63}")
_HASH_OR_UUID = re.compile(r"(?=.*\d)[0-9a-fA-F-]{8,}")
_LONG_NUMBER = re.compile(r"\d{5}")
_RANDOM_ENDING = re.compile(r"(?:.*[-_ ])?(?=[A-Za-z0-9]{8,}$)[A-Za-z]*\d+[A-Za-z]+\d[A-Za-z0-9]*")


def looks_like_field(key: str) -> bool:
    """Whether `key` reads like the name of a field rather than like data (an id, hash or date)."""
    return bool(
        _FIELD_NAME.fullmatch(key)
        and not _HASH_OR_UUID.fullmatch(key)
        and not _LONG_NUMBER.search(key)
        and not _RANDOM_ENDING.fullmatch(key)
    )


def is_map(seen: Seen) -> bool:
    """The map rule (see the module) for an object that was never flattened before."""
    keys = seen.keys
    if len(keys) > FLATTEN_KEYS or not all(map(looks_like_field, keys)):
        return True
    if seen.objects <= 1:
        return False
    usual = sum(count for count in keys.values() if count * 2 > seen.objects)
    return usual * 2 < sum(keys.values())


def takes_no_more(node: Node) -> bool:
    """Whether the flattened object at `node` has so many keys that new ones get no column."""
    return not is_row(node) and len(node.children) >= MOST_KEYS


def is_row(node: Node) -> bool:
    """Whether the object at `node` is a row of a table: rows may have any number of keys."""
    return node.path == node.table.prefix


def learn(rows: list[Any], schema: Schema) -> bool:
    """Widen `schema` so that it holds every value of `rows`; returns whether it changed."""
    before = schema.version
    lesson = _Lesson(schema)
    lesson.object(schema.root, observe(rows, schema.root))
    lesson.set_columns()
    return schema.version != before


class _Lesson:
    """One batch: decisions are made top down, names are given when all new columns are known."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._decided: list[tuple[Node, str, Kind]] = []
        self._added: Counter[str] = Counter()
        self._bounds = schema.spec.bounds

    def set_columns(self) -> None:
        """Set the columns of this batch, and name the new ones: keys that need no change as names go first."""
        self._decided.sort(key=lambda decided: not _is_spelled_out(decided[0]))
        for node, data_type, kind in self._decided:
            self._schema.set_column(node, data_type, kind)

    def _column(self, node: Node, data_type: str, kind: Kind) -> None:
        self._decided.append((node, data_type, kind))
        self._added[node.table.name] += node.column is None

    def visit(self, node: Node, seen: Seen) -> None:
        """Decide or widen `node`."""
        if seen.mask == 0:
            return
        if node.is_undecided:
            self._decide(node, seen)
        elif node.kind is NodeKind.LEAF:
            self._widen(node, seen.mask)
        elif node.kind is NodeKind.OBJECT:
            self.object(node, seen)
        else:
            self._list(node, seen)

    def _decide(self, node: Node, seen: Seen) -> None:
        mask = seen.mask
        full = mask & ~lattice.EMPTIES
        depth = len(node.path)
        if full == 0:
            node.kind = NodeKind.LEAF
            self._column(node, "json", "empty")
        elif full == lattice.OBJECT and depth < MAX_DEPTH and not is_map(seen):
            node.kind = NodeKind.OBJECT
            self._keep_as_rest(node)
            self.object(node, seen)
        elif full == lattice.OBJECTS and depth + 1 < MAX_DEPTH and self._has_room_for_table():
            self._schema.become_list(node)
            self._keep_as_rest(node)
            self._list(node, seen)
        else:
            node.kind = NodeKind.LEAF
            self._widen(node, mask)

    def _keep_as_rest(self, node: Node) -> None:
        if node.column is not None:
            self._schema.set_column(node, "json", "rest")

    def _widen(self, node: Node, mask: int) -> None:
        column = node.column
        current = column.data_type if column else node.declared
        if column and column.kind == "empty":
            current = "json"
        if current is None and mask == lattice.TEXT and is_named_like_time(node.path):
            current = "timestamp"
        was_large = column is not None and column.kind == "large"
        widened = lattice.widened_key if self._schema.is_key(node) else lattice.widened
        data_type = widened(current, was_large and current == "bigint", mask)
        if data_type is None:
            return
        if data_type == "text" and mask & ~lattice.TEXT and not node.is_spelled:  # only in a key
            node.is_spelled = True
            self._schema.version += 1
        still_large = (was_large and data_type == current) or (
            data_type == "bigint" and bool(mask & lattice.LARGE)
        )
        self._column(node, data_type, "large" if still_large else "value")

    def object(self, node: Node, seen: Seen) -> None:
        """Widen a flattened object or a row so that it takes the keys and other values seen."""
        others = seen.mask & ~(lattice.OBJECT | lattice.EMPTY_OBJECT)
        too_many = False
        for key, inner in self._in_order(node, seen):
            if key not in node.children and not self._may_grow(node, key):
                too_many = too_many or inner.mask != 0
                continue
            self.visit(self._schema.child(node, key), inner)
        if others:
            self._note_others(node, others & ~lattice.EMPTY_LIST)
        if too_many and node.column is None:
            self._column(node, "json", "rest")

    def _may_grow(self, node: Node, key: str) -> bool:
        # A key spelled like the mark for list elements would make paths ambiguous.
        is_clear = key != ELEMENT or not node.path
        return is_clear and not takes_no_more(node) and self._room(node) > 0

    def _room(self, node: Node) -> float:
        """How many further keys the object at `node` may get; those that are always null count too."""
        if not self._bounds.columns:
            return float("inf")
        held = len(node.table.columns) + self._added[node.table.name]
        return self._bounds.columns - max(held, len(node.children))

    def _has_room_for_table(self) -> bool:
        return not self._bounds.tables or len(self._schema.tables) < self._bounds.tables

    def _in_order(self, node: Node, seen: Seen) -> Iterable[tuple[str, Seen]]:
        """The keys seen in the order in which they get columns."""
        children = seen.children
        fresh = sum(key not in node.children for key in children)
        if fresh <= self._room(node):
            return children.items()
        return sorted(children.items(), key=lambda one: -seen.keys[one[0]])

    def _list(self, node: Node, seen: Seen) -> None:
        others = seen.mask & ~(lattice.OBJECTS | lattice.LIST | lattice.EMPTY_LIST)
        if others:
            self._note_others(node, others & ~lattice.EMPTY_OBJECT)
        if seen.mask & (lattice.OBJECTS | lattice.LIST):
            self._schema.note_position(node)
        if seen.element is not None and node.element is not None:
            self.object(node.element, seen.element)

    def _note_others(self, node: Node, mask: int) -> None:
        """Take values that are no object at a flattened path, or no list at a child table's path."""
        if not node.mixed:
            node.mixed = True
            self._schema.version += 1
        if mask == 0:
            return
        data_type = "json"
        if node.by_declaration:
            current = node.column.data_type if node.column else None
            data_type = lattice.widened(current, current == "bigint", mask) or "json"
        self._column(node, data_type, "rest")


def _is_spelled_out(node: Node) -> bool:
    keys = node.path[len(node.table.prefix) :]
    return "__".join(keys) == Names.plain(keys)
