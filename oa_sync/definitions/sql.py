"""Named parameters in the SQL of a declared query."""

from __future__ import annotations

import re

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
