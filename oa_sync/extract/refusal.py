"""When a 429 is the end of the budget and not a failure."""

from __future__ import annotations

from datetime import datetime, timedelta

from oa_sync.errors import BudgetExhausted, OaSyncError, RateLimitedError
from oa_sync.quota.headers import SHORT_WAIT


def as_exhausted(error: OaSyncError | None, now: datetime) -> BudgetExhausted | None:
    """The end of the budget that `error` means: itself, or a 429 that asks for a longer wait than a run
    makes, which is how a server says that the day is spent. None: it means something else."""
    if isinstance(error, BudgetExhausted):
        return error
    if isinstance(error, RateLimitedError) and (error.retry_after or 0.0) > SHORT_WAIT:
        return BudgetExhausted(str(error), now + timedelta(seconds=error.retry_after or 0.0))
    return None
