"""The plan's limits, as the server keeps them: sliding windows of a minute and a day."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from oa_sync.emulator.options import EmulatorOptions

MINUTE = 60.0
DAY = 86_400.0
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is within the limits, and what the `X-RateLimit-*` headers say.

    The headers describe the window with fewer slots left. `reset` is the epoch second at which its
    next slot becomes free, `wait` the seconds until a request is allowed (0 when it is).
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    wait: int


@dataclass(slots=True)
class _Window:
    """Instants (epoch seconds) of the requests that one limit still counts."""

    limit: int
    seconds: float
    calendar: bool = False
    taken: deque[float] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        start = now - now % DAY if self.calendar else now - self.seconds
        while self.taken and (self.taken[0] < start if self.calendar else self.taken[0] <= start):
            self.taken.popleft()

    @property
    def left(self) -> int:
        return max(0, self.limit - len(self.taken))

    def next_free(self, now: float) -> float:
        """The instant at which a slot that is taken now is free again."""
        if self.calendar:
            return now - now % DAY + DAY
        if not self.taken:
            return now + self.seconds
        surplus = max(0, len(self.taken) - self.limit)
        return self.taken[surplus] + self.seconds


class Limits:
    """The windows of every account: the workspace in the page dialect, each key in the cursor one."""

    def __init__(self, options: EmulatorOptions) -> None:
        self.minute, self.day = options.limits
        self._calendar = options.day == "calendar-utc"
        self._per_key = options.dialect == "cursor"
        self._windows: dict[str, list[_Window]] = {}

    def admit(self, key: str, now: datetime) -> Verdict:
        """Count a request of `key` at `now`, unless a limit is reached; refused ones never count."""
        instant = now.timestamp()
        windows = self._windows_of(key, instant)
        blocking = [window for window in windows if not window.left]
        if not blocking:
            for window in windows:
                window.taken.append(instant)
            return self._verdict(windows, instant, 0)
        wait = max(window.next_free(instant) for window in blocking) - instant
        return self._verdict(windows, instant, max(1, math.ceil(wait)))

    def look(self, key: str, now: datetime) -> Verdict:
        """What `admit` would say of the headers, without counting."""
        instant = now.timestamp()
        return self._verdict(self._windows_of(key, instant), instant, 0)

    def reset(self) -> None:
        """Forget every request."""
        self._windows.clear()

    def _windows_of(self, key: str, instant: float) -> list[_Window]:
        windows = self._windows.setdefault(key if self._per_key else "", self._fresh())
        for window in windows:
            window.forget(instant)
        return windows

    def _fresh(self) -> list[_Window]:
        windows = []
        if self.minute is not None:
            windows.append(_Window(self.minute, MINUTE))
        if self.day is not None:
            windows.append(_Window(self.day, DAY, self._calendar))
        return windows

    def _verdict(self, windows: list[_Window], instant: float, wait: int) -> Verdict:
        if not windows:
            return Verdict(True, UNLIMITED, UNLIMITED, math.ceil(instant + MINUTE), 0)
        tightest = min(windows, key=lambda window: (window.left, -window.seconds))
        reset = math.ceil(tightest.next_free(instant))
        return Verdict(not wait, tightest.limit, tightest.left, reset, wait)


def http_date(instant: datetime) -> str:
    """`instant` in the form of RFC 9110, section 5.6.7."""
    from email.utils import format_datetime

    return format_datetime(instant, usegmt=True)


def retry_after(wait: int, now: datetime, form: str) -> str:
    """The `Retry-After` value for `wait` seconds, as a number or (form `date`) an HTTP date."""
    if form == "date":
        # HTTP dates have whole seconds: a fraction that is cut off must not shorten the wait.
        return http_date(now + timedelta(seconds=wait + (1 if now.microsecond else 0)))
    return str(wait)
