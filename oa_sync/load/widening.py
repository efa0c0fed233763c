"""SQL that widens a column in place, where the destination can."""

from __future__ import annotations

from collections.abc import Callable

from oa_sync.errors import DestinationError

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


def widen_sql(destination: str, table: str, column: str, before: str, after: str) -> list[str]:
    """Statements that turn `column` of `table` (both quoted) from dlt type `before` into `after`.

    Raises:
        DestinationError: this destination cannot alter a column's type.
    """
    dialect = destination.rsplit(".", 1)[-1]
    dialect = "duckdb" if dialect in {"motherduck", "ducklake"} else dialect
    if dialect not in _TYPES or after not in _TYPES[dialect]:
        raise DestinationError(
            f"{table}: column {column} must become {after} (was {before}), and {destination} cannot"
            " change a column's type; declare the column in the definition, or use --full-refresh"
        )
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
