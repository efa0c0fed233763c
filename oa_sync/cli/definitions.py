"""`oa-sync resources` and `oa-sync validate`: what a definition declares, and whether it is right."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.options import definition_options, grant_options
from oa_sync.cli.printing import cell, say, say_cells, say_json, screen

if TYPE_CHECKING:
    from oa_sync.definitions.model import Definition
    from oa_sync.definitions.summary import ResourceSummary
    from oa_sync.workspace.access import Access

_dialect = click.option(
    "--dialect",
    type=click.Choice(["auto", "page", "cursor"]),
    help="Which built-in definition; auto without a request is page.",
)
_base_url = click.option("--base-url", metavar="URL", help="API address of the settings.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@definition_options
@_base_url
@_dialect
@_json
def resources(as_json: bool, **flags: Any) -> None:
    """Show the declared resources: paths, keys, cursor, children and what they cost.

    No key, no request. On a terminal a table; in a pipe one tab-separated line a resource. What a sync would send to
    which host is told on stderr.
    """
    from oa_sync.definitions.summary import summarise

    access, definition = _find(flags)
    summaries = summarise(definition)
    if as_json:
        _print_json(access, definition, summaries)
        return
    if sys.stdout.isatty():
        _print_table(definition, summaries)
    else:
        say_cells(*(title for title, _ in _COLUMNS))
        for summary in summaries:
            say_cells(*_cells(summary))
    _tell_sends(access)


@click.command()
@click.argument("file")
@grant_options
@_base_url
@_dialect
@_json
def validate(file: str, as_json: bool, **flags: Any) -> None:
    """Check a definition FILE (or the name of a built-in one).

    Every error is told at once, with file, line and what would be valid; the exit code is then 2.
    Environment variables that the file names must be set. What a sync would send to which host is told on stderr;
    nothing is sent, and nothing has to be granted.
    """
    from oa_sync.definitions.summary import summarise
    from oa_sync.errors import DefinitionError

    try:
        access, definition = _find({**flags, "source": file})
    except DefinitionError as error:
        if as_json:
            say_json({"status": "invalid", "problems": error.problems}, indent=False)
        raise
    if as_json:
        _print_json(access, definition, summarise(definition))
        return
    tables = [table for resource in definition.resources for table in resource.tables()]
    tables += [query.table for query in definition.queries]
    counted = f"{len(definition.resources)} resources"
    if definition.queries:
        counted += f", {len(definition.queries)} queries"
    say(f"ok: {counted}, {len(tables)} tables: {', '.join(tables)}")
    _tell_sends(access)


def _tell_sends(access: Access) -> None:
    """Say on stderr what a sync would send where, a line each."""
    for name, host in access.sends():
        say(f"sends {name} to {host}", err=True)


def _find(flags: dict[str, Any]) -> tuple[Access, Definition]:
    from oa_sync.settings import resolve
    from oa_sync.workspace.access import find_access

    settings = resolve(flags)
    access = find_access(settings, "cursor" if settings.dialect == "cursor" else "page")
    assert access.definition is not None, "a definition is loaded for a dialect"
    return access, access.definition


_COLUMNS: tuple[tuple[str, str], ...] = (
    ("resource", "name"),
    ("list", "list_path"),
    ("detail", "detail_path"),
    ("key", "primary_key"),
    ("cursor", "cursor"),
    ("child tables", "children"),
    ("write", "write_disposition"),
    ("paginator", "paginator"),
    ("requests", "cost"),
)


def _cells(summary: ResourceSummary) -> list[str]:
    """The values of `_COLUMNS` as text; `-` for none."""
    cells = []
    for _, attribute in _COLUMNS:
        value = getattr(summary, attribute)
        text = ", ".join(value) if isinstance(value, tuple) else value or ""
        cells.append(text or "-")
    if summary.optional:
        cells[1] += " (optional)"
    return cells


def _print_table(definition: Definition, summaries: tuple[ResourceSummary, ...]) -> None:
    from rich.table import Table

    table = Table(title=cell(definition.name), title_justify="left")
    for title, _ in _COLUMNS:
        table.add_column(title, overflow="fold")
    for summary in summaries:
        table.add_row(*map(cell, _cells(summary)))
    screen().print(table)


def _print_json(
    access: Access, definition: Definition, summaries: tuple[ResourceSummary, ...]
) -> None:
    from dataclasses import asdict

    own = definition.client.base_url
    whole = {
        "status": "ok",
        "name": definition.name,
        "base_url": None if own is None else access.masked(own),
        "sends": [{"name": name, "host": host} for name, host in access.sends()],
        "resources": [asdict(summary) for summary in summaries],
        "queries": [{"name": query.name, "table": query.table} for query in definition.queries],
    }
    say_json(whole, indent=False)
