"""A sync's report for people."""

from __future__ import annotations

import sys

from oa_sync.clock import isoformat
from oa_sync.report import SyncReport


def print_report(report: SyncReport) -> None:
    """Print what the sync did to stdout: a table of resources, rows, requests, then what to do."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("resource")
    for name in ("listed", "new", "changed", "unchanged", "deleted", "details", "backlog"):
        table.add_column(name, justify="right")
    for name, tally in report.tallies.items():
        if tally.missing:
            table.add_row(escape(name), "[dim]not offered by this API[/dim]")
            continue
        numbers = (
            tally.listed,
            tally.new,
            tally.changed,
            tally.unchanged,
            tally.deleted,
            tally.details_fetched,
            tally.backlog,
        )
        table.add_row(escape(name), *(f"{number:,}" for number in numbers))
    if report.tallies:
        console.print(table)
    written = ", ".join(
        f"{table_name} {count:,}" for table_name, count in sorted(report.rows.items())
    )
    console.print(f"rows written: {escape(written) or 'none'}")
    requests = report.requests
    left = "" if requests.left_today is None else f", {requests.left_today:,} left today"
    console.print(f"requests: {requests.made:,}{left}")
    for change in report.drift:
        before = change["before"] or "new"
        console.print(
            escape(f"schema: {change['table']}.{change['column']}: {before} -> {change['after']}")
        )
    errors = [error for tally in report.tallies.values() for error in tally.errors]
    for error in errors[:20]:
        console.print(f"[red]error:[/red] {escape(str(error))}")
    if report.error is not None and report.error not in errors:
        console.print(f"[yellow]{report.status}:[/yellow] {escape(str(report.error))}")
    if report.status == "partial" and requests.resets_at is not None:
        console.print(f"run again from {isoformat(requests.resets_at)}; it goes on from here")
    seconds = (
        (report.finished_at - report.started_at).total_seconds() if report.finished_at else 0.0
    )
    console.print(f"{report.status} in {seconds:.1f} s")
