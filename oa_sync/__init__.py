"""oa-sync: mirror an OpenAnalyst workspace into DuckDB, Parquet or a warehouse, within its quota.

The public surface, imported when it is used:

    from oa_sync import resolve_settings, sync

    report = sync(resolve_settings({"database": "analytics.duckdb"}))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oa_sync._version import __version__

if TYPE_CHECKING:
    from oa_sync.commands.sync import sync
    from oa_sync.errors import OaSyncError
    from oa_sync.settings import Settings
    from oa_sync.settings import resolve as resolve_settings
    from oa_sync.workspace.report import SyncReport

__all__ = ["OaSyncError", "Settings", "SyncReport", "__version__", "resolve_settings", "sync"]

_PLACES = {
    "OaSyncError": ("oa_sync.errors", "OaSyncError"),
    "Settings": ("oa_sync.settings", "Settings"),
    "SyncReport": ("oa_sync.workspace.report", "SyncReport"),
    "resolve_settings": ("oa_sync.settings", "resolve"),
    "sync": ("oa_sync.commands.sync", "sync"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'oa_sync' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)
