"""Makes the target for the destination in the settings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings
from oa_sync.tables.target import Target
from oa_sync.workspace.destination_access import allow_destination


def open_target(
    settings: Settings,
    workdir: Path,
    *,
    read_only: bool = False,
    clock: Clock | None = None,
    reconnected: Callable[[], None] = lambda: None,
) -> Target:
    """The target for `settings.destination`; not opened yet.

    `read_only`: nothing in it will be changed, not even what an interrupted load left. `clock` waits for a
    server that restarts, and `reconnected` is called when it is back, before anything is repeated.

    Raises:
        ConfigurationError: the current folder says where it is, and that was not confirmed; or its driver is missing.
    """
    allow_destination(settings)
    if settings.destination == "parquet":
        from oa_sync.load.lake import Lake

        return Lake(settings, workdir, read_only=read_only)
    if settings.destination in ("delta", "iceberg"):
        from oa_sync.load.lakehouse import Lakehouse

        return Lakehouse(settings, workdir, read_only=read_only)
    if settings.destination == "postgres":
        try:
            from oa_sync.load.postgres import Postgres
        except ImportError as error:
            raise ConfigurationError(
                f"destination postgres: {error}; pip install 'oa-sync[postgres]'"
            ) from error
        return Postgres(
            settings, workdir, read_only=read_only, clock=clock, reconnected=reconnected
        )
    from oa_sync.load.dlt.warehouse import Warehouse

    return Warehouse(settings, workdir, read_only=read_only)


@contextmanager
def open_for_reading(settings: Settings) -> Iterator[Target | None]:
    """The open target, for reading only. None if there is no database file yet: reading does not create
    one."""
    if settings.destination == "duckdb" and not settings.database.exists():
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="oa-sync-") as scratch,
        open_target(settings, Path(scratch) / "dlt", read_only=True) as target,
    ):
        yield target
