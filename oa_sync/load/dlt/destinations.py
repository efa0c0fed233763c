"""Makes the dlt destination that the settings name, and explains why it cannot be opened."""

from __future__ import annotations

import hashlib
from typing import Any

from oa_sync.errors import ConfigurationError, DestinationError, OaSyncError
from oa_sync.settings import Settings

MERGE_STRATEGY = "delete-insert"
"""How every merge through dlt is done: the one that may be repeated after a crash without duplicates."""


_AS_OBJECTS = frozenset({"bigquery", "redshift", "snowflake", "sqlalchemy"})
"""Destinations that get rows as Python objects: from these, dlt parses JSON text. From an Arrow table it
would store the text as one JSON string. BigQuery and Redshift refuse Parquet with JSON columns, Snowflake
stores their texts as strings (dlt's pages on these destinations)."""


def takes_objects(name: str) -> bool:
    """Whether rows go to the destination as Python objects rather than as Arrow."""
    return name in _AS_OBJECTS


def loader_file_format(name: str) -> Any:
    """The file format for load jobs; None leaves it to what dlt prefers for the destination.

    For DuckDB dlt prefers INSERT statements, which load only 5,000 rows a second.
    """
    return "parquet" if name == "duckdb" else None


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

    `duckdb` opens `settings.database`, whatever dlt's files say; with `read_only`, other readers may have it open too. Any other
    name is left to dlt, which finds the credentials under its own names
    (`DESTINATION__<NAME>__CREDENTIALS`).

    `duckdb_config` is read again whenever a DuckDB connection is opened.

    Raises:
        ConfigurationError: dlt does not know the name, or its driver is not installed.
    """
    import dlt
    from dlt.common.destination.exceptions import UnknownDestinationModule
    from dlt.common.destination.reference import Destination

    name = settings.destination
    options: dict[str, Any] = {"staging_dataset_name_layout": _staging_layout(settings.workspace)}
    if name == "duckdb":
        settings.database.parent.mkdir(parents=True, exist_ok=True)
        from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

        credentials = DuckDbCredentials(str(settings.database), read_only=read_only)
        credentials.global_config = duckdb_config
        # dlt completes what is not resolved from its files. SQL stands there too (`statements`), and those of the
        # current folder may be somebody else's.
        credentials.resolve()
        return dlt.destinations.duckdb(credentials, **options)
    try:
        return Destination.from_reference(name, **options)
    except (UnknownDestinationModule, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"destination {name!r} is not one that dlt knows, or its driver is not installed"
            f" ({type(error).__name__}); see docs/destinations.md"
        ) from error


def opening_error(settings: Settings, error: Exception, cause: BaseException) -> OaSyncError:
    """Why a destination cannot be opened, and what to do about it. `cause`: the first cause of `error`."""
    from dlt.common.configuration.exceptions import (
        ConfigFieldMissingException,
        ConfigurationException,
    )
    from dlt.common.exceptions import MissingDependencyException

    if isinstance(error, OaSyncError) and cause is error:
        return error
    name, text = settings.destination, " ".join(str(cause).split())[:500]
    if isinstance(error, ConfigFieldMissingException) or isinstance(
        cause, ConfigFieldMissingException
    ):
        return ConfigurationError(
            f"destination {name}: its credentials are not set; use"
            f" DESTINATION__{name.upper()}__CREDENTIALS or [destination.{name}.credentials] in"
            " .dlt/secrets.toml (docs/destinations.md)"
        )
    if isinstance(error, ConfigurationException):
        return ConfigurationError(
            f"dlt cannot use what .dlt/*.toml or the environment says: {' '.join(str(error).split())[:500]};"
            " correct it there, or remove it"
        )
    if isinstance(cause, ImportError | MissingDependencyException):
        return ConfigurationError(
            f"destination {name}: its driver is not installed ({text}); pip install 'dlt[{name}]'"
        )
    if name == "ducklake" and "extension" in text.lower():
        return ConfigurationError(
            f"destination ducklake: DuckDB's extension ducklake is not on this machine ({text}); with"
            " internet: python -c \"import duckdb; duckdb.sql('INSTALL ducklake')\""
        )
    if name == "duckdb":
        return DestinationError(
            f"DuckDB file {settings.database}: {text}; free it, or choose another --database"
        )
    if isinstance(error, OaSyncError):
        return error
    return DestinationError(f"destination {name}: {text}; check that it runs, and its credentials")


def deepest(error: BaseException) -> BaseException:
    """The first cause of `error`."""
    seen: list[BaseException] = [error]
    while (cause := seen[-1].__cause__ or seen[-1].__context__) is not None and cause not in seen:
        seen.append(cause)
    return seen[-1]


def _staging_layout(workspace: str) -> str:
    """The staging dataset's name. Each workspace has its own: in a shared one, merges that run at the same
    time mix their rows (dlt#4297)."""
    if workspace == "default":
        return "%s_staging"
    return f"%s_staging_{hashlib.sha256(workspace.encode()).hexdigest()[:12]}"
