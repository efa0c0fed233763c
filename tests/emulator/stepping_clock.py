"""A clock that moves only when told to, or when someone sleeps on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oa_sync.clock import Clock


class SteppingClock(Clock):
    """Starts at noon; `sleep` returns at once, `slept` keeps how long it would have taken."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.step(seconds)

    def step(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)
