"""The one source of time: everything that waits or stamps asks a `Clock`, so tests never sleep."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Wall time in UTC, a monotonic reading, and waiting. Replace it in tests."""

    def now(self) -> datetime:
        """The current instant, timezone-aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` (0 or less: only yield to other tasks)."""
        await asyncio.sleep(max(0.0, seconds))

    def pause(self, seconds: float) -> None:
        """Wait `seconds` in a thread that has no event loop to wait on."""
        time.sleep(seconds)


def isoformat(instant: datetime) -> str:
    """`instant` as RFC 3339 in UTC with a `Z`, whole seconds: the form of every time we print."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
