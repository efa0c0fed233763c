"""`oa-sync export`: the loaded tables as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oa_sync.cli.options import place_options
from oa_sync.cli.printing import say, say_cells, say_json


@click.command()
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def export(to: Path, as_json: bool, **flags: Any) -> None:
    """Write every loaded table to DIR/<table>/*.parquet: one current row per key.

    Needs no key and sends no request. Files that are there already are replaced whole.
    """
    from oa_sync.commands.export import export as run
    from oa_sync.settings import resolve

    counts = run(resolve(flags), to)
    if as_json:
        say_json({"folder": str(to), "rows": counts}, indent=False)
        return
    for table, rows in counts.items():
        say_cells(table, f"{rows:,} rows")
    say(f"written to {to}")
