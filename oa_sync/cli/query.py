"""`oa-sync query`: run SQL at the API and load the result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.printing import cell, say_json, screen

if TYPE_CHECKING:
    from oa_sync.commands.results.on_request import ResultReport


@click.command()
@click.argument("dataset_id", metavar="DATASET_ID")
@click.argument("sql", metavar="SQL")
@click.option("--table", required=True, metavar="NAME", help="The table is query_NAME.")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Puts VALUE, as a literal, where the SQL has :NAME. May be repeated.",
)
@click.option("--append", is_flag=True, help="Keep the rows that the table has.")
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(1),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long the query may take.",
)
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def query(
    dataset_id: str,
    sql: str,
    table: str,
    parameters: tuple[str, ...],
    append: bool,
    seconds: int,
    as_json: bool,
    log_format: str,
    verbose: bool,
    **flags: Any,
) -> None:
    """Run SQL on a dataset and load the result as the table query_NAME.

    The rows of an earlier result are replaced, unless --append. The query is sent once: if no answer
    comes, the message says that it may be running.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.cli.progress import Progress
    from oa_sync.commands.query import query as run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    with Progress(enabled=log_format == "text") as progress:
        report = run(
            settings,
            dataset_id,
            sql,
            table,
            parameters=parameters,
            append=append,
            seconds=seconds,
            heard=lambda polls: progress("list", f"polls of {table}", polls, None),
        )
    print_result(report, as_json=as_json)
    sys.exit(report.exit_code)


def print_result(report: ResultReport, *, as_json: bool) -> None:
    """Print the report of a result to stdout: one JSON object, or some lines for people."""
    if as_json:
        say_json(report.as_json())
        return
    console = screen()
    if report.error is None:
        console.print(f"{cell(report.table)}: {report.count:,} rows", soft_wrap=True)
    for change in report.drift:
        was = f"was {change['before']}, now" if change["before"] else "new column,"
        line = f"schema: {change['table']}.{change['column']}: {was} {change['after']}"
        console.print(cell(line), soft_wrap=True)
    console.print(f"requests: {report.requests.made:,}")
    if report.error is not None:
        console.print(f"{report.status}: {cell(str(report.error))}", soft_wrap=True)
