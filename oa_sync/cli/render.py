"""A sync's report for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oa_sync.cli.printing import cell, screen
from oa_sync.clock import isoformat

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from oa_sync.quota.account import Forecast
    from oa_sync.workspace.report import SyncReport

ERRORS_SHOWN = 20


def print_report(report: SyncReport) -> None:
    """Print what the sync did to stdout: a table of resources, rows, requests, then what to do."""
    from rich.table import Table

    console = screen()
    if report.tallies:
        console.print(resource_table(report), "")
    facts = Table.grid(padding=(0, 2))
    # Keeps a name and its number on one line of the screen. In a file it would only hide them from grep.
    gap = "\N{NO-BREAK SPACE}" if console.is_terminal else " "
    written = [f"{cell(name)}{gap}{n:,}" for name, n in sorted(report.rows.items())]
    facts.add_row("rows written", ", ".join(written) or "none")
    facts.add_row("requests", requests_text(report))
    console.print(facts)
    print_problems(console, report)
    when = isoformat(report.finished_at or report.started_at)
    console.print(f"{_coloured(report.status)} in {seconds(report):.1f} s, at {when}")


def resource_table(report: SyncReport) -> Table:
    """What happened to each resource. Lists that the API does not have are named below the table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, caption_justify="left", header_style="dim")
    table.add_column("resource", no_wrap=True)
    for name in ("listed", "new", "changed", "unchanged", "deleted", "details", "backlog"):
        table.add_column(name, justify="right", no_wrap=True)
    missing = []
    for name, tally in report.tallies.items():
        numbers = (
            tally.listed,
            tally.new,
            tally.changed,
            tally.unchanged,
            tally.deleted,
            tally.details_fetched,
            tally.backlog,
        )
        # Rows may be known without a list.
        if tally.missing and not any(numbers):
            missing.append(name)
            continue
        table.add_row(cell(name), *(f"{n:,}" if n else "[dim]0[/dim]" for n in numbers))
    if missing:
        table.caption = f"list not offered by this API: {cell(', '.join(missing))}"
    return table


def requests_text(report: SyncReport) -> str:
    """The requests made and, where there is a limit, what the day has left."""
    requests = report.requests
    text = f"{requests.made:,}"
    asides = [
        f"{number:,} {what}"
        for number, what in (
            (requests.retried, "retried"),
            (requests.rate_limited, "refused with 429"),
        )
        if number
    ]
    if asides:
        text += f" ({', '.join(asides)})"
    return text if requests.left_today is None else f"{text}; {requests.left_today:,} left today"


def print_problems(console: Console, report: SyncReport) -> None:
    """Print changes of the schema, warnings, errors, and what to do; one line each, however long."""
    for change in report.drift:
        was = f"was {change['before']}, now" if change["before"] else "new column,"
        line = f"schema: {change['table']}.{change['column']}: {was} {change['after'] or 'not sent any more'}"
        console.print(cell(line), soft_wrap=True)
    for name, warned in report.warnings():
        line = cell(f"{name}: {warned.message}" if name else warned.message)
        console.print(f"[yellow]warning:[/yellow] {line}", soft_wrap=True)
    errors = [error for tally in report.tallies.values() for error in tally.errors]
    for error in errors[:ERRORS_SHOWN]:
        console.print(f"[red]error:[/red] {cell(str(error))}", soft_wrap=True)
    if len(errors) > ERRORS_SHOWN:
        console.print(f"[red]error:[/red] and {len(errors) - ERRORS_SHOWN:,} more")
    if report.error is not None and report.error not in errors:
        console.print(f"{_coloured(report.status)}: {cell(str(report.error))}", soft_wrap=True)
    if report.next is not None:
        now = report.finished_at or report.started_at
        console.print(next_text(report.next, now), soft_wrap=True)


def next_text(forecast: Forecast, now: datetime) -> str:
    """When to come back and how many days it takes from then on."""
    later = forecast.come_back_at > now
    when = f"come back at {isoformat(forecast.come_back_at)}" if later else "run again at any time"
    if forecast.days_left is None:
        return (
            f"{when}, but with more requests a sync (--max-requests, --reserve, --plan): as it is, the"
            " lists alone take all of them"
        )
    days = "1 day is" if forecast.days_left == 1 else f"{forecast.days_left:,} days are"
    return f"{when}; it goes on from here, and {days} left at one sync a day"


def seconds(report: SyncReport) -> float:
    """How long the sync took."""
    return ((report.finished_at or report.started_at) - report.started_at).total_seconds()


def _coloured(status: str) -> str:
    colour = {"complete": "green", "partial": "yellow", "failed": "red"}[status]
    return f"[{colour}]{status}[/{colour}]"
