"""What a table's columns are: dlt data types, their Arrow and SQL forms, and how types widen.

The schema is stored in each Parquet file's key-value metadata (`oa_sync.schema`, JSON), so it is replaced
in the same instant as the rows it describes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from oa_sync.errors import DestinationError
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import Batch, TableHints
from oa_sync.tables.false_marks import has_false_marks

_SQL_TYPES = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "decimal": "DECIMAL(38, 9)",
}
_KIND_TESTS = (
    ("text", (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)),
    ("bigint", (pa.types.is_integer,)),
    ("double", (pa.types.is_floating,)),
    ("bool", (pa.types.is_boolean,)),
    ("timestamp", (pa.types.is_timestamp,)),
    ("date", (pa.types.is_date,)),
    ("decimal", (pa.types.is_decimal,)),
)
_SCHEMA_KEY = b"oa_sync.schema"
_FORMAT = 1


@dataclass(frozen=True)
class Column:
    """One column: its dlt data type and its other hints, among them `x-oa-path`."""

    data_type: str
    hints: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSchema:
    """Columns by name, in order. `key`: what rows are merged and sorted by (primary or merge key)."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    version: int = 0
    """Grows with every change of a column."""
    by_parent: bool = False
    """Whether `key` is a merge key: all rows that share it are replaced together."""
    is_declared: bool = False
    """Whether the table was made before there was a row, only to be read. Its key columns may be missing."""

    def merged(self, other: TableSchema) -> TableSchema:
        """This schema with what `other` adds or widens; hints of `other` win."""
        columns = dict(self.columns)
        keyed = other if other.key else self
        for name, column in other.columns.items():
            have = columns.get(name)
            widest = wider_key if name in keyed.key else wider
            data_type = widest(have.data_type, column.data_type) if have else column.data_type
            columns[name] = Column(data_type, column.hints or (have.hints if have else {}))
        version = max(self.version, other.version)
        return TableSchema(columns, keyed.key, version, keyed.by_parent)

    def retyped(self, column: str, data_type: str) -> TableSchema:
        """This schema with `column` of another type."""
        columns = dict(self.columns)
        columns[column] = replace(columns[column], data_type=data_type)
        return replace(self, columns=columns)

    def without(self, column: str) -> TableSchema:
        """This schema without `column`."""
        return replace(self, columns={n: c for n, c in self.columns.items() if n != column})

    def lacks_columns_of(self, other: TableSchema) -> bool:
        """Whether `other` has a column that is not here."""
        return any(name not in self.columns for name in other.columns)

    def differs_in_type(self, other: TableSchema) -> bool:
        """Whether a column that both have is of another type here."""
        return any(
            name in other.columns and other.columns[name].data_type != column.data_type
            for name, column in self.columns.items()
        )

    def arrow(self, metadata: Mapping[str, str]) -> pa.Schema:
        """The Arrow schema of a file, with `metadata` and this schema as key-value metadata.

        The dlt data type of each column is in its field metadata too: a JSON column is a string for Arrow
        and `json` there.
        """
        fields = [
            pa.field(
                name,
                ARROW_TYPES[column.data_type],
                nullable=name not in self.key or self.is_declared,
                metadata={"data_type": column.data_type},
            )
            for name, column in self.columns.items()
        ]
        return pa.schema(fields, {**metadata, _SCHEMA_KEY.decode(): self.text()})

    def text(self) -> str:
        """This schema as JSON, for `schema_of_text`."""
        return json.dumps(
            {
                "format": _FORMAT,
                "version": self.version,
                "key": self.key,
                "by_parent": self.by_parent,
                **({"declared": True} if self.is_declared else {}),
                "columns": [
                    {**column.hints, "name": name, "data_type": column.data_type}
                    for name, column in self.columns.items()
                ],
            }
        )

    def hints(self, table: str) -> TableHints:
        """How rows of `table` with this schema are loaded."""
        columns = {
            name: {**column.hints, "data_type": column.data_type}
            for name, column in self.columns.items()
        }
        if self.by_parent:
            return TableHints(table, merge_key=self.key, columns=columns)
        return TableHints(table, primary_key=self.key, columns=columns)


def stored_schema(schema: pa.Schema) -> TableSchema | None:
    """The schema that a file's metadata holds; None: the file is not ours, or of a later format."""
    return schema_of_text((schema.metadata or {}).get(_SCHEMA_KEY, b""))


