"""Tables as dictionaries, loaded by the same batches as a lake; and a lake as any reader sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from oa_sync.clock import Clock
from oa_sync.load.lake import Lake
from oa_sync.settings import Settings
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, Batch, TableHints

INSTANT = datetime(2026, 3, 2, 9, tzinfo=UTC)
Row = dict[str, Any]


def settings_for(bucket_url: object, workspace: str = "default", **changes: Any) -> Settings:
    return Settings(
        destination="parquet",
        bucket_url=str(bucket_url),
        dataset_name="data",
        workspace=workspace,
        **changes,
    )


def lake(
    bucket_url: object,
    workdir: Path,
    workspace: str = "default",
    target_bytes: int = 1 << 26,
    clock: Clock | None = None,
    **changes: Any,
) -> Lake:
    settings = settings_for(bucket_url, workspace, **changes)
    return Lake(settings, workdir, clock, target_bytes=target_bytes)


def batch(hints: TableHints, rows: Sequence[Row], types: Mapping[str, str]) -> Batch:
    """Rows as a batch with the columns that `types` (dlt data types) names."""
    columns = {
        name: pa.array([row.get(name) for row in rows], ARROW_TYPES[data_type])
        for name, data_type in types.items()
    }
    described = {
        name: {"x-oa-path": name, **({"data_type": "json"} if data_type == "json" else {})}
        for name, data_type in types.items()
        if not name.startswith("_oa")
    }
    return Batch(
        TableHints(hints.name, hints.primary_key, hints.merge_key, described), pa.table(columns)
    )


def parents(rows: Sequence[Row], workspace: str = "default", **types: str) -> Batch:
    """Rows of the table `reports`: `id`, what `types` names and the system columns."""
    hints = TableHints("reports", primary_key=(WORKSPACE, "id"))
    full = [{WORKSPACE: workspace, "_oa_synced_at": INSTANT, **row} for row in rows]
    system = {WORKSPACE: "text", "_oa_synced_at": "timestamp", DELETED_AT: "timestamp"}
    versions = {"_oa_version": "text", "_oa_row_hash": "text", "_oa_detail_version": "text"}
    return batch(hints, full, {"id": "text", **types, **system, **versions})


def children(rows: Mapping[str, Sequence[Any]], workspace: str = "default") -> Batch:
    """All rows of some parents in the table `report_rows`."""
    hints = TableHints("report_rows", merge_key=(WORKSPACE, "report_id"))
    flat: list[Row] = []
    for parent, values in rows.items():
        key = {WORKSPACE: workspace, "report_id": parent}
        flat += [{**key, "position": n, "row": value} for n, value in enumerate(values)]
    types = {"report_id": "text", "position": "bigint", "row": "json", WORKSPACE: "text"}
    return batch(hints, flat, types)


def childless(*parents: str) -> Batch:
    """Removes what `parents` have in the table `report_rows`."""
    hints = TableHints("report_rows", merge_key=(WORKSPACE, "report_id"))
    keys = [{WORKSPACE: "default", "report_id": parent} for parent in parents]
    found = batch(hints, keys, {WORKSPACE: "text", "report_id": "text"})
    return replace(found, removes=True)


class Model:
    """What the tables must hold after the same loads."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], list[Row]]] = {}

    def load(self, batches: Iterable[Batch]) -> None:
        arrived: dict[str, dict[tuple[Any, ...], list[Row]]] = {}
        for one in batches:
            key = one.hints.primary_key or one.hints.merge_key
            groups = arrived.setdefault(one.hints.name, {})
            for row in one.rows.to_pylist():
                group = groups.setdefault(tuple(row[name] for name in key), [])
                if one.hints.primary_key:
                    group.clear()
                if not one.removes:
                    group.append(row)
        for name, groups in arrived.items():
            self.tables.setdefault(name, {}).update(groups)

    def rows(self, table: str) -> list[Row]:
        """Rows without their nulls: a column that is absent and one that is null are the same."""
        groups = self.tables.get(table, {}).values()
        return canonical(row for group in groups for row in group)


def canonical(rows: Iterable[Row]) -> list[Row]:
    """Rows without nulls, sorted."""
    full = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return sorted(full, key=lambda row: sorted((k, str(v)) for k, v in row.items()))


def seen_by_duckdb(
    root: str, table: str, filesystem: Any = None, union_by_name: bool = False
) -> list[Row]:
    """What `read_parquet('<table>/*.parquet')` gives."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if filesystem is not None:
            connection.register_filesystem(filesystem)
        glob = f"{root}/data/{table}/*.parquet"
        query = f"FROM read_parquet('{glob}', union_by_name = {union_by_name})"
        return canonical(connection.sql(query).to_arrow_table().to_pylist())


def seen_by_pyarrow(root: str, table: str, filesystem: Any = None) -> list[Row]:
    """What a `pyarrow.dataset` over the folder gives."""
    dataset = ds.dataset(f"{root}/data/{table}", filesystem=filesystem, format="parquet")
    return canonical(dataset.to_table().to_pylist())
