"""The table `syncs`: one row for each sync, the summary as columns and as JSON."""

from __future__ import annotations

from datetime import datetime

import orjson
import pyarrow as pa

from oa_sync.clock import instant_of
from oa_sync.tables.batches import INSTANT, WORKSPACE, Batch, TableHints
from oa_sync.tables.target import Target
from oa_sync.workspace.report import SyncReport

TABLE = "syncs"

LOOKED_AT = 20
"""How many syncs are looked at. A list that none of them read counts as never read."""


def syncs_batch(report: SyncReport) -> Batch:
    """The row of `report`, as far as it is known: it is written with the last rows of the sync."""
    summary = report.as_json()
    requests, tallies = report.requests, report.tallies.values()
    columns = {
        WORKSPACE: pa.array([report.workspace]),
        "sync_id": pa.array([report.sync_id]),
        "status": pa.array([report.status]),
        "exit_code": pa.array([report.exit_code], pa.int64()),
        "dialect": pa.array([report.dialect]),
        "started_at": pa.array([report.started_at], INSTANT),
        "finished_at": pa.array([report.finished_at], INSTANT),
        "requests_made": pa.array([requests.made], pa.int64()),
        "requests_retried": pa.array([requests.retried], pa.int64()),
        "requests_rate_limited": pa.array([requests.rate_limited], pa.int64()),
        "rows_written": pa.array([sum(report.rows.values())], pa.int64()),
        "backlog": pa.array([sum(t.backlog for t in tallies)], pa.int64()),
        "set_aside": pa.array([sum(len(t.set_aside) for t in tallies)], pa.int64()),
        "error_code": pa.array([report.error.code if report.error else None], pa.string()),
        "error_message": pa.array([str(report.error) if report.error else None], pa.string()),
        "summary": pa.array([orjson.dumps(summary).decode()]),
    }
    hints = TableHints(
        TABLE, primary_key=(WORKSPACE, "sync_id"), columns={"summary": {"data_type": "json"}}
    )
    return Batch(hints, pa.table(columns))


def read_before(target: Target) -> dict[str, datetime]:
    """The server's time when each list was read last by a sync that was complete, by the name of the resource, as
    far as the newest `LOOKED_AT` syncs tell."""
    newest: dict[str, datetime] = {}
    for sync in target.recent(TABLE, ["status", "summary"], "started_at", LOOKED_AT):
        resources = (
            orjson.loads(sync["summary"])["resources"] if sync["status"] == "complete" else {}
        )
        for name, told in resources.items():
            read_at = instant_of(told.get("read_at"))
            if read_at is not None:
                newest[name] = max(read_at, newest.get(name, read_at))
    return newest
