"""dlt with nothing to ask for, to parse or to compare: what a load through it costs at the least.

    python -m tests.benchmarks.speed.dlt_finished keep DATABASE FOLDER
    python -m tests.benchmarks.speed.dlt_finished load FOLDER WHERE

`keep` writes every table of a DuckDB file into FOLDER as Parquet; `load` gives them to dlt as Arrow, one table
after the other, and dlt loads them into a new DuckDB file in WHERE, with the settings of `oa-sync`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.dlt_rest_api import DATABASE

ROWS_A_BATCH = 50_000


def keep(database: str, folder: Path) -> None:
    """Every table as a Parquet file of its name."""
    import duckdb

    folder.mkdir()
    with duckdb.connect(database, read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            connection.execute(f"COPY {table} TO '{folder / table}.parquet'")


def load(folder: Path, where: Path) -> None:
    """One package with all tables."""
    import dlt
    import pyarrow.parquet as pq

    def batches(file: Path) -> Iterator[Any]:
        with pq.ParquetFile(file) as tables:
            yield from tables.iter_batches(ROWS_A_BATCH)

    dlt.config["restore_from_destination"] = False
    pipeline = dlt.pipeline(
        "finished",
        pipelines_dir=str(where / "pipelines"),
        destination=dlt.destinations.duckdb(str(where / DATABASE)),
        dataset_name="openanalyst",
    )
    pipeline.run(
        [dlt.resource(batches(file), name=file.stem) for file in sorted(folder.glob("*.parquet"))],
        loader_file_format="parquet",
    )


def main(arguments: list[str]) -> None:
    match arguments:
        case ["keep", database, folder]:
            keep(database, Path(folder))
        case ["load", folder, where]:
            load(Path(folder), Path(where))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
