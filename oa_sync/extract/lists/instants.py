"""Versions that are points in time."""

from __future__ import annotations

from datetime import datetime


def instant_of(version: str | None) -> datetime | None:
    """`version` as an instant; None for anything but ISO 8601 with its zone.

    A time without zone is of no use here: it may be hours away from the server's clock.
    """
    if version is None:
        return None
    try:
        instant = datetime.fromisoformat(version)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
