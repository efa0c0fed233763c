"""Tables and facts without borders, for `plan` and `status`; the quota is among the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oa_sync.cli.printing import cell
from oa_sync.clock import isoformat

if TYPE_CHECKING:
    from rich.table import Table

    from oa_sync.quota.account import QuotaStatus


def quota_facts(quota: QuotaStatus, reserved: int) -> list[tuple[str, object]]:
    """What is spent and left, as lines; `reserved` requests of the day are for others."""
    limits = quota.limits
    if limits.per_day is None:
        facts: list[tuple[str, object]] = [("quota", f"no limit a day; {quota.used_day:,} sent")]
    else:
        span = "24 hours" if limits.day == "rolling" else f"a day in {limits.day}"
        kept = f"; {reserved:,} of them for others" if reserved else ""
        used = f"{quota.used_day:,} of {limits.per_day:,} used in {span}"
        facts = [("quota", f"{used}, {quota.left_today or 0:,} left{kept}")]
        if quota.resets_at and quota.full_at:
            resets = f"the first at {isoformat(quota.resets_at)}, all at {isoformat(quota.full_at)}"
            facts.append(("free again", resets))
    if quota.blocked_until:
        facts.append(("the server refuses", f"until {isoformat(quota.blocked_until)}"))
    return facts


def plain_table(*columns: str, left: int = 1) -> Table:
    """A table without borders. Its first `left` columns are text, the others numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return table


def fact_grid(facts: list[tuple[str, object]]) -> Table:
    """Name and value of each fact, a line each."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, fact in facts:
        grid.add_row(name, cell(fact))
    return grid
