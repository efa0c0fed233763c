"""DuckDB's own JSON reader over the bytes on disk: what a load costs without network, API and dlt.

    python -m tests.benchmarks.speed.duckdb_json describe BYTES
    python -m tests.benchmarks.speed.duckdb_json nested|tables reports|runs BYTES DATABASE [COLUMNS]
    python -m tests.benchmarks.speed.duckdb_json count DATABASE SQL

`nested` makes one table just as it was read, lists of objects inside: the least that DuckDB can do.
`tables` makes the same tables as `oa-sync`. COLUMNS is a file that `describe` printed: with it types are
declared, without it inferred.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

_NESTED = {
    "reports": "CREATE TABLE reports AS SELECT * FROM {source}",
    "runs": "CREATE TABLE runs AS SELECT unnest(data, max_depth := 2) FROM {source}",
}
_TABLES = {
    "reports": """
        CREATE TEMP TABLE bodies AS SELECT * FROM {source};
        CREATE TABLE reports AS SELECT * EXCLUDE data FROM bodies;
        CREATE TABLE report_rows AS SELECT report_id, position, unnest(item) FROM (
            SELECT id AS report_id, generate_subscripts(data, 1) - 1 AS position,
                unnest(data) AS item
            FROM bodies)""",
    "runs": """
        CREATE TEMP TABLE bodies AS SELECT unnest(data, max_depth := 2) FROM {source};
        CREATE TABLE agent_runs AS SELECT * EXCLUDE steps FROM bodies;
        CREATE TEMP TABLE steps AS SELECT run_id, position, unnest(item) FROM (
            SELECT id AS run_id, generate_subscripts(steps, 1) - 1 AS position,
                unnest(steps) AS item
            FROM bodies);
        CREATE TABLE agent_run_steps AS SELECT * EXCLUDE tool_calls FROM steps;
        CREATE TABLE agent_run_tool_calls AS
            SELECT run_id, step_position, position, unnest(item) FROM (
                SELECT run_id, position AS step_position,
                    generate_subscripts(tool_calls, 1) - 1 AS position, unnest(tool_calls) AS item
                FROM steps)""",
}


def _source(bodies: str, columns: str = "") -> str:
    return f"read_json('{bodies}/*.json', format = 'unstructured'{columns})"


def describe(bodies: str) -> str:
    """The columns of the bodies as a person would declare them: what DuckDB infers, but text where it
    saw nothing but null, and 64 bits where it would make room for 128."""
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {_source(bodies)}").fetchall()
    declared = (f"'{name}': '{_declared(kind)}'" for name, kind, *_ in described)
    return f", columns = {{{', '.join(declared)}}}"


def _declared(kind: str) -> str:
    return kind.replace('"NULL"', "VARCHAR").replace("HUGEINT", "BIGINT").replace("'", "''")


def load(how: str, kind: str, bodies: str, database: str, columns: str = "") -> None:
    """Make the tables in a new DuckDB file."""
    statements = {"nested": _NESTED, "tables": _TABLES}[how][kind]
    with duckdb.connect(database) as connection:
        connection.execute(statements.format(source=_source(bodies, columns)))


def count(database: str, sql: str) -> str:
    """The one row of `sql`, as `1,000 / 2,000`."""
    with duckdb.connect(database, read_only=True) as connection:
        row = connection.execute(sql).fetchone()
    return " / ".join(f"{number:,}" for number in row or ())


def main(arguments: list[str]) -> None:
    match arguments:
        case ["describe", bodies]:
            print(describe(bodies))
        case ["nested" | "tables" as how, kind, bodies, database, *columns]:
            load(how, kind, bodies, database, *(Path(name).read_text() for name in columns))
        case ["count", database, sql]:
            print(count(database, sql))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
