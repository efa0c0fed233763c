"""How long a number of requests takes under a plan: arithmetic for `oa-sync plan` and exit code 3."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from oa_sync.quota.limits import Limits, kept
from oa_sync.quota.schedule import WINDOW, burst, spacing
from oa_sync.quota.status import QuotaStatus


class Account(Protocol):
    """What a forecast needs of the quota (see `oa_sync.quota.status.QuotaAccount`)."""

    @property
    def limits(self) -> Limits:
        """The limits that hold."""

    def status(self) -> QuotaStatus:
        """What is spent and left."""

    def allows_at(self, want: int, keep: int) -> datetime | None:
        """From when `want` requests are allowed; None: now."""


@dataclass(frozen=True)
class Forecast:
    """When and how often a sync has to be run until all is fetched.

    `come_back_at`: from when the next run is worth starting, which is when the quota has as much as that
    run can use (now, where it has). `days_left`: runs from then on, one a day; 0: nothing is left to
    do; None: under these limits it never ends, because the lists alone take all of a run's requests.
    """

    come_back_at: datetime
    days_left: int | None


def forecast(
    account: Account,
    *,
    reserve: float,
    max_requests: int | None,
    once: int,
    each_run: int,
    now: datetime,
) -> Forecast:
    """The forecast for `once` requests that are sent once (details) and `each_run` that every run sends
    anew before them (lists). `max_requests` bounds a run (None: only the day does)."""
    limits, status = account.limits, account.status()
    keep, left = kept(limits.per_day, reserve), status.left_today
    today = budget_now(status, reserve, max_requests)
    daily = _least(limits.usable_per_day(reserve), max_requests)
    days = days_to_complete(
        once, left, limits.per_day, reserve, each_run=each_run, max_requests=max_requests
    )
    worth_it = today is None or today > each_run or today >= once + each_run
    if status.blocked_until is None and worth_it:
        return Forecast(now, days)
    want = once + each_run if daily is None else min(once + each_run, daily)
    # A day on which nothing is gained is no day of work.
    days_left = days - 1 if days is not None and today is not None and today <= each_run else days
    return Forecast(account.allows_at(want, keep) or now, days_left)


def budget_now(status: QuotaStatus, reserve: float, max_requests: int | None) -> int | None:
    """What a run that starts now may send; None: no limit but the pace."""
    left = status.left_today
    keep = kept(status.limits.per_day, reserve)
    return _least(None if left is None else max(0, left - keep), max_requests)


def days_to_complete(
    requests_needed: int,
    left_today: int | None,
    per_day: int | None,
    reserve: float,
    *,
    each_run: int = 0,
    max_requests: int | None = None,
) -> int | None:
    """Runs, one a day and today's included, until `requests_needed` are sent.

    Every run sends `each_run` requests before that, and at most `max_requests` in all. `left_today`
    counts the reserve in, as `QuotaStatus.left_today` does. 0 when nothing is needed; None when a run
    never gets to what is needed.
    """
    if requests_needed + each_run <= 0:
        return 0
    today = daily = max_requests
    if per_day is not None and left_today is not None:
        daily = _least(usable(per_day, reserve), max_requests)
        today = _least(max(0, left_today - kept(per_day, reserve)), max_requests)
    if today is None or daily is None or today >= requests_needed + each_run:
        return 1
    if daily < each_run or (daily == each_run and requests_needed > 0):
        return None
    remaining = requests_needed - max(0, today - each_run)
    return 1 + max(1, -(-remaining // max(1, daily - each_run)))


def usable(per_day: int, reserve: float) -> int:
    """Requests of a day that a run may spend."""
    return Limits(None, per_day).usable_per_day(reserve) or 0


def run_time(requests: int, per_minute: int | None) -> timedelta:
    """The least time that so many requests take under the minute's limit, from an idle account."""
    if per_minute is None or requests <= burst(per_minute):
        return timedelta()
    if requests <= per_minute:
        return timedelta(microseconds=(requests - burst(per_minute)) * spacing(per_minute))
    return timedelta(microseconds=WINDOW + (requests - per_minute - 1) * spacing(per_minute))


def _least(one: int | None, other: int | None) -> int | None:
    """The smaller limit; None is no limit."""
    return other if one is None else one if other is None else min(one, other)
