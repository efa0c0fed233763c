"""Named parameters in SQL that the API runs: where they stand, and what is put there.

The API takes no parameters beside the SQL, so values are written into it as literals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`      # strings and quoted names
    | --[^\n]* | /\*.*?\*/                         # comments
    | ::                                           # casts
    | (?<![\w:]) : (?P<name>[A-Za-z_]\w*)          # :last_date
    """,
    re.VERBOSE | re.DOTALL,
)


def sql_parameters(sql: str) -> tuple[str, ...]:
    """The names of the `:name` parameters in `sql`, each once, outside strings and comments."""
    names = (match["name"] for match in _TOKEN.finditer(sql))
    return tuple(dict.fromkeys(name for name in names if name))


def with_literals(sql: str, literals: Mapping[str, str]) -> str:
    """`sql` with the literal of each parameter in its place; names without one stay as they are."""
    return _TOKEN.sub(lambda match: literals.get(match["name"] or "", match[0]), sql)


def sql_literal(value: Any) -> str:
    """`value` (text, number, true or false, date, time) as a literal that no character of it can end early.

    Instants are written in UTC as `'2026-03-02T09:00:00Z'`, with six digits where there are parts
    of a second. A text with a backslash or a control character is refused: to some SQL engines a
    backslash before the closing quote means that the text goes on, to others it does not.

    Raises ValueError, with a text that does not repeat the value.
    """
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return number_literal(str(value))
        case float() | Decimal() if isfinite(value):
            return number_literal(repr(value) if isinstance(value, float) else f"{value:f}")
        case datetime():
            return f"'{_instant(value)}'"
        case date():
            return f"'{value.isoformat()}'"
        case str():
            return _text(value)
        case _:
            raise ValueError(f"a value of the kind {type(value).__name__} cannot stand in SQL")


def number_literal(text: str) -> str:
    """The number `text` as a literal. `-5` gets parentheses: behind a minus sign it would begin a comment."""
    return f"({text})" if text.startswith("-") else text


def _instant(value: datetime) -> str:
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat() + "Z"


def _text(value: str) -> str:
    if any(char == "\\" or ord(char) < ord(" ") for char in value):
        raise ValueError(
            "a text with a backslash or a control character is not put into SQL, because engines"
            " read it in different ways"
        )
    return "'" + value.replace("'", "''") + "'"
