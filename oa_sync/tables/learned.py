"""What earlier syncs learned of the shape of some tables, out of the destination's own schema."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from oa_sync.shape.learned import LearnedSchema
from oa_sync.tables.batches import LoadedColumn


def learned_of(
    columns: Iterable[LoadedColumn], own: Collection[str], declared: Collection[str]
) -> LearnedSchema:
    """The memory of the tables `own` and of those that undeclared lists in them became.

    `declared`: every table that the definition names. A table `a__b` belongs to the longest of these
    that it continues, so to `a`, unless a table `a__b` is declared itself.
    """
    return LearnedSchema.from_columns(
        (column.table, column.name, column.data_type, column.path)
        for column in columns
        if _owner(column.table, declared) in own
    )


def _owner(table: str, declared: Collection[str]) -> str | None:
    candidates = [name for name in declared if table == name or table.startswith(f"{name}__")]
    return max(candidates, key=len, default=None)
