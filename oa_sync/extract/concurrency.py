"""How many requests to have in flight: as many as the latency asks for, and no more.

By Little's law a rate of r requests a second at a latency of l seconds keeps r x l requests in flight.
Neither is known beforehand: a quota bounds the rate from outside, the machine from inside. So the
number starts small and grows while growing pays: as long as a round of answers at the larger number
was clearly quicker, per answer, than the round before. Requests in flight beyond that point would
only wait in a queue, and be lost (and paid for again) if the process is killed.
"""

from __future__ import annotations

START = 4
GROWTH = 1.5
WORTH_IT = 1.1


class Concurrency:
    """`limit` is how many may be in flight now; tell it of every answer."""

    def __init__(self, maximum: int, start: int = START) -> None:
        self.limit = min(start, maximum)
        self._maximum = maximum
        self._answers = 0
        self._since: float | None = None
        self._best_rate = 0.0

    def answered(self, now: float) -> None:
        """An answer came at `now` (monotonic seconds); the limit may grow."""
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
            self.limit = min(self._maximum, max(self.limit + 1, round(self.limit * GROWTH)))
        self._answers, self._since = 0, now