def schema_of_text(text: str | bytes) -> TableSchema | None:
    """The schema that `TableSchema.text` wrote; None: something else did, or a later version."""
    try:
        stored = json.loads(text)
        if stored["format"] != _FORMAT:
            return None
        columns = {entry["name"]: _stored_column(entry) for entry in stored["columns"]}
        key, version = tuple(stored["key"]), int(stored["version"])
        by_parent = bool(stored.get("by_parent", False))
        is_declared = bool(stored.get("declared", False))
    except (ValueError, TypeError, KeyError):
        return None
    known = all(column.data_type in ARROW_TYPES for column in columns.values())
    return TableSchema(columns, key, version, by_parent, is_declared) if known else None


def _stored_column(entry: Mapping[str, Any]) -> Column:
    hints = {name: value for name, value in entry.items() if name not in ("name", "data_type")}
    return Column(entry["data_type"], hints)


def arriving_schema(batch: Batch) -> TableSchema:
    """The schema of a batch.

    Raises:
        DestinationError: the table has no key, or a column has a type that a file cannot hold.
    """
    hints = batch.hints
    key = hints.primary_key or hints.merge_key
    if not key:
        raise DestinationError(
            f"{hints.name}: no primary key and no merge key, so nothing to merge by"
        )
    columns = described_columns(hints.name, batch.rows.schema, hints.columns)
    return TableSchema(columns, key, by_parent=not hints.primary_key)


def to_declare(batches: Iterable[Batch], have: Mapping[str, TableSchema]) -> dict[str, TableSchema]:
    """The schemas of the tables in `batches` that are not in `have` as they are to be."""
    wanted = {
        batch.hints.name: replace(arriving_schema(batch), is_declared=True) for batch in batches
    }
    return {
        name: schema
        for name, schema in wanted.items()
        if name not in have
        or have[name].lacks_columns_of(schema)
        or have[name].differs_in_type(schema)
        or has_false_marks(have[name].columns)
    }


def described_columns(
    table: str, schema: pa.Schema, hints: Mapping[str, Mapping[str, Any]]
) -> dict[str, Column]:
    """The columns of an Arrow schema; those without a type (all null, none declared) are left out.

    Raises:
        DestinationError: a column has a type that a file cannot hold.
    """
    columns: dict[str, Column] = {}
    for arriving in schema:
        hint = dict(hints.get(arriving.name, {}))
        declared = hint.pop("data_type", None)
        hint.pop("name", None)
        data_type = _data_type(arriving.type, declared)
        if data_type is not None:
            columns[arriving.name] = Column(data_type, hint)
        elif not pa.types.is_null(arriving.type):
            raise DestinationError(
                f"{table}.{arriving.name}: a column of type {arriving.type} cannot be written;"
                " declare its data_type in the definition"
            )
    return columns


def _data_type(kind: pa.DataType, declared: str | None) -> str | None:
    if pa.types.is_null(kind):
        return declared if declared in ARROW_TYPES else None
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for data_type, tests in _KIND_TESTS:
        if any(test(kind) for test in tests):
            return "json" if data_type == "text" and declared == "json" else data_type
    return None


def wider(one: str, other: str) -> str:
    """The narrowest type that holds the values of both (`oa_sync.shape.lattice`, without its values)."""
    both = {one, other}
    if len(both) == 1:
        return one
    if both <= {"bigint", "double"}:
        return "double"
    if both <= {"text", "timestamp", "date"}:
        return "text"
    return "json"


def wider_key(one: str, other: str) -> str:
    """As `wider`, for a column of a key: whole numbers and texts are texts (`oa_sync.shape.lattice`)."""
    return "text" if {one, other} == {"bigint", "text"} else wider(one, other)


def identifier(name: str) -> str:
    """`name` quoted for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """`names` quoted for DuckDB, with commas."""
    return ", ".join(identifier(name) for name in names)


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def projection(have: TableSchema, want: TableSchema, names: Sequence[str]) -> str:
    """The SELECT list that gives the columns `names` of `want` from a relation with the columns of `have`."""
    parts = []
    for name in names:
        after = want.columns[name].data_type
        if name in have.columns:
            value = _converted(identifier(name), have.columns[name].data_type, after)
        else:
            value = f"CAST(NULL AS {_SQL_TYPES[after]})"
        parts.append(f"{value} AS {identifier(name)}")
    return ", ".join(parts)


def _converted(column: str, before: str, after: str) -> str:
    """The values of `column` in a wider type; texts become JSON strings, instants ISO 8601 with a Z."""
    if before == after:
        return column
    if before == "timestamp" and after in ("text", "json"):
        column = f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if after == "json":
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS {_SQL_TYPES[after]})"
