"""Changes of shape between what is loaded and what arrives: reported, and made in the tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from oa_sync.journal.items import Item
from oa_sync.shape.json_text import decode
from oa_sync.shape.learned import LearnedColumn
from oa_sync.shape.shaper import Drift
from oa_sync.tables.batches import BREAK, Break, history_table
from oa_sync.tables.contract import Contract
from oa_sync.tables.target import Target

_NOWHERE: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = MappingProxyType({})


class SchemaChanges:
    """Shared by all tables of a sync. `seen` is for the report: table, column, and the types before
    (None: a new column) and after (None: the field is gone)."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._emitted: set[tuple[str, str]] = set()
        self.seen: list[dict[str, Any]] = []
        self.contract = Contract(target)

    def under(self, contract: Contract) -> SchemaChanges:
        """The same changes, for a resource with a `contract`."""
        shared = SchemaChanges(self._target)
        shared._emitted, shared.seen, shared.contract = self._emitted, self.seen, contract
        return shared

    def start_package(self) -> None:
        """What was emitted before is loaded by now."""
        self._emitted.clear()

    def emitted(self, table: str, columns: Iterable[str]) -> None:
        """Rows of `table` with `columns` are in the current package."""
        self._emitted.update((table, column) for column in columns)

    def gone(self, table: str, column: LearnedColumn) -> None:
        """The API no longer sends what `column` holds."""
        place = {"table": table, "column": column.name}
        self._note({**place, "before": column.data_type, "after": None})

    def _note(self, change: dict[str, Any]) -> None:
        """Once, even if rows that could not be loaded are shaped again. A column that holds JSON and gets
        other JSON is as before for whoever reads it."""
        if change["before"] != change["after"] and change not in self.seen:
            self.seen.append(change)

    def settle(
        self,
        drift: Iterable[Drift],
        repeated: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = _NOWHERE,
    ) -> Iterator[Break]:
        """Widen loaded columns before wider values arrive. If this package already has values of the
        narrower type, which could not be loaded afterwards, a break comes first. What the contract
        discards is reported, and widens nothing. `repeated`: for a column (table, name) the columns of
        other tables that repeat its values.

        Raises:
            SchemaContractError: the contract freezes what would change.
        """
        widened: list[tuple[str, str, str]] = []
        for change in drift:
            mode = self.contract.judge(change)
            discarded = {"contract": mode} if mode else {}
            place = {"table": change.table, "column": change.column}
            self._note({**place, "before": change.before, "after": change.after, **discarded})
            if change.before is not None and mode is None:
                copies = repeated.get((change.table, change.column), ())
                widened += [(*copy, change.after) for copy in copies]
                widened.append((change.table, change.column, change.after))
        if any((table, column) in self._emitted for table, column, _ in widened):
            yield BREAK
        for table, column, data_type in widened:
            # The copies and the history first: what has to be widened is told by the table, so that a sync
            # killed in between widens all of them again.
            self._target.widen(history_table(table), column, data_type)
            self._target.widen(table, column, data_type)


SAMPLE = 50
"""How many rows of a batch are compared with their loaded state."""


def gone_fields(
    loaded: Callable[[set[str]], Mapping[str, Mapping[str, Any]]],
    learned: Sequence[LearnedColumn],
    present: Collection[str],
    items: Sequence[Item],
    texts: Sequence[bytes],
) -> Iterator[LearnedColumn]:
    """The columns of a table that lose their values with this batch of whole rows: fields that the API no
    longer sends. They are reported; nothing else is to be done about them.

    A field that is absent from a few changed rows may be one that few rows have. So a column counts as gone
    only if rows that had a value in it come without its key, and no row of their batch has it.

    `loaded` gives its rows with some keys, by key; `learned` are its columns, `present` those that the batch
    has values for, `texts` the rows of `items`.
    """
    absent = [c for c in learned if c.kind == "value" and c.path and c.name not in present]
    replaced = [(item, text) for item, text in zip(items, texts, strict=True) if item.replaces]
    if not absent or not replaced:
        return
    sent: set[str] = set()
    for _, text in replaced[:SAMPLE]:
        sent.update(decode(text))
    absent = [column for column in absent if column.path[0] not in sent]
    if not absent:
        return
    before = loaded({item.key for item, _ in replaced[:SAMPLE]}).values()
    yield from (c for c in absent if any(row.get(c.name) is not None for row in before))
