"""The exact pass: rows one by one, for batches the fast pass refuses.

It reads what `pyarrow.json` cannot: keys that stand twice in one object (the last one counts), an object where a path usually has lists or the reverse, any depth. From
all other rows it makes the same tables as the fast pass, cell by cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from oa_sync.definitions.paths import spelled
from oa_sync.shape import rawjson
from oa_sync.shape.json_text import decode
from oa_sync.shape.rawjson import Value
from oa_sync.shape.schema import Node, NodeKind, Schema, Table
from oa_sync.shape.tables import ARROW_TYPES, Part, from_texts

_FROM_RAW_TEXT = ("json", "decimal")


def exact_parts(lines: list[bytes], schema: Schema) -> dict[str, Part]:
    """The parts of all tables for `lines` (one JSON value each), which `schema` must have learned.

    Raises Misfit, and ValueError where a line is not JSON.
    """
    walk = _Walk()
    root = walk.rows(schema.root_table)
    for line in lines:
        text = line.decode()
        value = rawjson.value_at(text, 0)
        walk.row(schema.root, root, root.append(), value, text)
    return {name: rows.part() for name, rows in walk.tables.items()}


class _GrowingTable:
    """A table while rows are added: cells by column, each with the number of its row."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._count = 0
        self._parents: list[int] = []
        self._positions: list[int] = []
        self._cells: dict[Node, tuple[list[int], list[Any]]] = {}

    def append(self, parent: int = 0, position: int = 0) -> int:
        """A new row; returns its number."""
        self._parents.append(parent)
        self._positions.append(position)
        self._count += 1
        return self._count - 1

    def put(self, node: Node, row: int, value: Any) -> None:
        """A cell in the column of `node`."""
        rows, values = self._cells.setdefault(node, ([], []))
        rows.append(row)
        values.append(value)

    def part(self) -> Part:
        """The rows as Arrow columns. Raises Misfit."""
        part = Part(self._table, self._count)
        if self._table.parent is not None:
            part.parents = np.array(self._parents, np.int64)
            part.positions = np.array(self._positions, np.int64)
        for node, (rows, values) in self._cells.items():
            assert node.column is not None
            cells: list[Any] = [None] * self._count
            for row, value in zip(rows, values, strict=True):
                cells[row] = value
            part.columns[node.column.name] = _column(node, cells)
        return part


def _column(node: Node, cells: list[Any]) -> Any:
    assert node.column is not None
    arrow_type = ARROW_TYPES[node.column.data_type]
    if node.column.data_type in ("timestamp", "date", "decimal"):
        arrow_type = pa.string()
    return from_texts(node, pa.array(cells, arrow_type))


class _Walk:
    """One pass over the rows, guided by the tree."""

    def __init__(self) -> None:
        self.tables: dict[str, _GrowingTable] = {}

    def rows(self, table: Table) -> _GrowingTable:
        """The growing rows of `table`."""
        if table.name not in self.tables:
            self.tables[table.name] = _GrowingTable(table)
        return self.tables[table.name]

    def row(self, node: Node, rows: _GrowingTable, row: int, value: Value, text: str) -> None:
        """An element that is a row of its own table: an object, or a value for the column `value`."""
        if isinstance(value.value, dict):
            self._object(node, rows, row, value, text)
        elif value.value not in (None, []):
            _put(node, rows, row, value, text)

    def _value(self, node: Node, rows: _GrowingTable, row: int, value: Value, text: str) -> None:
        found = value.value
        if found is None:
            return
        if node.kind is NodeKind.LEAF:
            _put(node, rows, row, value, text)
        elif node.kind is NodeKind.OBJECT and isinstance(found, dict):
            self._object(node, rows, row, value, text)
        elif node.kind is NodeKind.LIST and isinstance(found, list):
            self._list(node, row, value, text)
        elif found not in ({}, []):
            _put(node, rows, row, value, text)

    def _object(self, node: Node, rows: _GrowingTable, row: int, value: Value, text: str) -> None:
        has_unknown_keys = False
        # Of a key that stands twice the last one counts.
        for key, inner in dict(rawjson.members(text, value.start)).items():
            child = node.children.get(key)
            if child is not None:
                self._value(child, rows, row, inner, text)
            elif inner.value is not None:
                has_unknown_keys = True
        if has_unknown_keys:
            _put(node, rows, row, value, text)

    def _list(self, node: Node, row: int, value: Value, text: str) -> None:
        assert node.element is not None
        rows = self.rows(node.element.table)
        for position, element in enumerate(rawjson.elements(text, value.start)):
            self.row(node.element, rows, rows.append(row, position), element, text)


def _put(node: Node, rows: _GrowingTable, row: int, value: Value, text: str) -> None:
    """The value as a cell of `node`'s own column."""
    assert node.column is not None, node.path
    cell = value.value
    if node.column.data_type in _FROM_RAW_TEXT:
        cell = text[value.start : value.end]
    elif node.is_spelled:
        cell = spelled(decode(text[value.start : value.end].encode()))
    rows.put(node, row, cell)
