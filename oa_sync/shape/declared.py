"""The tables of a resource before any row was seen: the columns whose names and types are known without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.naming import Path
from oa_sync.shape.schema import NodeKind, Schema, Table
from oa_sync.shape.spec import TableSpec
from oa_sync.shape.tables import key_names


@dataclass(frozen=True)
class DeclaredTable:
    """dlt data types by column name, and those of the columns that come from the rows, with their paths."""

    types: Mapping[str, str]
    columns: tuple[LearnedColumn, ...]


def declared_tables(
    spec: TableSpec, learned: LearnedSchema, extras: Mapping[str, str]
) -> dict[str, DeclaredTable]:
    """Each table that `spec` declares, by name.

    `learned` tells what is known from rows already, and `extras` the types of the columns from outside the
    rows. A key column whose type is neither declared nor learned is left out.
    """
    schema = Schema(spec, learned)
    schema.reserve_outside_columns(list(extras))
    for path, data_type in schema.declared_types.items():
        _declare(schema, path, data_type)
    for node in list(schema.root.descendants()):
        if node.by_declaration:
            schema.note_position(node)
    return {table.name: _described(table, schema, extras) for table in schema.declared_tables()}


def _declare(schema: Schema, path: Path, data_type: str) -> None:
    if any(path[:length] in schema.declared_types for length in range(1, len(path))):
        return  # it is inside of a column
    node = schema.node_at(path)
    if node.kind is NodeKind.LEAF and node.column is None:
        in_key = schema.is_key(node) and data_type == "json"
        schema.set_column(node, "text" if in_key else data_type)


def _described(table: Table, schema: Schema, extras: Mapping[str, str]) -> DeclaredTable:
    types = {name: kind for name, kind in _key_types(table, extras).items() if kind is not None}
    types |= {column.name: column.data_type for column in table.columns.values()}
    if table.parent is None:
        types |= extras
    elif schema.spec.key_text is not None:
        types[schema.spec.key_text] = "text"
    types |= dict.fromkeys(schema.spec.constants, "text")
    return DeclaredTable(types, tuple(table.columns.values()))


def _key_types(table: Table, extras: Mapping[str, str]) -> dict[str, str | None]:
    names = key_names(table)
    if table.parent is not None:
        inherited = _key_types(table.parent, extras).values()
        return dict(zip(names, [*inherited, "bigint"], strict=True))
    known = {**{c.name: c.data_type for c in table.columns.values()}, **extras}
    return {name: known.get(name) for name in names}
