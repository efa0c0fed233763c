"""From the settings to a dlt destination."""

from __future__ import annotations

from typing import Any

from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings

MERGE_STRATEGY = "delete-insert"
"""How every merge through dlt is done: the one that may be repeated after a crash without duplicates."""


def require_repeatable_merge(name: str, destination: Any) -> None:
    """Raise ConfigurationError unless the dlt `destination` says that it can merge as we need it."""
    supported = destination.capabilities().supported_merge_strategies or []
    if MERGE_STRATEGY not in supported:
        raise ConfigurationError(
            f"destination {name!r} cannot merge by {MERGE_STRATEGY} (it knows"
            f" {', '.join(supported) or 'no merge'}); for files use --destination parquet, delta or"
            " iceberg"
        )


def dlt_destination(
    settings: Settings,
    *,
    read_only: bool = False,
    duckdb_config: dict[str, Any] | None = None,
) -> Any:
    """The dlt destination that `settings.destination` names, configured.

    `duckdb` opens `settings.database`, with `read_only` beside other readers; PostgreSQL is created
    without the unique index on `_dlt_id` that blocks every later run after a crash; any other name is
    left to dlt, which finds its credentials under its own names (`DESTINATION__<NAME>__CREDENTIALS`).

    `duckdb_config` is read anew whenever a DuckDB connection is opened.

    Raises:
        ConfigurationError: dlt does not know the name, or its driver is not installed.
    """
    import dlt
    from dlt.common.destination.exceptions import UnknownDestinationModule
    from dlt.common.destination.reference import Destination

    name = settings.destination
    if name == "duckdb":
        settings.database.parent.mkdir(parents=True, exist_ok=True)
        from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

        credentials = DuckDbCredentials(str(settings.database), read_only=read_only)
        credentials.global_config = duckdb_config
        return dlt.destinations.duckdb(credentials)
    if name == "postgres":
        return dlt.destinations.postgres(create_indexes=False)
    try:
        return Destination.from_reference(name)
    except (UnknownDestinationModule, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"destination {name!r} is not one that dlt knows, or its driver is not installed"
            f" ({type(error).__name__}); see docs/destinations.md"
        ) from error
