"""How many requests to have in flight: as many as the latency asks for, and no more.

By Little's law a rate of r requests a second at a latency of l seconds keeps r x l requests in flight.
Neither is known beforehand: the quota bounds the rate, and so does the machine. So the number starts
small and grows as long as a round of answers at the larger number was clearly quicker, per answer, than
the round before. Requests in flight beyond that point would only wait in a queue, and be lost (and paid
for again) if the process is killed.

Answers are held in memory until they are handed on, so their bytes bound the number too: where an
answer has megabytes, a few of them are enough to use the line fully.
"""

from __future__ import annotations

START = 4
GROWTH = 1.5
WORTH_IT = 1.1
MAX_BYTES = 8 * 1024 * 1024
"""Bytes of answers that are fetched and not yet handed on; more only if `FEWEST` answers have more."""
FEWEST = 2
"""In flight however large the answers are, so that one arrives while another is read."""
_WEIGHT = 0.25


class Concurrency:
    """`limit` is how many may be in flight now; tell it of every answer."""

    def __init__(self, maximum: int, start: int = START, *, max_bytes: int = MAX_BYTES) -> None:
        self._maximum, self._max_bytes = maximum, max_bytes
        self._worth = min(start, maximum)
        self._nbytes = 0.0
        self._answers = 0
        self._since: float | None = None
        self._best_rate = 0.0

    @property
    def limit(self) -> int:
        """At least 1. At most the number that growing has reached, and at most as many answers of the
        recent size as fit into the bytes in flight."""
        if self._nbytes * self._worth <= self._max_bytes:
            return self._worth
        return min(self._worth, max(FEWEST, int(self._max_bytes / self._nbytes)))

    def received(self, nbytes: int) -> None:
        """A body of `nbytes` is held until it is handed on; the limit may shrink at once."""
        if nbytes > self._nbytes:
            self._nbytes = nbytes
        else:
            self._nbytes += _WEIGHT * (nbytes - self._nbytes)

    def answered(self, now: float) -> None:
        """An answer came and was handed on at `now` (monotonic seconds); the limit may grow."""
        if self._since is None:
            self._since = now
            return
        self._answers += 1
        if self._answers < 2 * self.limit:
            return
        elapsed = now - self._since
        rate = self._answers / elapsed if elapsed > 0 else 0.0
        if rate > self._best_rate * WORTH_IT:
            self._best_rate = rate
            self._worth = min(self._maximum, max(self.limit + 1, round(self.limit * GROWTH)))
        self._answers, self._since = 0, now
