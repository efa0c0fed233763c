"""`oa-sync runs`: start agent runs, register ids of others, list what is known."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

from oa_sync.cli.options import api_options, definition_options, log_options, place_options
from oa_sync.cli.printing import cell, say, say_json, screen

if TYPE_CHECKING:
    from oa_sync.commands.runs.list import RunLine
    from oa_sync.commands.runs.start import StartedRun


@click.group()
def runs() -> None:
    """Agent runs: start them, let the sync know of them, see what is known.

    The API may not list its runs. A sync follows every run that it has heard of until the run ends.
    """


@runs.command()
@click.option("--agent", required=True, metavar="ID", help="Which agent.")
@click.option("--task", required=True, metavar="TEXT", help="What it shall do.")
@click.option("--context", metavar="JSON", help="A JSON object for the agent, as dataset_id.")
@click.option("--webhook-url", metavar="URL", help="Called by the API when the run ends.")
@click.option("--wait", is_flag=True, help="Poll, within the quota, until the run has ended.")
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(1),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def start(
    agent: str,
    task: str,
    context: str | None,
    webhook_url: str | None,
    wait: bool,
    seconds: int,
    as_json: bool,
    log_format: str,
    verbose: bool,
    **flags: Any,
) -> None:
    """Start an agent run and print its id. The next sync follows it, also without --wait.

    The request is sent once: if no answer comes, the message says that the run may have been started.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.cli.progress import Progress
    from oa_sync.commands.runs.start import RunRequest, start_run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    request = RunRequest(agent, task, _context(context), webhook_url)

    def tell(run: StartedRun) -> None:
        if not as_json:
            say(run.run_id)

    with Progress(enabled=log_format == "text") as progress:
        run = start_run(
            settings,
            request,
            wait_seconds=seconds if wait else None,
            started=tell,
            polled=lambda polls, status: progress("list", f"run: {status or '?'}", polls, None),
        )
    if as_json:
        say_json(run.as_json())
    elif wait:
        say(run.status or "no status")


@runs.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--file",
    "source",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="One id a line; - is stdin.",
)
@click.option("--sql", metavar="SELECT", help="Ids from the first column of a query.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def add(
    ids: tuple[str, ...], source: TextIO | None, sql: str | None, as_json: bool, **flags: Any
) -> None:
    """Let the next sync know of runs by their ids. Sends no request and waits for no sync.

    An ID of - reads ids from stdin, one a line. --sql asks the destination, whatever it is. A source
    that has none registers none.
    """
    from oa_sync.clock import Clock
    from oa_sync.commands.runs.list import checked_ids, ids_of_query
    from oa_sync.errors import ConfigurationError
    from oa_sync.extract.runs.known import Announcement
    from oa_sync.settings import resolve
    from oa_sync.workspace.announced import register

    if not ids and source is None and sql is None:
        raise ConfigurationError("no run id: name some, or give --file or --sql")
    settings, clock = resolve(flags), Clock()
    given = [line for one in ids for line in (sys.stdin if one == "-" else [one])]
    given.extend(source or ())
    queried = ids_of_query(settings, sql) if sql is not None else []
    found = checked_ids([*given, *queried])
    named = {text.strip() for text in given}
    now = clock.now()
    register(
        settings,
        clock,
        (Announcement(each, now, "add" if each in named else "sql") for each in found),
    )
    if as_json:
        say_json({"registered": len(found), "run_ids": found})
    else:
        say(f"{len(found):,} registered; the next sync of {settings.workspace!r} asks")


@runs.command("list")
@click.option("--dialect", type=click.Choice(["auto", "page", "cursor"]), help="Default: auto.")
@definition_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def list_(as_json: bool, **flags: Any) -> None:
    """Show the runs known here, loaded or registered. Sends no request and needs no key."""
    from oa_sync.commands.runs.list import list_runs
    from oa_sync.settings import resolve

    lines = list_runs(resolve(flags))
    if as_json:
        say_json({"runs": [line.as_json() for line in lines]})
    else:
        _print_lines(lines)


def _context(text: str | None) -> dict[str, Any] | None:
    import json

    if text is None:
        return None
    try:
        context = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--context is not JSON: {error}") from None
    if not isinstance(context, dict):
        raise click.UsageError('--context is not a JSON object, such as {"dataset_id": "ds_1"}')
    return context


def _print_lines(lines: list[RunLine]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "status", "state", "first seen", "by", "last seen", "asked again"):
        table.add_column(name, no_wrap=True)
    for line in lines:
        instants = (line.first_seen_at, line.observed_at, line.due_at)
        first, last, due = (f"{at:%Y-%m-%d %H:%M}" if at else "" for at in instants)
        table.add_row(
            cell(line.run_id),
            cell(line.status or ""),
            line.state,
            first,
            line.first_seen_by,
            last,
            due,
        )
    # Ids are for copying: neither a screen nor a pipe cuts them.
    screen(width=1_000).print(table, soft_wrap=True)
