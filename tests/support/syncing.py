"""Running syncs in tests: settings against an emulator, and reading the tables back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from oa_sync.commands.sync import sync
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from tests.support.emulator import KEY


def settings_for(base_url: str, folder: Path, **changes: Any) -> Settings:
    """Settings for an emulator at `base_url`: no limits, everything below `folder`."""
    values: dict[str, Any] = {
        "api_key": KEY,
        "base_url": base_url,
        "rpm": 0,
        "rpd": 0,
        "home": folder / "home",
        "database": folder / "oa_sync.duckdb",
        **changes,
    }
    return Settings(**values)


def run_sync(settings: Settings, *resources: str, **options: Any) -> SyncReport:
    """A sync that must not have failed."""
    report = sync(settings, resources, **options)
    assert report.status != "failed", report.error
    return report


def query(settings: Settings, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Rows of a query; the dataset is the default schema."""
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(f"SET schema = '{settings.dataset_name}'")
        return connection.execute(sql, list(parameters)).fetchall()


def rows_of(settings: Settings, table: str) -> list[dict[str, Any]]:
    """All rows of `table` as mappings, in no order."""
    with duckdb.connect(str(settings.database)) as connection:
        found = connection.execute(f'SELECT * FROM "{settings.dataset_name}"."{table}"')
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
