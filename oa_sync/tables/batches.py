"""How a table is loaded: its keys and column hints, as values that know nothing of a destination."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from oa_sync.shape.learned import HINT, LearnedColumn, LearnedSchema

WORKSPACE = "_oa_workspace"
DELETED_AT = "_oa_deleted_at"
VALID_FROM, VALID_TO = "_oa_valid_from", "_oa_valid_to"
"""The columns that a history has besides those of its table (see `oa_sync.tables.history`)."""

INSTANT = pa.timestamp("us", "UTC")


def history_table(table: str) -> str:
    """The table with all versions of the rows of `table`."""
    return f"{table}_history"


@dataclass(frozen=True)
class TableHints:
    """Name, keys and column hints of one destination table.

    A table with `primary_key` is merged row by row. A child table has `merge_key` instead: all rows
    of a parent are replaced together, so a list that became shorter leaves no old rows. `columns` holds
    dlt column hints, among them `x-oa-path`, which remembers where a column comes from.
    """

    name: str
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Rows for one table; column names are final.

    `removes`: of `rows` only the merge key counts. What has it is removed, and nothing is written. A load
    has no other rows with such a key.
    """

    hints: TableHints
    rows: pa.Table
    removes: bool = False


class Break:
    """Between two batches: all before it must be loaded before anything after it."""


BREAK = Break()
Output = Batch | Break


@dataclass(frozen=True)
class LoadedColumn:
    """A column as the destination has it; `path` is the `x-oa-path` hint (None: not ours)."""

    table: str
    name: str
    data_type: str
    path: Any


def column_hint(column: LearnedColumn) -> dict[str, Any]:
    """The dlt hints of a learned column."""
    hint: dict[str, Any] = {HINT: column.hint()}
    if column.data_type == "json":
        hint["data_type"] = "json"
    return hint


def learned_of(
    columns: Iterable[LoadedColumn], own: Collection[str], declared: Collection[str]
) -> LearnedSchema:
    """What was learned about the tables `own` and the tables of undeclared lists in them.

    `declared`: every table that the definition names. A table `a__b` belongs to the declared table
    with the longest name that it begins with: to `a`, unless `a__b` is declared itself.
    """
    return LearnedSchema.from_columns(
        (column.table, column.name, column.data_type, column.path)
        for column in columns
        if _owner(column.table, declared) in own
    )


def _owner(table: str, declared: Collection[str]) -> str | None:
    candidates = [name for name in declared if table == name or table.startswith(f"{name}__")]
    return max(candidates, key=len, default=None)
