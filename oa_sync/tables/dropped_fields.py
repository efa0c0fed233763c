"""Fields that the API no longer sends: told, for nothing else about them is to be done.

A field that is absent from a few changed rows may just be one that few rows have. So a column only counts
as gone when rows that had a value in it come without its key, and no row of their batch has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import orjson

from oa_sync.journal.items import Item, values_of
from oa_sync.shape.learned import LearnedColumn
from oa_sync.tables.target import Target

SAMPLE = 50
"""Rows of a batch whose loaded state is looked at."""


def gone_fields(
    target: Target,
    table: str,
    key: Sequence[str],
    learned: Sequence[LearnedColumn],
    present: Collection[str],
    items: Sequence[Item],
    texts: Sequence[bytes],
) -> Iterator[LearnedColumn]:
    """The columns of `table` whose values left with this batch of whole rows.

    `learned` are its columns, `present` those that the batch has values for, `texts` the rows of
    `items`.
    """
    absent = [c for c in learned if c.kind == "value" and c.path and c.name not in present]
    replaced = [(item, text) for item, text in zip(items, texts, strict=True) if item.replaces]
    if not absent or not replaced:
        return
    sent: set[str] = set()
    for _, text in replaced[:SAMPLE]:
        try:
            sent.update(orjson.loads(text))
        except orjson.JSONDecodeError:  # valid, but with a number that is too large for it
            return
    absent = [column for column in absent if column.path[0] not in sent]
    if not absent:
        return
    keys = [values_of(item.key, len(key)) for item, _ in replaced[:SAMPLE]]
    before = target.current_rows(table, key, keys)
    yield from (c for c in absent if any(row.get(c.name) is not None for row in before))
