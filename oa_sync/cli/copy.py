"""`oa-sync copy`: loads a workspace from one destination into another."""

from __future__ import annotations

from typing import Any

import click

from oa_sync.cli.options import place_options
from oa_sync.cli.printing import say, say_cells, say_json


@click.command()
@click.option("--to", required=True, metavar="NAME", help="The other destination.")
@click.option("--to-database", type=click.Path(), metavar="FILE", help="Its DuckDB file.")
@click.option("--to-bucket-url", metavar="URL", help="Its folder or bucket.")
@click.option("--to-dataset-name", metavar="NAME", help="Its schema. Default: the same.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def copy(
    to: str,
    to_database: str | None,
    to_bucket_url: str | None,
    to_dataset_name: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Load all that a workspace has in one destination into another.

    Needs no key and sends no request. The next sync there goes on from where this one is.
    """
    from oa_sync.commands.copy import copy as run
    from oa_sync.settings import resolve

    others = {
        "destination": to,
        "database": to_database or flags.get("database"),
        "bucket_url": to_bucket_url or flags.get("bucket_url"),
        "dataset_name": to_dataset_name or flags.get("dataset_name"),
    }
    place = resolve({**flags, **others})
    copied = run(resolve(flags), place)
    if as_json:
        left = sorted(copied.left)
        say_json({"destination": to, "rows": copied.rows, "left": left}, indent=False)
        return
    for table, rows in copied.rows.items():
        say_cells(table, f"{rows:,} rows")
    for workspace in sorted(copied.left):
        say(f"workspace {workspace!r} was left: copy it with --workspace {workspace}")
    say(f"copied to {place.place}; sync there from now on with --destination {to}")
