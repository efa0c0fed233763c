"""The options of an emulator, set before it starts. Plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dialect = Literal["page", "cursor"]
Order = Literal["stored", "updated_desc", "updated_asc", "random"]

# Requests a minute and a day; None is unlimited. Source: the tables of the API's main reference and of
# its Server page, as collected in the API notes.
PLANS: dict[str, tuple[int | None, int | None]] = {
    "free": (30, 500),
    "basic": (120, 5_000),
    "pro": (600, 50_000),
    "max": (1_200, 200_000),
    "starter": (60, 10_000),
    "enterprise": (None, None),
}


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """How the emulated API behaves.

    dialect: which of the two documented dialects is spoken.
    plan, rpm, rpd: limits; `rpm` and `rpd` override the plan's, 0 is unlimited.
    day: the day's window, the last 24 hours or the calendar day in UTC.
    retry_after: how a 429 of the limits says when to come back.
    full_lists, lean_lists: list rows carry everything, or ids, names and times only.
    no_updated_at: rows and details do not say when they changed.
    wrap_detail: details are inside `{"data": …}`.
    max_per_page: rows a page at most, whatever was asked for (0: no such cap).
    order: of every list; `random` is a seeded shuffle that stays the same.
    keyset_cursors: cursors name the last row seen instead of an offset.
    runs_list: `GET /agents/runs` exists (page dialect).
    latency_ms: waited before every answer.
    seed: of everything random.
    run_by: what moves a started agent run to its next status: each poll of it, or `run_seconds`.
    run_outcome: the terminal status that started runs reach.
    slow_queries: `POST /queries` answers with an id to poll.
    ready_after_polls: times a query or export is asked for before it is ready.
    webhook_secret, signature_prefix: key of the deliveries' HMAC-SHA256, and what stands before
        its hex (`sha256=` or nothing).
    """

    dialect: Dialect = "page"
    plan: str = "enterprise"
    rpm: int | None = None
    rpd: int | None = None
    day: Literal["rolling", "calendar-utc"] = "rolling"
    retry_after: Literal["seconds", "date"] = "seconds"
    full_lists: bool = False
    lean_lists: bool = False
    no_updated_at: bool = False
    wrap_detail: bool = False
    max_per_page: int = 0
    order: Order = "stored"
    keyset_cursors: bool = False
    runs_list: bool = False
    latency_ms: float = 0.0
    seed: int = 0
    run_by: Literal["poll", "time"] = "poll"
    run_seconds: float = 10.0
    run_outcome: str = "completed"
    slow_queries: bool = False
    ready_after_polls: int = 1
    webhook_secret: str = "whsec_emulator"
    signature_prefix: str = ""

    def __post_init__(self) -> None:
        if self.plan not in PLANS:
            raise ValueError(f"plan {self.plan!r} is unknown; one of {', '.join(PLANS)}")
        if self.full_lists and self.lean_lists:
            raise ValueError("full_lists and lean_lists contradict each other; choose one")

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """Requests a minute and a day that are allowed; None is unlimited."""
        minute, day = PLANS[self.plan]
        if self.rpm is not None:
            minute = self.rpm or None
        if self.rpd is not None:
            day = self.rpd or None
        return minute, day
