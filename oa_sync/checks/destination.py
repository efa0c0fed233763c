"""Does the destination open, and may a table be made in it? Leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.ops.lock import sync_lock
from oa_sync.settings import Settings


def try_destination(settings: Settings, clock: Clock) -> str:
    """Open the destination, make a table and drop it again; says what was found.

    Raises:
        LockHeldError: a sync is writing there.
        ConfigurationError: it cannot be used as it is set.
        DestinationError: it cannot be reached or written.
    """
    from oa_sync.tables.target import open_target

    what = f"workspace {settings.workspace!r} into {settings.destination}"
    is_new = settings.destination == "duckdb" and not settings.database.exists()
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), what, clock),
        tempfile.TemporaryDirectory(prefix="oa-sync-check-") as scratch,
    ):
        try:
            with open_target(settings, Path(scratch) / "dlt") as target:
                return target.probe()
        finally:
            if is_new:
                settings.database.unlink(missing_ok=True)
