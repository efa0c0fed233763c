"""`oa-sync sync`: the main job."""

from __future__ import annotations

import sys
from typing import Any

import click

from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.printing import say_json


@click.command()
@click.argument("resources", nargs=-1, metavar="[RESOURCE]...")
@api_options
@place_options
@click.option(
    "--report-rows", type=click.Choice(["json", "typed", "tables"]), help="Default: json."
)
@click.option(
    "--full-scan-days",
    type=float,
    metavar="DAYS",
    help="How often lists are read whole though their rest is known; 7.",
)
@click.option(
    "--grace-seconds",
    type=float,
    metavar="SECONDS",
    help="How long Parquet files on a disk keep what they replace, for readers; 300.",
)
@click.option("--full-refresh", is_flag=True, help="Ask for every detail again.")
@click.option("--history", is_flag=True, help="Keep every version of every row, from now on.")
@click.option(
    "--retry-set-aside", is_flag=True, help="Load what was set aside because it failed to load."
)
@click.option(
    "--allow-mass-delete",
    is_flag=True,
    help="Mark the rows as deleted that an earlier sync kept because they were too many at once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def sync(
    resources: tuple[str, ...],
    full_refresh: bool,
    history: bool,
    retry_set_aside: bool,
    allow_mass_delete: bool,
    as_json: bool,
    log_format: str,
    verbose: bool,
    **flags: Any,
) -> None:
    """Bring the destination up to date.

    Names of RESOURCEs limit the sync to these. Run it again at any time: it goes on where it stopped,
    and asks only for what is new or changed.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.cli.process import give_memory_back, spare_sqlalchemy
    from oa_sync.cli.progress import Progress
    from oa_sync.commands.sync import sync as run
    from oa_sync.errors import LockHeldError
    from oa_sync.settings import resolve
    from oa_sync.workspace.report import SyncReport, log_outcome

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    give_memory_back()
    if settings.destination == "duckdb":
        spare_sqlalchemy()
    with Progress(enabled=log_format == "text") as progress:
        try:
            report = run(
                settings,
                resources,
                full_refresh=full_refresh,
                history=history,
                retry_set_aside=retry_set_aside,
                allow_mass_delete=allow_mass_delete,
                progress=progress,
            )
        except LockHeldError as error:
            if not as_json:
                raise
            report = SyncReport.not_started(settings.workspace, error)
    if log_format == "json":
        log_outcome(report)
    if as_json:
        say_json(report.as_json())
    else:
        from oa_sync.cli.render import print_report

        print_report(report)
    sys.exit(report.exit_code)
