"""A workspace with one dataset whose rows a test chooses, and definitions with queries over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oa_sync.emulator.data import Workspace
from oa_sync.emulator.server import RunningEmulator
from oa_sync.settings import Settings
from tests.support.emulator import workspace_of
from tests.support.syncing import settings_for

Sale = tuple[str, int]


def workspace(*sales: Sale) -> Workspace:
    return workspace_of(
        datasets=[{"id": "ds_1", "name": "sales"}],
        reports=[{"id": "rpt_1", "name": "sales", "dataset_id": "ds_1", "data": rows(*sales)}],
    )


def rows(*sales: Sale) -> list[dict[str, Any]]:
    return [{"day": day, "amount": amount} for day, amount in sales]


def sell(server: RunningEmulator, *sales: Sale) -> None:
    """From now on, these are all the rows of the dataset."""
    server.state.update("reports", "rpt_1", {"data": rows(*sales)})


def definition(folder: Path, dialect: str, *queries: str) -> str:
    """A file with `queries`, each the lines of one (without `dataset_id`)."""
    entries = "".join(
        "  - dataset_id: ds_1\n" + "".join(f"    {line}\n" for line in query.strip().splitlines())
        for query in queries
    )
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\nextends: {dialect}\nqueries:\n{entries}")
    return str(path)


def declared(
    server: RunningEmulator, folder: Path, dialect: str, *queries: str, **changes: Any
) -> Settings:
    source = definition(folder, dialect, *queries)
    return settings_for(server.base_url, folder, dialect=dialect, source=source, **changes)
