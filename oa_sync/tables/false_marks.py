"""Columns `_oa_deleted_at` that say nothing, and how they go.

Only the own table of a resource has marks of deletion. Earlier versions made the column in the tables of lists, of
results and of histories too, always NULL there: who asked for rows without a mark got the rows of deleted
parents. So the first sync (or query) of this version drops it. One that is killed goes on with the next.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator

import pyarrow as pa

from oa_sync.errors import DestinationError
from oa_sync.tables.batches import DELETED_AT, VALID_FROM
from oa_sync.tables.counts import VERSION
from oa_sync.tables.target import Target

logger = logging.getLogger(__name__)


def without_false_marks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """`batches` of one table, without that column."""
    for batch in batches:
        yield batch.drop_columns([DELETED_AT]) if has_false_marks(batch.schema.names) else batch


def has_false_marks(columns: Collection[str]) -> bool:
    """Whether a table with `columns` has marks and is not the own table of a resource, which has versions too."""
    return DELETED_AT in columns and (VERSION not in columns or VALID_FROM in columns)


def drop_false_marks(target: Target) -> None:
    """Drop the column where it says nothing. What cannot be dropped is told, and harms no load."""
    columns = defaultdict[str, set[str]](set)
    for column in target.columns():
        columns[column.table].add(column.name)
    for table in sorted(name for name, names in columns.items() if has_false_marks(names)):
        try:
            target.drop_column(table, DELETED_AT)
        except DestinationError as error:
            logger.warning(
                "%s: the column %s says nothing there and could not be dropped (%s); drop it by hand, with"
                " the views that use it. Rows of deleted parents are found by their parent",
                table,
                DELETED_AT,
                error,
            )
