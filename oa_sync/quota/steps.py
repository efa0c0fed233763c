"""The ledger's clock follows the machine's forwards, whatever steps that makes. It never goes back.

Nobody tells a ledger whether a step of the machine's clock corrects an error or makes one. Every stamp is
made by the ledger's own clock, and each choice below is the one that counts a request for longer:

- **The machine's clock is ahead of the ledger's**: the ledger's takes its time. A leap forwards looks like time
  that passed, because a machine that was switched off looks the same.
- **It is behind**: somebody set it back, now or before. At the first sight no time has passed. From then
  on as much passes as the machine's clock moves between two bookings, except for a move that makes up more
  than half of the lag and leaves less than an hour of it: that may be the correction, and counting it would
  free a whole day at once. The ledger's clock stands still for the length of the lag at most, because such
  a move halves the lag.
- **It shows a time before `EARLIEST`**: it is not set yet. A machine without a battery starts in 1970, or where
  it was switched off. What is sent meanwhile was sent at an unknown time before the clock was set. So these
  stamps move forwards to that instant.

While the machine's clock is behind, requests count by both clocks: those of the ledger's last day, and those that
were stamped in the machine's last day before the step (the clock may have been ahead by mistake in between).
"""

from __future__ import annotations

from dataclasses import dataclass

from oa_sync.quota.limits import SECOND

EARLIEST = 1_767_225_600 * SECOND
"""2026-01-01 UTC, before the first release: no clock that is set shows an earlier time."""
_CORRECTED = 3_600 * SECOND
"""A lag below this may be how far ahead the clock was before somebody set it back and right again."""
_SLACK = SECOND // 20
"""Microseconds a clock may go back without being taken for a step."""


@dataclass(frozen=True)
class Behind:
    """What is noted while the machine's clock is behind the ledger's (epoch microseconds).

    `wall`: the machine's clock at the last booking. `lowest`: the earliest time it showed. `unset_from`: the
    ledger's clock when the machine's was first found not to be set; None: it is set.
    """

    wall: int
    lowest: int
    unset_from: int | None = None

    def as_text(self) -> str:
        """For the store."""
        unset = "" if self.unset_from is None else f" {self.unset_from}"
        return f"{self.wall} {self.lowest}{unset}"

    @classmethod
    def of_text(cls, text: str) -> Behind:
        """From the store."""
        return cls(*(int(part) for part in text.split()))


@dataclass(frozen=True)
class Step:
    """The ledger's clock moved on. Stamps from `unset_from` on are to move forwards to `clock`; None: none."""

    clock: int
    behind: Behind | None
    unset_from: int | None


def step(clock: int, behind: Behind | None, now: int) -> Step:
    """The ledger's clock when the machine's shows `now` (epoch microseconds); `clock` is 0 if it is new."""
    unset_from = behind.unset_from if behind else None
    if clock < EARLIEST:
        unset_from = 0 if clock else None
        clock = EARLIEST
    is_set = now >= EARLIEST
    moved = unset_from if is_set else None
    if now >= clock - _SLACK:
        return Step(max(clock, now), None, moved)
    if is_set:
        unset_from = None
    elif unset_from is None:
        # In a second of its own: what was sent in the last one was sent while the clock was set.
        unset_from = clock = (clock // SECOND + 1) * SECOND
    passed = _passed(clock, behind, now)
    lowest = min(now, behind.lowest) if behind else now
    return Step(clock + passed, Behind(now, lowest, unset_from), moved)


def _passed(clock: int, behind: Behind | None, now: int) -> int:
    """Microseconds that certainly passed since the last booking."""
    if behind is None or behind.wall < EARLIEST <= now:
        return 0
    moved, lag = now - behind.wall, clock - now
    return 0 if moved <= 0 or (moved > lag and lag < _CORRECTED) else moved
