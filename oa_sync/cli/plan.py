"""`oa-sync plan`: what a sync would cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.facts import fact_grid, plain_table, quota_facts
from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.printing import cell, say_json, screen
from oa_sync.clock import isoformat

if TYPE_CHECKING:
    from rich.table import Table

    from oa_sync.commands.plan import Plan
    from oa_sync.extract.cost import Cost


@click.command()
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def plan(as_json: bool, log_format: str, verbose: bool, **flags: Any) -> None:
    """Tell what a sync would cost, by resource, and how many days it takes.

    Sends at most one request for each list, which the quota counts, and changes nothing.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.commands.plan import plan as run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    result = run(settings)
    if as_json:
        say_json(result.as_json())
    else:
        _print_plan(result)
    sys.exit(result.exit_code)


def _print_plan(plan: Plan) -> None:
    console = screen()
    console.print(_cost_table(plan))
    if plan.cost.estimated:
        note = "~ estimated: beyond the first page, rows that are loaded count as unchanged"
        console.print(note, style="dim", soft_wrap=True)
    if missing := [resource.name for resource in plan.resources if resource.missing]:
        note = f"list not offered by this API: {cell(', '.join(missing))}"
        console.print(note, style="dim", soft_wrap=True)
    console.print()
    console.print(
        fact_grid([*quota_facts(plan.quota, plan.reserved), ("this plan sent", plan.made)])
    )
    for resource in plan.resources:
        if resource.error is not None:
            console.print(f"[red]error:[/red] {cell(str(resource.error))}", soft_wrap=True)
    for shortfall in plan.shortfalls:
        console.print(f"[yellow]warning:[/yellow] {cell(shortfall.message)}", soft_wrap=True)
    console.print(_verdict(plan), soft_wrap=True)


def _cost_table(plan: Plan) -> Table:
    table = plain_table("resource", "rows", "loaded", "lists", "details", "requests")
    for resource in plan.resources:
        if resource.missing and not resource.cost.requests:
            continue
        total = "?" if resource.total is None else f"{resource.total:,}"
        cost = resource.cost
        table.add_row(cell(resource.name), total, f"{resource.loaded:,}", *_numbers(cost))
    table.add_section()
    table.add_row("total", "", "", *_numbers(plan.cost))
    return table


def _numbers(cost: Cost) -> tuple[str, str, str]:
    return (
        _number(cost.lists, cost.lists_estimated),
        _number(cost.details, cost.details_estimated),
        _number(cost.requests, cost.estimated),
    )


def _number(value: int, estimated: bool) -> str:
    return f"{'~' if estimated else ''}{value:,}"


def _verdict(plan: Plan) -> str:
    """When all would be loaded: now, in some days, or never."""
    from oa_sync.quota.account import sending_time

    needed = _number(plan.cost.requests, plan.cost.estimated)
    if plan.days_to_complete is None:
        return (
            f"a sync needs {needed} requests, and its lists alone take all that it may send: give it"
            " more (--max-requests, --reserve, --plan)"
        )
    when = isoformat(plan.come_back_at) if plan.come_back_at else ""
    if not plan.starts_now:
        days = _days(plan.days_to_complete)
        return f"a sync needs {needed} requests; none can be spent now: come back at {when}; {days}"
    sends = plan.cost.requests if plan.budget is None else min(plan.budget, plan.cost.requests)
    took = sending_time(sends, plan.quota.limits.per_minute).total_seconds()
    lasts = f" and lasts at least {took / 60:,.0f} min" if took >= 60 else ""
    if plan.days_to_complete <= 1:
        return f"a sync needs {needed} requests; one sync now does it{lasts}"
    then = f"; come back at {when}" if when else ""
    return (
        f"a sync needs {needed} requests; a sync now sends {sends:,}{lasts}{then};"
        f" {_days(plan.days_to_complete)}"
    )


def _days(number: int) -> str:
    return f"{number:,} {'day' if number == 1 else 'days'} in all at one sync a day"
