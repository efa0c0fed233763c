"""SQL over a dataset's rows, in a DuckDB that can reach neither files nor network."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import duckdb

    from oa_sync.emulator.state import EmulatorState

FETCH_ROWS = 10_000
DEFAULT_TIMEOUT_SECONDS = 30
LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "memory_limit": "2GB",
    "threads": "1",
}


class QueryError(Exception):
    """DuckDB refused the query, or it took too long."""


@dataclass(frozen=True, slots=True)
class Table:
    """A result: column names, the rows as the JSON text of a list of objects, and their number."""

    columns: list[str]
    rows: bytes
    row_count: int
    milliseconds: int


@dataclass(slots=True)
class Stored:
    """A result that a client may still ask for, and how many more polls are told that it is not ready."""

    table: Table
    polls_left: int


def rows_of(state: EmulatorState, dataset_id: str) -> bytes | None:
    """The rows (JSON text) of the dataset's first report that has any."""
    with state.lock:
        for record in state.ordering("reports").records():
            if record.light.get("dataset_id") == dataset_id and (
                record.heavy_count or callable(record.heavy)
            ):
                return record.heavy_text("data")
    return None


@contextmanager
def sandbox(rows: bytes | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked in-memory database; `rows` (a JSON list of objects) are in its table `data`."""
    import duckdb

    with duckdb.connect(":memory:", config=LOCKED) as connection:
        if rows is not None:
            _load(connection, rows.decode())
        connection.execute("SET lock_configuration = true")
        yield connection


def run(sql: str, rows: bytes | None, timeout: int | None = None) -> Table:
    """Run `sql` over `rows`, for at most `timeout` seconds. QueryError if that fails."""
    import duckdb

    begin = time.monotonic()
    with sandbox(rows) as connection:
        alarm = threading.Timer(timeout or DEFAULT_TIMEOUT_SECONDS, connection.interrupt)
        alarm.start()
        try:
            cursor = connection.execute(sql)
            columns = _distinct([column[0] for column in cursor.description or ()])
            text, count = _fetch(cursor, columns)
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        finally:
            alarm.cancel()
    return Table(columns, text, count, round((time.monotonic() - begin) * 1000))


def _load(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    # DuckDB finds the types itself: a column that mixes kinds becomes JSON, nothing is dropped.
    found = connection.execute(
        "SELECT CAST(json_group_structure(item) AS VARCHAR) "
        """FROM (SELECT unnest(from_json(?, '["JSON"]')) AS item)""",
        [text],
    ).fetchone()
    structure = str(found[0] if found else "").replace("'", "''")
    connection.execute(
        f"CREATE TABLE data AS SELECT unnest(from_json(?, '[{structure}]'), max_depth := 2)",
        [text],
    )


def _fetch(cursor: Any, columns: list[str]) -> tuple[bytes, int]:
    parts, count = [], 0
    while rows := cursor.fetchmany(FETCH_ROWS):
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        parts.append(_json(objects)[1:-1])
        count += len(rows)
    return b"[" + b",".join(parts) + b"]", count


def _distinct(names: list[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        free, number = name, 2
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        taken.append(free)
    return taken


def _json(objects: list[dict[str, Any]]) -> bytes:
    try:
        return orjson.dumps(objects, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(objects, default=_plain).encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)
