"""Columns to finished Arrow tables: with keys and constants, in order, without all-null columns.

Both passes, the fast and the exact one, end here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oa_sync.definitions.paths import parse_path, spelled
from oa_sync.shape.json_text import decode
from oa_sync.shape.learned import Kind
from oa_sync.shape.naming import Path
from oa_sync.shape.schema import Node, Schema, Table
from oa_sync.shape.temporal import DECIMAL, INSTANT, dates, decimals, instants

Index = NDArray[np.int64]

ARROW_TYPES: dict[str, Any] = {
    "text": pa.string(),
    "json": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": INSTANT,
    "date": pa.date32(),
    "decimal": DECIMAL,
}
"""The Arrow type of each dlt data type. A json column holds the text of each value."""

_READERS = {"timestamp": instants, "date": dates, "decimal": decimals}


class Misfit(Exception):
    """Some values do not fit their column: `node` must get a column of `data_type` and `kind`."""

    def __init__(self, node: Node, data_type: str, kind: Kind) -> None:
        super().__init__(node.path, data_type, kind)
        self.node = node
        self.data_type = data_type
        self.kind = kind


@dataclass
class Part:
    """The rows of one batch for one table: `rows` rows, columns by name, each as long as `rows`.

    `parents`: for each row, the number of its parent's row in the parent table's part; `positions`:
    its position in the parent's list. Both None for the resource's own table.
    """

    table: Table
    rows: int
    parents: Index | None = None
    positions: Index | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def from_texts(node: Node, texts: Any) -> Any:
    """The string array `texts` as the type of `node`'s column. Raises Misfit."""
    assert node.column is not None
    data_type = node.column.data_type
    if data_type not in _READERS:
        return texts
    column = _READERS[data_type](texts)
    if column is None:
        raise Misfit(node, "json" if data_type == "decimal" else "text", node.column.kind)
    return column


def spelled_texts(texts: Any) -> Any:
    """JSON scalars (a string array of their texts) as the texts that they are in a key."""
    found = (None if text is None else spelled(decode(text.encode())) for text in texts.to_pylist())
    return pa.array(found, pa.string())


def assemble(
    parts: Mapping[str, Part], schema: Schema, extras: Mapping[str, Any]
) -> dict[str, Any]:
    """The `pyarrow.Table` of each part that has rows, parents before children.

    Columns: keys, then the columns of the rows in the order they were learned, then extras (the
    resource's own table only) and constants. A column that is null in the whole batch is left out
    unless it is a key.
    """
    keys: dict[str, dict[str, Any]] = {}
    key_texts: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    own = schema.spec.key_text
    for name in schema.tables:
        part = parts.get(name)
        if part is None:
            continue
        keys[name] = _keys(part, keys, extras)
        if own is not None:
            key_texts[name] = _key_text(part, key_texts, extras[own])
        if part.rows:
            found = {c: values for c, values in part.columns.items() if _has_values(values)}
            if part.table.parent is None:
                found.update(extras)
            for constant, value in schema.spec.constants.items():
                found[constant] = pa.repeat(pa.scalar(value, pa.string()), part.rows)
            found.update(keys[name])
            if own is not None:
                found[own] = key_texts[name]
            order = _order(part.table, keys[name], schema, list(extras))
            tables[name] = pa.table({column: found[column] for column in order if column in found})
    return tables


def joined(pieces: list[dict[str, Any]], schema: Schema, extras: list[str]) -> dict[str, Any]:
    """The tables of a whole batch, made of the tables of its consecutive pieces."""
    tables: dict[str, Any] = {}
    for name, table in schema.tables.items():
        found = [piece[name] for piece in pieces if name in piece]
        if found:
            whole = pa.concat_tables(found, promote_options="default").combine_chunks()
            order = _order(table, key_names(table), schema, extras)
            tables[name] = whole.select([c for c in order if c in whole.column_names])
    return tables


def _has_values(values: Any) -> bool:
    return bool(values.null_count < len(values))


def _order(table: Table, keys: Iterable[str], schema: Schema, extras: list[str]) -> list[str]:
    own = schema.spec.key_text
    outside = extras if table.parent is None else [own] if own is not None else []
    learned = (column.name for column in table.columns.values())
    return list(dict.fromkeys([*keys, *learned, *outside, *schema.spec.constants]))


def key_names(table: Table) -> list[str]:
    """The final names of the key columns; a key inside the rows is named like any other column."""
    if table.parent is not None:
        return list(table.key)
    return [
        key if table.names.is_reserved(key) else table.column_name(parse_path(key))
        for key in table.key
    ]


def _keys(
    part: Part, keys: Mapping[str, Mapping[str, Any]], extras: Mapping[str, Any]
) -> dict[str, Any]:
    """The key columns of `part`; those of a child repeat its parent's."""
    table = part.table
    names = key_names(table)
    if table.parent is None:
        values = [
            extras[key] if key in extras else _key_in_rows(part, parse_path(key), name)
            for key, name in zip(table.key, names, strict=True)
        ]
    else:
        assert part.parents is not None
        parents = pa.array(part.parents)
        inherited = [column.take(parents) for column in keys[table.parent.name].values()]
        values = [*inherited, pa.array(part.positions, pa.int64())]
    return dict(zip(names, values, strict=True))


def _key_text(part: Part, texts: Mapping[str, Any], of_rows: Any) -> Any:
    """The key of each row as text; a child has its parent's."""
    if part.table.parent is None:
        return of_rows
    return texts[part.table.parent.name].take(pa.array(part.parents))


def _key_in_rows(part: Part, path: Path, name: str) -> Any:
    if name in part.columns:
        return part.columns[name]
    column = part.table.columns.get(path)
    return pa.nulls(part.rows, ARROW_TYPES[column.data_type] if column else pa.string())
