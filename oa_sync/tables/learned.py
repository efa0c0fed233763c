"""What earlier syncs learned about the shape of some tables, from the destination's own schema."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from oa_sync.shape.learned import LearnedSchema
from oa_sync.tables.batches import LoadedColumn


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
