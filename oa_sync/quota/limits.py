"""What a plan allows, and when a day begins and ends.

The numbers are the bold column of the API document's quota tables: the main reference, and the
strictest of the three that contradict each other. When the vendor's day starts is not documented,
so the default is the reading that no server can contradict: any 24 hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from oa_sync.errors import ConfigurationError

SECOND = 1_000_000
"""Microseconds: the ledger's unit of time."""
DAY_SECONDS = 86_400
ROLLING = "rolling"

ROLLING_GUARD = 2
"""Seconds added to a rolling day: one for the bucket's width, one for the network's jitter."""
CALENDAR_GUARD = 60
"""Seconds either side of midnight that count for both days: our clock is not the server's."""
GUARD = 900_000
"""Microseconds by which a window is kept longer than the server's."""
WINDOW = 60 * SECOND + GUARD


@dataclass(frozen=True)
class Limits:
    """Requests a server accepts; None is unlimited.

    `day` is `rolling` (any 24 hours) or the name of a time zone, such as `Europe/Berlin`, whose
    midnight starts a new day.

    Raises:
        ConfigurationError: a limit is not positive, or the time zone is not known.
    """

    per_minute: int | None
    per_day: int | None
    day: str = ROLLING

    def __post_init__(self) -> None:
        for name, value in (("a minute", self.per_minute), ("a day", self.per_day)):
            if value is not None and value < 1:
                raise ConfigurationError(
                    f"limit of requests {name}: {value} is not a positive number; 0 on the command"
                    " line means unlimited"
                )
        if self.day != ROLLING:
            _zone(self.day)

    def day_floor(self, now: int) -> int:
        """The last second whose requests no longer count at `now` (epoch microseconds)."""
        if self.day == ROLLING:
            return now // SECOND - DAY_SECONDS - ROLLING_GUARD
        return _midnight(self.day, now // SECOND - CALENDAR_GUARD) - CALENDAR_GUARD - 1

    def counts_until(self, second: int, now: int) -> int:
        """The epoch second from which a request counted in `second` no longer counts."""
        if self.day == ROLLING:
            return second + DAY_SECONDS + ROLLING_GUARD
        today = now // SECOND - CALENDAR_GUARD
        return _midnight(self.day, max(second, today), days=1) + CALENDAR_GUARD

    def usable_per_day(self, reserve: float) -> int | None:
        """The day's requests less the share kept for others, which is rounded down: `reserve` 0.1 of
        500 leaves 450, of 5 leaves 5. At least one is left."""
        return None if self.per_day is None else self.per_day - kept(self.per_day, reserve)


def kept(per_day: int | None, reserve: float) -> int:
    """How many of the day's requests a share of `reserve` keeps for others (whole requests)."""
    return 0 if per_day is None else int(round(per_day * reserve, 6))


PLANS: dict[str, Limits] = {
    "free": Limits(30, 500),
    "basic": Limits(120, 5_000),
    "pro": Limits(600, 50_000),
    "max": Limits(1_200, 200_000),
    "starter": Limits(60, 10_000),
    "enterprise": Limits(None, None),
}


def smallest_plan(requests: int, reserve: float) -> str:
    """The plan with the fewest requests a day that allows a sync `requests` of them, less the `reserve`."""

    def a_day(plan: str) -> float:
        usable = PLANS[plan].usable_per_day(reserve)
        return float("inf") if usable is None else usable

    return next(plan for plan in sorted(PLANS, key=a_day) if a_day(plan) >= requests)


def limits_of(
    plan: str, *, rpm: int | None = None, rpd: int | None = None, day: str = ROLLING
) -> Limits:
    """The limits of `plan`, with `rpm` and `rpd` in place of its own where given (0: unlimited).

    Raises:
        ConfigurationError: no such plan, or a value that is not a limit.
    """
    if plan not in PLANS:
        raise ConfigurationError(f"plan {plan!r} is not one of {', '.join(PLANS)}")
    base = PLANS[plan]
    return Limits(
        base.per_minute if rpm is None else (rpm or None),
        base.per_day if rpd is None else (rpd or None),
        day,
    )


@lru_cache
def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ConfigurationError(
            f"day {name!r} is neither 'rolling' nor a time zone known here, such as Europe/Berlin"
            " (on a system without time zone data, install the package tzdata)"
        ) from None


def _midnight(zone: str, second: int, *, days: int = 0) -> int:
    """The epoch second at which the local day of `second`, or one `days` later, begins."""
    local = datetime.fromtimestamp(second, _zone(zone))
    date = local.date() + timedelta(days=days)
    return int(datetime.combine(date, time(), _zone(zone)).timestamp())
