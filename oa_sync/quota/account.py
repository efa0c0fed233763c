"""An account: what is spent and left, and how long the rest takes. Sends no request.

For `status`, `plan` and exit code 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oa_sync.clock import isoformat
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import WINDOW, Limits, kept
from oa_sync.quota.schedule import burst, spacing


@dataclass(frozen=True)
class QuotaStatus:
    """Requests spent in the last minute and the day, and what the day has left for everyone.

    `resets_at`: when one more request than now is allowed; `full_at`: when the whole allowance is
    back; `blocked_until`: until when the server refuses. None: nothing spent, not refused.
    """

    used_minute: int
    used_day: int
    left_today: int | None
    resets_at: datetime | None
    full_at: datetime | None
    blocked_until: datetime | None
    limits: Limits

    def as_json(self) -> dict[str, Any]:
        """The `quota` object of `status --json` and `plan --json`; a limit of None is unlimited."""
        instants = {
            "resets_at": self.resets_at,
            "full_at": self.full_at,
            "blocked_until": self.blocked_until,
        }
        return {
            "per_minute": self.limits.per_minute,
            "per_day": self.limits.per_day,
            "day": self.limits.day,
            "used_minute": self.used_minute,
            "used_today": self.used_day,
            "left_today": self.left_today,
            **{name: isoformat(at) if at else None for name, at in instants.items()},
        }


@dataclass(frozen=True)
class QuotaAccount:
    """One account of a ledger under the limits that hold for it."""

    ledger: Ledger
    number: int
    limits: Limits

    def status(self) -> QuotaStatus:
        """What is spent and left."""
        return quota_status(self.ledger, self.number, self.limits)

    def allows_at(self, want: int, keep: int) -> datetime | None:
        """As `Ledger.allows_at`."""
        return self.ledger.allows_at(self.number, self.limits, want, keep=keep)


def quota_status(ledger: Ledger, account: int, limits: Limits) -> QuotaStatus:
    """Read from the ledger what is spent and left."""
    usage = ledger.usage(account, limits)
    return QuotaStatus(
        usage.used_minute,
        usage.used_day,
        usage.left_today,
        usage.resets_at,
        usage.full_at,
        usage.blocked_until,
        limits,
    )


@dataclass(frozen=True)
class Forecast:
    """When and how often to sync until all is fetched.

    `come_back_at`: from when the next sync is worth starting, which is when the quota has as much as that
    sync can use (now, if it has). `days_left`: syncs from then on, one a day; 0: nothing is left to do;
    None: under these limits it never ends, because the lists alone take all requests of a sync.
    """

    come_back_at: datetime
    days_left: int | None


def forecast(
    account: QuotaAccount,
    *,
    reserve: float,
    max_requests: int | None,
    once: int,
    each_sync: int,
    now: datetime,
) -> Forecast:
    """The forecast for `once` requests that are sent once (details) and `each_sync` that every sync sends
    before them (lists). `max_requests` bounds a sync (None: only the day does)."""
    limits, status = account.limits, account.status()
    keep, left = kept(limits.per_day, reserve), status.left_today
    today = budget_now(status, reserve, max_requests)
    daily = daily_budget(limits, reserve, max_requests)
    days = days_to_complete(
        once, left, limits.per_day, reserve, each_sync=each_sync, max_requests=max_requests
    )
    worth_it = today is None or today > each_sync or today >= once + each_sync
    if status.blocked_until is None and worth_it:
        return Forecast(now, days)
    want = once + each_sync if daily is None else min(once + each_sync, daily)
    # If the lists take all that today has, today fetches no detail and does not count.
    days_left = days - 1 if days is not None and today is not None and today <= each_sync else days
    return Forecast(account.allows_at(want, keep) or now, days_left)


def budget_now(status: QuotaStatus, reserve: float, max_requests: int | None) -> int | None:
    """What a sync that starts now may send; None: no limit but the pace."""
    left = status.left_today
    keep = kept(status.limits.per_day, reserve)
    return _least(None if left is None else max(0, left - keep), max_requests)


def daily_budget(limits: Limits, reserve: float, max_requests: int | None) -> int | None:
    """What one sync a day may send; None: no limit but the pace."""
    return _least(limits.usable_per_day(reserve), max_requests)


def days_to_complete(
    requests_needed: int,
    left_today: int | None,
    per_day: int | None,
    reserve: float,
    *,
    each_sync: int = 0,
    max_requests: int | None = None,
) -> int | None:
    """Syncs, one a day and today's included, until `requests_needed` are sent.

    Every sync sends `each_sync` requests before that, and at most `max_requests` in all. `left_today`
    includes the reserve, as `QuotaStatus.left_today` does. 0 when nothing is needed; None when no sync
    ever gets to what is needed.
    """
    if requests_needed + each_sync <= 0:
        return 0
    today = daily = max_requests
    if per_day is not None and left_today is not None:
        daily = _least(usable(per_day, reserve), max_requests)
        today = _least(max(0, left_today - kept(per_day, reserve)), max_requests)
    if today is None or daily is None or today >= requests_needed + each_sync:
        return 1
    if daily < each_sync or (daily == each_sync and requests_needed > 0):
        return None
    remaining = requests_needed - max(0, today - each_sync)
    return 1 + max(1, -(-remaining // max(1, daily - each_sync)))


def usable(per_day: int, reserve: float) -> int:
    """Requests of a day that a sync may spend."""
    return Limits(None, per_day).usable_per_day(reserve) or 0


def sending_time(requests: int, per_minute: int | None) -> timedelta:
    """The least time that `requests` take under the minute's limit, from an idle account."""
    if per_minute is None or requests <= burst(per_minute):
        return timedelta()
    if requests <= per_minute:
        return timedelta(microseconds=(requests - burst(per_minute)) * spacing(per_minute))
    return timedelta(microseconds=WINDOW + (requests - per_minute - 1) * spacing(per_minute))


def _least(one: int | None, other: int | None) -> int | None:
    """The smaller limit; None is no limit."""
    return other if one is None else one if other is None else min(one, other)
