"""Whether a budget can ever do what it is meant to, and which plan could. Sends no request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oa_sync.extract.cost import Cost
from oa_sync.extract.rationing import CODE
from oa_sync.quota.account import daily_budget
from oa_sync.quota.limits import Limits, smallest_plan
from oa_sync.settings import Settings
from oa_sync.shape.json_text import decode
from oa_sync.tables.syncs import TABLE as SYNCS
from oa_sync.tables.target import Target

SYNCS_READ = 10

_SYNC_COLUMNS = (
    "sync_id",
    "status",
    "exit_code",
    "started_at",
    "finished_at",
    "requests_made",
    "rows_written",
    "backlog",
    "error_code",
    "error_message",
    "summary",
)
_LONG_ENOUGH = timedelta(days=2)
"""Of the syncs that tell how fast rows change: less may be the burst of one day."""


@dataclass(frozen=True)
class Shortfall:
    """Why the budget of a sync, `allowed` requests a day, never suffices. `plan`: the smallest one that allows what
    is `needed`; None: a setting bounds the sync, not its plan."""

    code: str
    message: str
    needed: int
    allowed: int
    plan: str | None

    def as_json(self) -> dict[str, Any]:
        """An element of `warnings` in `plan --json` and `status --json`."""
        return {
            "code": self.code,
            "resource": None,
            "message": self.message,
            "needed_a_day": self.needed,
            "allowed_a_day": self.allowed,
            "plan": self.plan,
        }


def recent_syncs(
    target: Target | None, count: int = SYNCS_READ
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The last `count` syncs of `target` as columns of the table `syncs`, and their summaries; the newest first."""
    if target is None:
        return [], []
    syncs = target.recent(SYNCS, _SYNC_COLUMNS, "started_at", count)
    return syncs, [decode(sync.pop("summary").encode()) for sync in syncs]


def lists_too_long(cost: Cost, limits: Limits, settings: Settings) -> Shortfall | None:
    """The lists alone take all that a sync may send in a day."""
    allowed = daily_budget(limits, settings.reserve, settings.max_requests)
    if allowed is None or cost.lists + min(1, cost.details) <= allowed:
        return None
    about = "about " if cost.lists_estimated else ""
    why = (
        f"the lists alone take {about}{cost.lists:,} requests in each sync, and it may send {allowed:,} a day:"
        " this never ends"
    )
    return _shortfall(CODE, why, cost.lists + 1, allowed, limits, settings)


def changes_too_fast(
    syncs: Sequence[dict[str, Any]],
    summaries: Sequence[dict[str, Any]],
    limits: Limits,
    settings: Settings,
) -> Shortfall | None:
    """Rows change faster than their details can be fetched, by the last `syncs` with their `summaries`, the newest
    first. What the oldest of them found is what had come up before it."""
    allowed = daily_budget(limits, settings.reserve, settings.max_requests)
    if allowed is None or len(syncs) < 3 or not syncs[0]["backlog"]:
        return None
    span = syncs[0]["started_at"] - syncs[-1]["started_at"]
    if span < _LONG_ENOUGH:
        return None
    with_detail = {
        name
        for summary in summaries
        for name, one in summary["resources"].items()
        if one["details_fetched"] or one["backlog"]
    }
    found = sum(
        one["new"] + one["changed"]
        for summary in summaries[:-1]
        for name, one in summary["resources"].items()
        if name in with_detail
    )
    fetched = sum(one["details_fetched"] for one in summaries[0]["resources"].values())
    lists = max(0, syncs[0]["requests_made"] - fetched)
    a_day = math.ceil(found / (span / timedelta(days=1)))
    if a_day + lists <= allowed:
        return None
    why = (
        f"about {a_day:,} rows a day are new or changed, and beside {lists:,} requests for lists a sync may fetch"
        f" {max(0, allowed - lists):,} details a day: the backlog only grows"
    )
    return _shortfall("changes_too_fast", why, a_day + lists, allowed, limits, settings)


def _shortfall(
    code: str, why: str, needed: int, allowed: int, limits: Limits, settings: Settings
) -> Shortfall:
    of_plan = daily_budget(limits, settings.reserve, None)
    if of_plan is None or of_plan >= needed:
        return Shortfall(
            code, f"{why}; --max-requests {needed:,} would be enough", needed, allowed, None
        )
    plan = smallest_plan(needed, settings.reserve)
    return Shortfall(code, f"{why}; the plan {plan} would be enough", needed, allowed, plan)
