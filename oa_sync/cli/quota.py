"""`oa-sync plan` and `oa-sync status`: what a sync would cost, and how things stand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.clock import isoformat

if TYPE_CHECKING:
    from rich.table import Table

    from oa_sync.commands.plan import Plan
    from oa_sync.commands.status import Status
    from oa_sync.extract.cost import Cost
    from oa_sync.quota.account import QuotaStatus


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
        _print_json(result.as_json())
    else:
        _print_plan(result)
    sys.exit(result.exit_code)


@click.command()
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def status(as_json: bool, log_format: str, verbose: bool, **flags: Any) -> None:
    """Show the last syncs, rows, backlog and the quota.

    Sends no request and needs no key; without one, the quota is not known.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.commands.status import status as run
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    result = run(settings)
    if as_json:
        _print_json(result.as_json())
    else:
        _print_status(result)


def _print_json(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


# -- plan -----------------------------------------------------------------------------------------


def _print_plan(plan: Plan) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(file=sys.stdout, highlight=False)
    console.print(_cost_table(plan))
    if plan.cost.estimated:
        note = "~ estimated: beyond the first page, rows that are loaded count as unchanged"
        console.print(note, style="dim", soft_wrap=True)
    if missing := [resource.name for resource in plan.resources if resource.missing]:
        note = f"list not offered by this API: {escape(', '.join(missing))}"
        console.print(note, style="dim", soft_wrap=True)
    console.print()
    console.print(_facts([*_quota_facts(plan.quota, plan.reserved), ("this plan sent", plan.made)]))
    for resource in plan.resources:
        if resource.error is not None:
            console.print(f"[red]error:[/red] {escape(str(resource.error))}", soft_wrap=True)
    console.print(_verdict(plan), soft_wrap=True)


def _cost_table(plan: Plan) -> Table:
    from rich.markup import escape

    table = _table("resource", "rows", "loaded", "lists", "details", "requests")
    for resource in plan.resources:
        if resource.missing and not resource.cost.requests:
            continue
        total = "?" if resource.total is None else f"{resource.total:,}"
        cost = resource.cost
        table.add_row(escape(resource.name), total, f"{resource.loaded:,}", *_numbers(cost))
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
    """What it comes to: today, in some days, or never."""
    from oa_sync.quota.account import run_time

    needed = _number(plan.cost.requests, plan.cost.estimated)
    if plan.days_to_complete is None:
        return (
            f"a sync needs {needed} requests, and its lists alone take all that a run may send: give it"
            " more (--max-requests, --reserve, --plan)"
        )
    when = isoformat(plan.come_back_at) if plan.come_back_at else ""
    if not plan.starts_now:
        days = _days(plan.days_to_complete)
        return f"a sync needs {needed} requests; none can be spent now: come back at {when}; {days}"
    sends = plan.cost.requests if plan.budget is None else min(plan.budget, plan.cost.requests)
    took = run_time(sends, plan.quota.limits.per_minute).total_seconds()
    lasts = f" and lasts at least {took / 60:,.0f} min" if took >= 60 else ""
    if plan.days_to_complete <= 1:
        return f"a sync needs {needed} requests; one run now does it{lasts}"
    then = f"; come back at {when}" if when else ""
    return (
        f"a sync needs {needed} requests; a run now sends {sends:,}{lasts}{then};"
        f" {_days(plan.days_to_complete)}"
    )


def _days(number: int) -> str:
    return f"{number:,} {'day' if number == 1 else 'days'} in all at one run a day"


# -- status ---------------------------------------------------------------------------------------


def _print_status(status: Status) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(file=sys.stdout, highlight=False)
    title = f"workspace {status.workspace} in {status.destination}"
    place = f": {status.place}" if status.place != status.destination else ""
    console.print(escape(title + place), "", soft_wrap=True)
    if status.running:
        console.print(f"[yellow]busy:[/yellow] {escape(status.running)}", soft_wrap=True)
    if status.syncs:
        console.print(_syncs_table(status), "")
    elif status.tables is not None:
        console.print("nothing was synced yet: run `oa-sync sync`", "")
    if status.tables:
        console.print(_rows_table(status), "")
    facts: list[tuple[str, object]] = []
    if status.pending_segments and not status.running:
        waits = f"{status.pending_segments:,} segments; the next sync loads them first"
        facts.append(("fetched, not loaded", waits))
    if status.quota is not None:
        facts += _quota_facts(status.quota, 0)
    else:
        facts.append(("quota", status.quota_note))
    console.print(_facts(facts))


def _syncs_table(status: Status) -> Table:
    from rich.markup import escape

    table = _table("last syncs", "status", "requests", "rows", "backlog", "took", left=2)
    for sync in status.syncs:
        started, finished = sync["started_at"], sync["finished_at"]
        took = f"{(finished - started).total_seconds():,.1f} s" if finished else ""
        code = f" ({sync['error_code']})" if sync["status"] == "failed" else ""
        numbers = (sync[name] or 0 for name in ("requests_made", "rows_written", "backlog"))
        table.add_row(
            isoformat(started),
            escape(f"{sync['status']}{code}"),
            *(f"{number:,}" for number in numbers),
            took,
        )
    return table


def _rows_table(status: Status) -> Table:
    from rich.markup import escape

    table = _table("table", "rows", "deleted", "backlog")
    for name, standing in (status.tables or {}).items():
        backlog = "" if standing.backlog is None else f"{standing.backlog:,}"
        table.add_row(escape(name), f"{standing.rows:,}", f"{standing.deleted:,}", backlog)
    return table


# -- both -----------------------------------------------------------------------------------------


def _quota_facts(quota: QuotaStatus, reserved: int) -> list[tuple[str, object]]:
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


def _table(*columns: str, left: int = 1) -> Table:
    """A table without lines, whose first `left` columns are text and the others numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return table


def _facts(facts: list[tuple[str, object]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, fact in facts:
        grid.add_row(name, escape(str(fact)))
    return grid
