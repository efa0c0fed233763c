"""`oa-sync export`: every loaded table as clean Parquet files, from any destination, without a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError
from oa_sync.load.lake import export_table
from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from oa_sync.tables.false_marks import without_false_marks
from oa_sync.tables.readings import TABLE as READINGS
from oa_sync.workspace.lock import sync_lock


def export(settings: Settings, folder: Path, clock: Clock | None = None) -> dict[str, int]:
    """Write each table to `folder/<table>/*.parquet`, one current row per key; rows by table.

    Raises:
        ConfigurationError: nothing is loaded there, or the folder is the destination itself.
        LockHeldError: a sync is writing just now.
        DestinationError: the destination cannot be read.
    """
    clock = clock or Clock()
    if settings.destination == "duckdb" and not settings.database.exists():
        raise ConfigurationError(
            f"{settings.database}: no such database; name the one that was synced with --database"
        )
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    workdir = settings.home / "dlt" / f"export-{settings.fingerprint()}"
    counts: dict[str, int] = {}
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), what, clock),
        open_target(settings, workdir, read_only=True) as target,
    ):
        tables = sorted({column.table for column in target.columns()} - {READINGS})
        if not tables:
            raise ConfigurationError(
                f"nothing is loaded in {settings.dataset_name!r} yet: run `oa-sync sync` first"
            )
        for table in tables:
            counts[table] = 0
            rows = without_false_marks(target.batches(table))
            export_table(_counted(rows, table, counts), table, folder, clock)
    return counts


def _counted(
    batches: Iterator[pa.RecordBatch], table: str, counts: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        counts[table] += batch.num_rows
        yield batch
