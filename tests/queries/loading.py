"""Results into tables and back, without an API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.result import json_rows
from oa_sync.tables.results import Disposition, Loaded, ResultTable, load_result

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SYSTEM = ("_oa_workspace", "_oa_result", "_oa_synced_at")


class Blocks:
    """`rows` in blocks of `size`; a real block has some megabytes."""

    def __init__(self, rows: Sequence[Any], size: int) -> None:
        self._parts = [rows[i : i + size] for i in range(0, len(rows), size)]

    def blocks(self) -> Iterator[Rows]:
        for part in self._parts:
            yield from json_rows(json.dumps(part).encode(), [()]).blocks()


def settings(destination: str, folder: Path, workspace: str = "default") -> Settings:
    return Settings(
        workspace=workspace,
        destination=destination,
        database=folder / "oa_sync.duckdb",
        bucket_url=str(folder / "lake"),
        home=folder / "home",
    )


def load(
    place: Settings,
    rows: Sequence[Any],
    disposition: Disposition = "replace",
    *,
    key: tuple[str, ...] = (),
    block: int = 2,
    table: str = "query_x",
) -> Loaded:
    with open_target(place, place.home / "dlt") as target:
        where = ResultTable(table, disposition, key)
        return load_result(where, Blocks(rows, block), target, place.workspace, NOW)


def table_of(place: Settings, table: str = "query_x") -> list[dict[str, Any]]:
    """The rows as a reader sees them, without system columns and NULLs, in the order of keys."""
    with open_target(place, place.home / "reading", read_only=True) as target:
        if not target.has_table(table):
            return []
        found = [row for batch in target.batches(table) for row in batch.to_pylist()]
    assert not any("_oa_deleted_at" in row for row in found), "no row of a result is ever marked"
    rows = [
        {name: row[name] for name in row if row[name] is not None and name not in SYSTEM}
        for row in found
        if row["_oa_workspace"] == place.workspace
    ]
    return sorted(rows, key=lambda row: [str(row[k]).zfill(9) for k in row if "position" in k])
