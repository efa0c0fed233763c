"""oa-sync: mirror an OpenAnalyst workspace into DuckDB, Parquet or a warehouse, within its quota.

The public surface, imported when it is used:

    from oa_sync import resolve_settings, sync

    report = sync(resolve_settings({"database": "analytics.duckdb"}))

`resolve_settings` reads flags, the environment and `.dlt`; `Settings(...)` reads nothing. Every error is an
`OaSyncError`; the classes below it are in `oa_sync.errors`, and the ones that a sync raises are here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oa_sync._version import __version__

if TYPE_CHECKING:
    from oa_sync.commands.sync import Progress, sync, sync_async
    from oa_sync.errors import (
        ApiError,
        BudgetExhausted,
        ConfigurationError,
        DefinitionError,
        DestinationError,
        Interrupted,
        LockHeldError,
        NotAuthorisedError,
        OaSyncError,
        SchemaContractError,
    )
    from oa_sync.extract.tally import Tally
    from oa_sync.settings import Settings
    from oa_sync.settings import resolve as resolve_settings
    from oa_sync.workspace.report import SyncReport
    from oa_sync.workspace.stopping import Stop

__all__ = [
    "ApiError",
    "BudgetExhausted",
    "ConfigurationError",
    "DefinitionError",
    "DestinationError",
    "Interrupted",
    "LockHeldError",
    "NotAuthorisedError",
    "OaSyncError",
    "Progress",
    "SchemaContractError",
    "Settings",
    "Stop",
    "SyncReport",
    "Tally",
    "__version__",
    "resolve_settings",
    "sync",
    "sync_async",
]

_PLACES = {
    **{name: ("oa_sync.errors", name) for name in __all__ if name.endswith("Error")},
    "BudgetExhausted": ("oa_sync.errors", "BudgetExhausted"),
    "Interrupted": ("oa_sync.errors", "Interrupted"),
    "Progress": ("oa_sync.commands.sync", "Progress"),
    "Settings": ("oa_sync.settings", "Settings"),
    "Stop": ("oa_sync.workspace.stopping", "Stop"),
    "SyncReport": ("oa_sync.workspace.report", "SyncReport"),
    "Tally": ("oa_sync.extract.tally", "Tally"),
    "resolve_settings": ("oa_sync.settings", "resolve"),
    "sync": ("oa_sync.commands.sync", "sync"),
    "sync_async": ("oa_sync.commands.sync", "sync_async"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'oa_sync' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
