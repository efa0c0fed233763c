"""`oa-sync demo`: the whole product in one screen, without a key or a network."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oa_sync.cli.printing import cell, screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from oa_sync.commands.demo import Demo, ReadBack, SourceChange
    from oa_sync.workspace.report import SyncReport


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("oa-sync-demo"),
    show_default=True,
    help="Where its files go; replaced each time.",
)
def demo(folder: Path) -> None:
    """See it work: a sample workspace is served on this machine and mirrored into DuckDB.

    No key, no network. The first sync loads everything; then some things change at the source; the
    second sync asks only for those. Settings and environment are not read, and nothing outside the
    folder is written.
    """
    sys.exit(tell(screen(), folder))


def tell(console: Console, folder: Path) -> int:
    """Run the demo in `folder` and print it to `console`; returns the exit code."""
    from oa_sync.commands.demo import running_demo

    with running_demo(folder) as demo:
        console.print(f"[bold]A sample workspace[/bold] answers at {demo.base_url}\n")
        first = _sync(console, demo, "First sync")
        if first.status != "complete":
            return first.exit_code
        before = demo.read_back()
        _print_changes(console, demo.change_the_source())
        second = _sync(console, demo, "Second sync")
        if second.status != "complete":
            return second.exit_code
        _print_read_back(console, before, demo.read_back())
        _print_files(console, demo)
    return 0


def _sync(console: Console, demo: Demo, title: str) -> SyncReport:
    from oa_sync.cli.progress import Progress
    from oa_sync.cli.render import print_problems, requests_text, resource_table, seconds

    console.print(f"[bold]{title}[/bold]")
    # On a terminal the bars are removed before the next line is printed.
    with Progress() as progress:
        report = demo.sync(progress)
    console.print(resource_table(report))
    console.print(
        f"{report.status} in {seconds(report):.1f} s; requests: {requests_text(report)}; the server"
        f" counted {demo.requests_counted():,}"
    )
    print_problems(console, report)
    console.print()
    return report


def _print_changes(console: Console, changes: list[SourceChange]) -> None:
    console.print("[bold]Now things change at the source[/bold]")
    table = _grid("", "", "")
    for change in changes:
        table.add_row(*map(cell, (change.resource, change.name, change.what)))
    console.print(table)
    console.print()


def _print_read_back(console: Console, before: ReadBack, after: ReadBack) -> None:
    table = _grid("[bold]What stands in DuckDB[/bold]", "first sync", "second sync")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in after.rows:
        had, has = before.rows.get(name, 0), after.rows[name]
        table.add_row(name, f"{had:,}", f"{has:,}", style="" if had == has else "bold")
    table.add_row()
    for what, value in after.values.items():
        table.add_row(what, before.values[what], value, style="bold")
    console.print(table)
    console.print()


def _print_files(console: Console, demo: Demo) -> None:
    database = _from_here(demo.database)
    files = _grid("[bold]Files[/bold]", "")
    files.add_row(cell(str(database)), "the tables, in schema openanalyst")
    files.add_row(cell(f"{database.parent}{os.sep}"), "all of it; delete it at will")
    console.print(files)
    console.print("\n[bold]Try next[/bold], the last two with your key in OPENANALYST_API_KEY")
    for command in next_commands(database):
        console.print("  " + "\n".join(map(cell, command.split("\n"))), soft_wrap=True)


def next_commands(database: Path) -> tuple[str, str, str]:
    """Three lines for a shell in the current folder: look at the tables, then sync a real workspace."""
    python = _from_here(Path(sys.executable))
    script = "oa-sync" if shutil.which("oa-sync") else shlex.quote(str(python.with_name("oa-sync")))
    connect = f"import duckdb; duckdb.connect({str(database)!r})"
    show = ".sql('SELECT name, format, row_count FROM openanalyst.reports').show()"
    if set(connect) & set('"$`\\!'):
        look = shlex.quote(connect + show)
    else:
        # Inside double quotes a shell drops a backslash together with the line's end.
        look = f'"{connect} \\\n      {show}"'
    return f"{shlex.quote(str(python))} -c {look}", f"{script} check", f"{script} sync"


def _from_here(path: Path) -> Path:
    """`path` relative to the current folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _grid(*headers: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=any(headers), header_style="")
    for header in headers:
        table.add_column(header)
    return table
