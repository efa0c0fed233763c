"""The lattice of data types: which type holds every value that a column has had.

    null < bool | bigint < double | text | declared timestamp, date, decimal  ->  json
    in a key:  bigint | declared types  ->  text

A type only ever widens. bigint becomes double if a double holds every integer of the column exactly
(|v| <= 2**53). A timestamp or date column becomes text when a string comes that it cannot read.
Every other mix becomes json, where each cell holds the value's exact text. A key column becomes text instead:
`1` and `"1"` are one key (see `spelled`), and what is neither text nor a whole number is text from the start.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

BOOL = 1
INT = 2
LARGE = 4
"""An integer that a double cannot hold exactly, always together with INT."""
HUGE = 8
"""A number outside both int64 and the finite doubles."""
FLOAT = 16
TEXT = 32
OBJECT = 64
OBJECTS = 128
"""A list with at least one object and otherwise nothing but objects and nulls."""
LIST = 256
"""Any other list that is not empty."""
EMPTY_OBJECT = 512
EMPTY_LIST = 1024

SCALARS = BOOL | INT | LARGE | HUGE | FLOAT | TEXT
EMPTIES = EMPTY_OBJECT | EMPTY_LIST

EXACT_DOUBLE = 2**53
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_NUMBERS = INT | LARGE | FLOAT


def scalar_mask(value: Any) -> int:
    """The mask of a JSON scalar as `json_text.decode` gives it; 0 for null."""
    kind = type(value)
    if kind is str:
        return TEXT
    if kind is int:
        if -EXACT_DOUBLE <= value <= EXACT_DOUBLE:
            return INT
        return INT | LARGE if _INT64_MIN <= value <= _INT64_MAX else HUGE
    if kind is float:
        return FLOAT if math.isfinite(value) else HUGE
    if kind is Decimal:
        return HUGE
    return BOOL if kind is bool else 0


def widened(current: str | None, large: bool, mask: int) -> str | None:
    """The type for a column of type `current` (None: none yet) that also holds values of `mask`.

    `large`: the column has held an integer that a double cannot hold exactly.
    """
    if mask == 0:
        return current
    if current == "decimal":
        # The cast to decimal decides: only it sees the digits.
        return "decimal" if not mask & ~(SCALARS & ~BOOL) else "json"
    if mask == TEXT and current in (None, "text", "timestamp", "date"):
        return current or "text"
    if mask == BOOL and current in (None, "bool"):
        return "bool"
    if not mask & ~_NUMBERS and current in (None, "bigint", "double"):
        if current != "double" and not mask & FLOAT:
            return "bigint"
        return "json" if large or mask & LARGE else "double"
    return "json"


def widened_key(current: str | None, large: bool, mask: int) -> str | None:
    """As `widened`, for a column that is part of the resource's key."""
    found = widened(current, large, mask)
    return found if mask & ~SCALARS or found in (current, "bigint") else "text"
