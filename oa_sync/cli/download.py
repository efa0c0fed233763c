"""`oa-sync download`: an export of a dataset, fetched and loaded."""

from __future__ import annotations

import sys
from typing import Any, Literal

import click

from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.query import print_result


@click.command()
@click.argument("dataset_id", metavar="DATASET_ID")
@click.option("--table", required=True, metavar="NAME", help="The table is export_NAME.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "json"]),
    default="parquet",
    show_default=True,
    help="Of the file; parquet knows its types.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows with this value. May be repeated.",
)
@click.option(
    "--download-host",
    "download_hosts",
    multiple=True,
    envvar="OA_SYNC_DOWNLOAD_HOSTS",
    metavar="HOST",
    help="A host, or *.DOMAIN, that the file may come from beside the API's. May be repeated.",
)
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(1),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="How long the API may take to make the file.",
)
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def download(
    dataset_id: str,
    table: str,
    form: Literal["parquet", "csv", "json"],
    filters: tuple[str, ...],
    download_hosts: tuple[str, ...],
    seconds: int,
    as_json: bool,
    log_format: str,
    verbose: bool,
    **flags: Any,
) -> None:
    """Let the API export a dataset, and load the file as the table export_NAME.

    For the cursor dialect. The rows of an earlier export are replaced. The file comes from the URL that
    the API signs, without the key; these requests are told and count in no quota.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.cli.progress import Progress
    from oa_sync.commands.download import download as run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    with Progress(enabled=log_format == "text") as progress:
        report = run(
            settings,
            dataset_id,
            form,
            table,
            filters=filters,
            download_hosts=download_hosts,
            seconds=seconds,
            heard=lambda polls: progress("list", f"polls of {table}", polls, None),
        )
    print_result(report, as_json=as_json)
    sys.exit(report.exit_code)
