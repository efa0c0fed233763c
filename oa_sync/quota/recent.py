"""This process's own requests by the monotonic clock: a second check that no wall clock can fool.

The ledger is shared and survives, so it must believe the wall clock. When that jumps forward in
mid-run, the ledger takes it for time that passed; this memory does not.
"""

from __future__ import annotations

from collections import deque

from oa_sync.quota.limits import DAY_SECONDS, ROLLING, Limits

_MINUTE = 60.0
_BUCKET = 60.0


class RecentRequests:
    """Requests of the last minute, one by one, and of the last 24 hours, by the minute."""

    def __init__(self, limits: Limits) -> None:
        self._per_minute = limits.per_minute
        self._per_day = limits.per_day if limits.day == ROLLING else None
        self._minute: deque[float] = deque(maxlen=limits.per_minute)
        self._day: deque[list[float]] = deque()
        self._day_total = 0

    def note(self, now: float) -> None:
        """A request leaves at `now` (monotonic seconds)."""
        if self._per_minute is not None:
            self._minute.append(now)
        if self._per_day is None:
            return
        if not self._day or now >= self._day[-1][0] + _BUCKET:
            self._day.append([now, 0])
        self._day[-1][1] += 1
        self._day_total += 1

    def in_minute(self, now: float) -> int:
        """Requests of the last 60 seconds."""
        return sum(1 for instant in self._minute if now - instant < _MINUTE)

    def minute_wait(self, now: float) -> float:
        """Seconds until the minute's limit allows one more; 0 when it does."""
        if self._per_minute is None or len(self._minute) < self._per_minute:
            return 0.0
        return max(0.0, self._minute[0] + _MINUTE - now)

    def day_wait(self, now: float) -> float:
        """Seconds until the day's limit allows one more; 0 when it does."""
        while self._day and now - self._day[0][0] >= DAY_SECONDS + _BUCKET:
            self._day_total -= int(self._day.popleft()[1])
        if self._per_day is None or self._day_total < self._per_day:
            return 0.0
        return max(0.0, self._day[0][0] + DAY_SECONDS + _BUCKET - now)
