"""How long a number of requests takes under a plan: arithmetic for `oa-sync plan`."""

from __future__ import annotations

from datetime import datetime, timedelta

from oa_sync.quota.limits import Limits
from oa_sync.quota.schedule import WINDOW, burst, spacing


def days_to_complete(
    requests_needed: int, left_today: int | None, per_day: int | None, reserve: float
) -> int | None:
    """Runs, one a day and today's included, until `requests_needed` are sent.

    `left_today` counts the reserve in, as `QuotaStatus.left_today` does. 0 when nothing is needed;
    None when the day's limit leaves nothing after the reserve.
    """
    if requests_needed <= 0:
        return 0
    if per_day is None or left_today is None:
        return 1
    kept_for_others = per_day - usable(per_day, reserve)
    remaining = requests_needed - max(0, left_today - kept_for_others)
    if remaining <= 0:
        return 1
    daily = usable(per_day, reserve)
    return None if daily <= 0 else 1 + -(-remaining // daily)


def usable(per_day: int, reserve: float) -> int:
    """Requests of a day that a run may spend."""
    return Limits(None, per_day).usable_per_day(reserve) or 0


def come_back_at(
    requests_needed: int, left_today: int | None, resets_at: datetime | None, keep: int
) -> datetime | None:
    """When the next run is worth starting, if today's allowance does not suffice; None if it does."""
    if left_today is None or requests_needed <= left_today - keep:
        return None
    return resets_at


def run_time(requests: int, per_minute: int | None) -> timedelta:
    """The least time that so many requests take under the minute's limit, from an idle account."""
    if per_minute is None or requests <= burst(per_minute):
        return timedelta()
    if requests <= per_minute:
        return timedelta(microseconds=(requests - burst(per_minute)) * spacing(per_minute))
    return timedelta(microseconds=WINDOW + (requests - per_minute - 1) * spacing(per_minute))
