"""`oa-sync resources` and `oa-sync validate`: what a definition declares, and whether it is right."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from oa_sync.cli.printing import cell, say, say_cells, say_json, screen

if TYPE_CHECKING:
    from oa_sync.definitions.model import Definition
    from oa_sync.definitions.summary import ResourceSummary

_dialect = click.option(
    "--dialect",
    type=click.Choice(["auto", "page", "cursor"]),
    help="Which built-in definition; auto without a request is page.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.option("--source", metavar="NAME_OR_FILE", help="Definition; default: the dialect's.")
@_dialect
@_json
def resources(source: str | None, dialect: str | None, as_json: bool) -> None:
    """Show the declared resources: paths, keys, cursor, children and what they cost.

    No key, no request. On a terminal a table; in a pipe one tab-separated line a resource.
    """
    from oa_sync.definitions.summary import summarise

    definition = _load(source, dialect)
    summaries = summarise(definition)
    if as_json:
        _print_json(definition, summaries)
    elif sys.stdout.isatty():
        _print_table(definition, summaries)
    else:
        say_cells(*(title for title, _ in _COLUMNS))
        for summary in summaries:
            say_cells(*_cells(summary))


@click.command()
@click.argument("file")
@_dialect
@_json
def validate(file: str, dialect: str | None, as_json: bool) -> None:
    """Check a definition FILE (or the name of a built-in one).

    Every error is told at once, with file, line and what would be valid; the exit code is then 2.
    Environment variables that the file names must be set.
    """
    from oa_sync.definitions.summary import summarise
    from oa_sync.errors import DefinitionError

    try:
        definition = _load(file, dialect)
    except DefinitionError as error:
        if as_json:
            say_json({"status": "invalid", "problems": error.problems}, indent=False)
        raise
    if as_json:
        _print_json(definition, summarise(definition))
        return
    tables = [table for resource in definition.resources for table in resource.tables()]
    tables += [query.table for query in definition.queries]
    counted = f"{len(definition.resources)} resources"
    if definition.queries:
        counted += f", {len(definition.queries)} queries"
    say(f"ok: {counted}, {len(tables)} tables: {', '.join(tables)}")


def _load(source: str | None, dialect: str | None) -> Definition:
    import os

    from oa_sync.definitions.loader import OPENANALYST, load_definition
    from oa_sync.settings import resolve

    settings = resolve({"source": source, "dialect": dialect})
    return load_definition(
        settings.source or OPENANALYST,
        dialect="cursor" if settings.dialect == "cursor" else "page",
        environ=os.environ,
    )


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


def _print_json(definition: Definition, summaries: tuple[ResourceSummary, ...]) -> None:
    from dataclasses import asdict

    whole = {
        "status": "ok",
        "name": definition.name,
        "base_url": definition.client.base_url,
        "resources": [asdict(summary) for summary in summaries],
        "queries": [{"name": query.name, "table": query.table} for query in definition.queries],
    }
    say_json(whole, indent=False)
