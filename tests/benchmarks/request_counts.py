"""Requests of a sync, by the server's count: this project beside dlt's `rest_api` source.

    python tests/benchmarks/requests.py --reports 5000 --changed 50

Each tool syncs the same workspace into DuckDB, three or four times: all of it, with nothing changed, and
with some reports changed; then one report is deleted and one added. `dlt rest_api` is run as its
documentation shows (a list, and a detail for each row), without and with `incremental` on the list.
The figures of Airbyte and Singer were measured once with the same workspace (airbyte-cdk with client-side
incremental and `incremental_dependency`; singer-sdk with a replication key) and are printed beside.

Exits 1 if this project needs more than its limits: pages + reports + 1 at first, pages + changed after
changes, pages when nothing changed; where the latest change stands first, 3 + changed and 2.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.synthetic import Size, synthetic_workspace
from tests.support.emulator import KEY, emulator
from tests.support.syncing import query, run_sync, settings_for

PAGE = 100
ELSEWHERE = (
    ("airbyte-cdk, incremental", "5,052", "–", "143"),
    ("singer-sdk", "5,050", "–", "5,050"),
)


@dataclass(frozen=True)
class Tool:
    """`sync(server, folder)` runs it once; `ids(folder)` are the reports it takes for living."""

    name: str
    order: str
    sync: Callable[[RunningEmulator, Path], None]
    ids: Callable[[Path], set[str]]


@dataclass(frozen=True)
class Outcome:
    """Requests of each sync, and whether the last one left the ids that the API has."""

    tool: Tool
    first: int
    unchanged: int
    changed: int
    deleted: int
    is_equal: bool


def measure(tool: Tool, reports: int, changed: int) -> Outcome:
    """Run `tool` on a fresh workspace through all four situations."""
    workspace = synthetic_workspace(Size(reports=reports, rows=20))
    with (
        tempfile.TemporaryDirectory() as name,
        emulator(workspace, dialect="page", order=tool.order) as server,
    ):
        folder, state = Path(name), server.state

        def requests() -> int:
            state.counters.reset()
            tool.sync(server, folder)
            return state.counters.total

        first, unchanged = requests(), requests()
        state.touch(changed)
        after_changes = requests()
        state.delete("reports", state.ids("reports")[reports // 2])
        state.insert("reports")
        deleted = requests()
        is_equal = tool.ids(folder) == set(state.ids("reports"))
    return Outcome(tool, first, unchanged, after_changes, deleted, is_equal)


# -- the tools --------------------------------------------------------------------------------------


def ours(order: str) -> Tool:
    """This project; `order` is that of the server's lists."""

    def sync(server: RunningEmulator, folder: Path) -> None:
        run_sync(settings_for(server.base_url, folder), "reports")

    def ids(folder: Path) -> set[str]:
        settings = settings_for("http://127.0.0.1/v1", folder)
        found = query(settings, "SELECT id FROM reports WHERE _oa_deleted_at IS NULL")
        return {key for (key,) in found}

    name = "oa-sync" if order == "stored" else "oa-sync, latest change first"
    return Tool(name, order, sync, ids)


def rest_api(*, incremental: bool) -> Tool:
    """dlt's `rest_api` source with a list, and a detail for each row of it."""

    def sync(server: RunningEmulator, folder: Path) -> None:
        import dlt

        pipeline = dlt.pipeline(
            "requests",
            pipelines_dir=str(folder / "dlt"),
            destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
            dataset_name="synced",
        )
        source = _source(server.base_url, incremental=incremental)
        pipeline.run(source, loader_file_format="parquet")

    def ids(folder: Path) -> set[str]:
        import duckdb

        with duckdb.connect(str(folder / "dlt.duckdb")) as connection:
            return {key for (key,) in connection.sql("SELECT id FROM synced.reports").fetchall()}

    name = "dlt rest_api, incremental" if incremental else "dlt rest_api"
    return Tool(name, "stored", sync, ids)


def _source(base_url: str, *, incremental: bool) -> Any:
    from dlt.sources.rest_api import rest_api_source

    listing: dict[str, Any] = {
        "path": "reports",
        "params": {"per_page": PAGE},
        "data_selector": "data",
        "paginator": {"type": "page_number", "base_page": 1, "total_path": "meta.total_pages"},
    }
    if incremental:
        listing["incremental"] = {
            "cursor_path": "updated_at",
            "initial_value": "1970-01-01T00:00:00Z",
        }
    detail = {"path": "reports/{resources.reports.id}", "data_selector": "$"}
    return rest_api_source(
        {
            "client": {"base_url": base_url, "auth": {"type": "bearer", "token": KEY}},
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [
                {"name": "reports", "endpoint": listing},
                {"name": "report_details", "endpoint": detail},
            ],
        },
        max_table_nesting=0,
    )


# -- the table --------------------------------------------------------------------------------------


def is_within(outcome: Outcome, reports: int, changed: int) -> bool:
    """Whether this project kept to what it promises."""
    pages = -(-reports // PAGE)
    ordered = outcome.tool.order != "stored"
    again, unchanged = (3, 2) if ordered else (pages, pages)
    return (
        outcome.is_equal
        and outcome.first <= pages + reports + 1
        and outcome.changed <= again + changed
        and outcome.unchanged <= unchanged
    )


def show(outcomes: list[Outcome], reports: int, changed: int) -> None:
    """Print the table, in Markdown."""
    print(
        f"| {reports:,} reports | first | unchanged | {changed} changed | 1 deleted, 1 new | equal |"
    )
    print("|---|---:|---:|---:|---:|---|")
    for one in outcomes:
        numbers = " | ".join(
            f"{count:,}" for count in (one.first, one.unchanged, one.changed, one.deleted)
        )
        print(f"| {one.tool.name} | {numbers} | {'yes' if one.is_equal else 'no'} |")
    for name, first, unchanged, after in ELSEWHERE:
        print(
            f"| {name} (5,000 and 50, measured elsewhere) | {first} | {unchanged} | {after} | – | – |"
        )


def main() -> int:
    """Measure and print; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description="Requests of a sync beside dlt's rest_api.")
    parser.add_argument("--reports", type=int, default=5000)
    parser.add_argument("--changed", type=int, default=50)
    parser.add_argument("--without-dlt", action="store_true", help="this project alone")
    asked = parser.parse_args()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    tools = [ours("stored"), ours("updated_desc")]
    if not asked.without_dlt:
        tools += [rest_api(incremental=False), rest_api(incremental=True)]
    outcomes = [measure(tool, asked.reports, asked.changed) for tool in tools]
    show(outcomes, asked.reports, asked.changed)
    kept = [is_within(one, asked.reports, asked.changed) for one in outcomes[:2]]
    return 0 if all(kept) else 1
