"""`oa-sync status`: the last syncs, rows, backlog and the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.facts import fact_grid, plain_table, quota_facts
from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.printing import cell, say_json, screen
from oa_sync.clock import isoformat

if TYPE_CHECKING:
    from rich.table import Table

    from oa_sync.commands.status import Status


@click.command()
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def status(as_json: bool, log_format: str, verbose: bool, **flags: Any) -> None:
    """Show the last syncs, rows, backlog and the quota.

    Sends no request and needs no key; without one, the quota is not known.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.commands.status import status as run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    result = run(settings)
    if as_json:
        say_json(result.as_json())
    else:
        _print_status(result)


def _print_status(status: Status) -> None:
    console = screen()
    title = f"workspace {status.workspace} in {status.destination}"
    place = f": {status.place}" if status.place != status.destination else ""
    console.print(cell(title + place), "", soft_wrap=True)
    if status.running:
        console.print(f"[yellow]busy:[/yellow] {cell(status.running)}", soft_wrap=True)
    if status.syncs:
        console.print(_syncs_table(status), "")
    elif status.tables is not None:
        console.print("nothing was synced yet: run `oa-sync sync`", "")
    if status.tables:
        console.print(_rows_table(status), "")
    for row in status.set_aside:
        place = f"{row['where']} ({row['key']})" if row["key"] else row["where"]
        line = cell(f"{row['resource']}: {place}: {row['reason']}")
        console.print(f"[yellow]set aside:[/yellow] {line}", soft_wrap=True)
    for warning in status.warnings:
        whose = f"{warning['resource']}: " if warning["resource"] else ""
        line = cell(f"{whose}{warning['message']}")
        console.print(f"[yellow]warning:[/yellow] {line}", soft_wrap=True)
    facts: list[tuple[str, object]] = []
    if status.pending_segments and not status.running:
        waits = f"{status.pending_segments:,} segments; the next sync loads them first"
        facts.append(("fetched, not loaded", waits))
    if status.segments_set_aside:
        waits = f"{len(status.segments_set_aside):,} segments; `oa-sync sync --retry-set-aside` loads them"
        facts.append(("set aside", waits))
    if status.quota is not None:
        facts += quota_facts(status.quota, 0)
    else:
        facts.append(("quota", status.quota_note))
    console.print(fact_grid(facts))


def _syncs_table(status: Status) -> Table:
    table = plain_table("last syncs", "status", "requests", "rows", "backlog", "took", left=2)
    for sync in status.syncs:
        started, finished = sync["started_at"], sync["finished_at"]
        took = f"{(finished - started).total_seconds():,.1f} s" if finished else ""
        code = f" ({sync['error_code']})" if sync["status"] == "failed" else ""
        numbers = (sync[name] or 0 for name in ("requests_made", "rows_written", "backlog"))
        table.add_row(
            isoformat(started),
            cell(f"{sync['status']}{code}"),
            *(f"{number:,}" for number in numbers),
            took,
        )
    return table


def _rows_table(status: Status) -> Table:
    table = plain_table("table", "rows", "deleted", "backlog")
    for name, counts in (status.tables or {}).items():
        backlog = "" if counts.backlog is None else f"{counts.backlog:,}"
        table.add_row(cell(name), f"{counts.rows:,}", f"{counts.deleted:,}", backlog)
    return table
