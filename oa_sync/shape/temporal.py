"""Texts to instants, dates and decimals: all values of a column, or none.

The fast and the exact pass both use these functions, so they cannot read a text differently.

JSON has no type for times, and the columns of a query are known only when its result comes. So a text
column that nobody has declared becomes one of dates (or instants) only if every value of the whole result
is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.shape.learned import LearnedColumn
from oa_sync.shape.naming import Path

INSTANT = pa.timestamp("us", tz="UTC")
DECIMAL = pa.decimal128(38, 9)
"""dlt's default precision and scale."""

_SHORTEST_INSTANT = len("2024-01-31T00:00:00")
_OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
_DAY = 86_400_000_000


def instants(texts: Any) -> Any | None:
    """RFC 3339 date-times (string array) as UTC microseconds; None if one cannot be read exactly.

    No offset means UTC. Not read: more than six digits of a second, the second 60, a date without a
    time, and years outside 1 to 9999.
    """
    if (pc.min(pc.binary_length(texts)).as_py() or _SHORTEST_INSTANT) < _SHORTEST_INSTANT:
        return None
    try:
        read = texts.cast(INSTANT)
    except pa.ArrowInvalid:
        try:
            read = _with_offset(texts).cast(INSTANT)
        except pa.ArrowInvalid:
            return None
    return read if _in_years(read.cast(pa.int64()), 1) else None


def _with_offset(texts: Any) -> Any:
    """In capital letters, and with a Z if there is no offset."""
    texts = pc.ascii_upper(texts)
    has_offset = pc.match_substring_regex(texts, _OFFSET)
    return pc.if_else(has_offset, texts, pc.binary_join_element_wise(texts, "Z", ""))


def dates(texts: Any) -> Any | None:
    """Calendar dates `YYYY-MM-DD` (string array) as days; None if one cannot be read."""
    try:
        read = texts.cast(pa.date32())
    except pa.ArrowInvalid:
        return None
    return read if _in_years(read.cast(pa.int32()).cast(pa.int64()), _DAY) else None


def _in_years(counts: Any, microseconds: int) -> bool:
    span = pc.min_max(counts)
    low, high = span["min"].as_py(), span["max"].as_py()
    if low is None:
        return True
    return bool(low * microseconds >= _YEAR_1 and high * microseconds < _YEAR_10000)


def decimals(texts: Any) -> Any | None:
    """JSON numbers, or strings with numbers, from their raw texts; None if one loses a digit."""
    try:
        return pc.utf8_trim(texts, '"').cast(DECIMAL)
    except pa.ArrowInvalid:
        return None


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
