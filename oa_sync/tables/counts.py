"""A table in numbers: rows, rows deleted at the source, backlog. One query, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from oa_sync.tables.batches import DELETED_AT

VERSION, DETAIL_VERSION = "_oa_version", "_oa_detail_version"


@dataclass(frozen=True)
class Counts:
    """One workspace's rows in one table.

    `rows`: those that the API still has. `deleted`: those that it has no more. `backlog`: rows whose
    newest detail is not loaded; None if the table is not a resource's own.
    """

    rows: int
    deleted: int
    backlog: int | None


def count_columns(columns: Collection[str], quoted: Callable[[str], str]) -> str:
    """The SELECT list for `counts_of`, for a table with `columns`."""
    deleted = f"count({quoted(DELETED_AT)})" if DELETED_AT in columns else "0"
    parts = ["count(*)", deleted]
    if {VERSION, DETAIL_VERSION, DELETED_AT} <= set(columns):
        version, detail = quoted(VERSION), quoted(DETAIL_VERSION)
        # Not every warehouse knows IS DISTINCT FROM.
        late = f"{detail} IS NULL OR {version} IS NULL OR {detail} <> {version}"
        parts.append(f"sum(CASE WHEN {quoted(DELETED_AT)} IS NULL AND ({late}) THEN 1 ELSE 0 END)")
    return ", ".join(parts)


def counts_of(row: Sequence[int | None]) -> Counts:
    """The counts from the one row of that query."""
    count, deleted = row[0] or 0, row[1] or 0
    backlog = int(row[2] or 0) if len(row) > 2 else None
    return Counts(int(count) - int(deleted), int(deleted), backlog)
