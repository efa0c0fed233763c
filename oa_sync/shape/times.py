"""Dates and instants in text columns that nobody has declared.

JSON has no type for times, and the columns of a query are known only when its result comes. A column
becomes one of dates (or instants) only if every value of the whole result is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from oa_sync.shape.learned import LearnedColumn
from oa_sync.shape.naming import Path
from oa_sync.shape.temporal import dates, instants

_READERS = {"date": dates, "timestamp": instants}


class TimesInText:
    """Looks at one batch after the other; columns whose path is in `fixed` have a type already."""

    def __init__(self, fixed: Collection[Path]) -> None:
        self._fixed = fixed
        self._possible: dict[Path, list[str]] = {}

    def look(self, table: Any, columns: Iterable[LearnedColumn]) -> None:
        """Check the values of `columns` in the `pyarrow.Table` `table`."""
        for column in columns:
            if column.path in self._fixed or column.name not in table.column_names:
                continue
            possible = self._possible.setdefault(column.path, list(_READERS))
            if column.data_type != "text":
                possible.clear()
            for kind in tuple(possible):
                texts = table[column.name].combine_chunks().drop_null()
                if len(texts) and _READERS[kind](texts) is None:
                    possible.remove(kind)

    def found(self) -> dict[Path, str]:
        """The dlt data type of each column that holds only dates, or only instants."""
        return {path: possible[0] for path, possible in self._possible.items() if possible}
