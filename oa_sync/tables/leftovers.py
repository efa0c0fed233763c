"""Rows of lists whose own row is not loaded.

Child rows are loaded before the row that they belong to. A load that is cut short leaves them alone, and if the journal
is lost as well, nothing tells of them: their row comes again as a new one. If its list is empty by then, they must go.
"""

from __future__ import annotations

from oa_sync.journal.items import Item
from oa_sync.tables.target import Target


class Leftovers:
    """Tells where the destination may have rows of an item. A table that this sync has made has none but its own, so
    a first sync looks for none."""

    def __init__(self, target: Target) -> None:
        self._tables = {column.table for column in target.columns()}

    def may_be(self, item: Item, table: str) -> bool:
        """Whether `table` may have rows of `item` that are not in it any more."""
        return item.replaces or table in self._tables
