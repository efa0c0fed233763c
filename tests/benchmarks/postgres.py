"""Report rows into PostgreSQL, beside a plain COPY of the same rows from CSV into the same kind of table.

    python -m tests.benchmarks.postgres [ROWS]

Prints seconds: the COPY alone (the bound), a first load of ROWS rows (default 1,000,000) as the target does
it, with staging and indexes, and a second load that replaces every row.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv as csv

from oa_sync.load.postgres import Postgres
from oa_sync.settings import Settings
from oa_sync.tables.batches import WORKSPACE, Batch, TableHints
from tests.support.postgres import running_postgres

ROWS_A_REPORT = 5_000
ROWS_A_BATCH = 50_000
HINTS = TableHints(
    "report_rows", merge_key=(WORKSPACE, "report_id"), columns={"row": {"data_type": "json"}}
)


def rows(start: int, stop: int) -> pa.Table:
    """Rows of about 190 bytes of JSON each."""
    numbers = range(start, stop)
    texts = [
        json.dumps(
            {
                "order_id": number,
                "customer": f"customer number {number % 9973}",
                "region": ("north", "south", "east", "west")[number % 4],
                "amount": number * 1.25,
                "paid": number % 3 == 0,
                "note": "a sentence of a length that notes in reports have, more or less",
                "day": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            }
        )
        for number in numbers
    ]
    return pa.table(
        {
            WORKSPACE: pa.array(["default"] * len(texts)),
            "report_id": pa.array([f"rpt_{number // ROWS_A_REPORT:08d}" for number in numbers]),
            "position": pa.array([number % ROWS_A_REPORT for number in numbers]),
            "row": pa.array(texts),
        }
    )


def batches(count: int) -> list[Batch]:
    """`count` rows in batches."""
    return [
        Batch(HINTS, rows(start, min(count, start + ROWS_A_BATCH)))
        for start in range(0, count, ROWS_A_BATCH)
    ]


def plain_copy(url: str, file: Path) -> float:
    """Seconds of COPY from the CSV `file` into a table without an index."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE plain ({WORKSPACE} text, report_id text, position bigint, row jsonb)"
        )
        start = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY plain FROM STDIN (FORMAT csv)") as copy,
            file.open("rb") as source,
        ):
            while block := source.read(1 << 20):
                copy.write(block)
        return time.perf_counter() - start


def seconds(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measured(count: int) -> Iterator[tuple[str, float]]:
    """What was measured: name, seconds."""
    loaded = batches(count)
    with tempfile.TemporaryDirectory() as name, running_postgres(Path(name) / "pg") as server:
        folder = Path(name)
        url = server.create_database("benchmark")
        os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = url
        file = folder / "rows.csv"
        csv.write_csv(
            pa.concat_tables([batch.rows for batch in loaded]),
            file,
            csv.WriteOptions(include_header=False, quoting_style="needed"),
        )
        yield "COPY of the same rows from CSV", plain_copy(url, file)
        with Postgres(Settings(destination="postgres"), folder / "work") as target:
            yield "first load", seconds(lambda: target.load(loaded))
            yield "second load, every row replaced", seconds(lambda: target.load(loaded))


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{count:,} rows", flush=True)
    bound = 0.0
    for name, took in measured(count):
        bound = bound or took
        print(f"{name:35} {took:7.2f} s  {took / bound:5.2f} x", flush=True)


if __name__ == "__main__":
    main()
