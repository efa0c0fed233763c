"""What `oa-sync status` and `plan` say about the quota, without a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oa_sync.clock import isoformat
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import Limits


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
        """The `quota` object of `status --json` and `plan --json`; limits that are None are none."""
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
        """The account's standing."""
        return quota_status(self.ledger, self.number, self.limits)

    def allows_at(self, want: int, keep: int) -> datetime | None:
        """As `Ledger.allows_at`."""
        return self.ledger.allows_at(self.number, self.limits, want, keep=keep)


def quota_status(ledger: Ledger, account: int, limits: Limits) -> QuotaStatus:
    """Read the account's standing."""
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
