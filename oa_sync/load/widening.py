"""SQL that widens a column in place, where the destination can."""

from __future__ import annotations

from collections.abc import Callable

_TYPES = {
    "duckdb": {"double": "DOUBLE", "json": "JSON", "text": "VARCHAR"},
    "postgres": {"double": "double precision", "json": "jsonb", "text": "varchar"},
}
_ISO = {
    "duckdb": "strftime({c} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
    "postgres": "to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
}
_TO_JSON: dict[str, Callable[[str], str]] = {
    "duckdb": "to_json({})".format,
    "postgres": "to_jsonb({})".format,
}


def can_widen(destination: str, after: str) -> bool:
    """Whether a column of the dlt `destination` (its name or type) can be altered to the type `after`."""
    return after in _TYPES.get(_dialect(destination), {})


def widen_sql(destination: str, table: str, column: str, before: str, after: str) -> list[str]:
    """Statements that turn `column` of `table` (both quoted) from dlt type `before` into `after`, which
    `can_widen` must allow."""
    dialect = _dialect(destination)
    if after == "json":
        text = _ISO[dialect].format(c=column) if before == "timestamp" else column
        value = _TO_JSON[dialect](text)
    elif after == "text":
        value = (
            _ISO[dialect].format(c=column)
            if before == "timestamp"
            else f"CAST({column} AS VARCHAR)"
        )
    else:
        value = f"CAST({column} AS {_TYPES[dialect][after]})"
    kind = _TYPES[dialect][after]
    return [f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {value}"]


def _dialect(destination: str) -> str:
    name = destination.rsplit(".", 1)[-1]
    return "duckdb" if name in {"motherduck", "ducklake"} else name
