"""A clock whose time passes only when somebody waits or the test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from oa_sync.clock import Clock

START = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)


class ManualClock(Clock):
    """Starts at `start`; `sleeps` holds the seconds of every wait, in the order they began.

    Waits that run at the same time overlap: the shortest ends first and time moves to its end only.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._waiting: list[tuple[float, int]] = []
        self._order = itertools.count()
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._elapsed += seconds

    def pause(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        mine = (self._elapsed + max(0.0, seconds), next(self._order))
        heapq.heappush(self._waiting, mine)
        try:
            await asyncio.sleep(0)
            while self._elapsed < mine[0]:
                if self._waiting[0] == mine:
                    self._elapsed = mine[0]
                else:
                    await asyncio.sleep(0)
        finally:
            self._waiting.remove(mine)
            heapq.heapify(self._waiting)


class Waiting(ManualClock):
    """Does something at one of the waits."""

    def __init__(self, at: int, what: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._what = at, what

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        if len(self.sleeps) == self._at:
            self._what()
