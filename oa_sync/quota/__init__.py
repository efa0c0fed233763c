"""What may be spent: plans and windows, the ledger, pacing, the budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oa_sync.clock import Clock

if TYPE_CHECKING:
    from oa_sync.quota.ledger import Ledger


def open_ledger(
    home: Path, quota_url: str | None, clock: Clock, *, only_reading: bool = False
) -> Ledger:
    """The ledger at `quota_url` (`postgresql://…`), or the SQLite file in `home`. With `only_reading`
    nothing is made or changed there; where there is none, nothing is spent.

    Raises:
        ConfigurationError: it cannot be opened; the message says why.
    """
    if quota_url is None:
        from oa_sync.quota.sqlite_ledger import FILE_NAME, SqliteLedger

        return SqliteLedger(home / FILE_NAME, clock, only_reading=only_reading)
    if quota_url.startswith(("postgresql://", "postgres://")):
        from oa_sync.quota.postgres_ledger import PostgresLedger

        return PostgresLedger(quota_url, only_reading=only_reading, patience=clock)
    from oa_sync.errors import ConfigurationError

    scheme = quota_url.partition(":")[0] if "://" in quota_url else "(none)"
    raise ConfigurationError(
        f"--quota-url with scheme {scheme!r} is not supported: use postgresql://USER@HOST/DATABASE,"
        " or leave it out for a SQLite file in home"
    )
