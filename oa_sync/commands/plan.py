"""What a sync would cost: requests by resource, what the day has left, and how many days it takes.

At most one request a list: its first page tells how long the list is and how many rows a page has. What
is loaded is read back, and so is what an interrupted sync has fetched and not loaded. Numbers about rows
beyond the first page are estimates: a row that is loaded counts as unchanged, and the rows by which the
total exceeds those count as new.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from oa_sync.clock import Clock, isoformat
from oa_sync.commands.outlook import Shortfall, changes_too_fast, lists_too_long, recent_syncs
from oa_sync.definitions.model import Definition
from oa_sync.errors import ApiError, BudgetExhausted, NotAuthorisedError, NotFoundError
from oa_sync.extract.cost import Cost, cost_of, total_cost
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.order_memory import OrderMemory
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Kind
from oa_sync.journal.journal import Journal
from oa_sync.load.opening import open_for_reading
from oa_sync.quota.account import Forecast, QuotaStatus, budget_now
from oa_sync.quota.limits import SECOND, kept
from oa_sync.settings import Settings
from oa_sync.tables.agent_runs import followed_runs
from oa_sync.tables.assembler import Assembler
from oa_sync.tables.syncs import read_before
from oa_sync.tables.target import Target
from oa_sync.workspace.announced import announced
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.lock import sync_lock
from oa_sync.workspace.surroundings import Surroundings

Loaded = dict[str, dict[str, Known]]


@dataclass(frozen=True)
class ResourcePlan:
    """What one resource, or declared query, would cost.

    `total`: rows the API has; None: it does not say, or was not asked. `loaded`: rows that are loaded
    and not deleted. `missing`: an optional list that this API does not offer. `error`: why the list
    could not be asked; then, and with `asked` False, the cost is an estimate from what is loaded.
    """

    name: str
    total: int | None
    loaded: int
    cost: Cost
    asked: bool = True
    missing: bool = False
    error: ApiError | None = None

    def as_json(self) -> dict[str, Any]:
        """The resource's object of `plan --json`."""
        return {
            "total": self.total,
            "loaded": self.loaded,
            "lists": self.cost.lists,
            "details": self.cost.details,
            "requests": self.cost.requests,
            "lists_estimated": self.cost.lists_estimated,
            "details_estimated": self.cost.details_estimated,
            "asked": self.asked,
            "missing": self.missing,
            "error": self.error.as_json() if self.error else None,
        }


@dataclass(frozen=True)
class Plan:
    """The plan of a sync with these settings.

    `budget` is what a sync may send now (None: only the pace limits it), `reserved` what it leaves for
    others, `made` what the plan itself has sent. `come_back_at`: when the next sync after today's is
    worth starting, or the first one if today has nothing left; None: one sync now does it all. `shortfalls`: why
    this budget never suffices.
    """

    workspace: str
    dialect: str
    made_at: datetime
    resources: tuple[ResourcePlan, ...]
    quota: QuotaStatus
    reserved: int
    budget: int | None
    made: int
    starts_now: bool
    days_to_complete: int | None
    come_back_at: datetime | None
    shortfalls: tuple[Shortfall, ...] = ()

    @property
    def cost(self) -> Cost:
        """All resources together."""
        return total_cost(resource.cost for resource in self.resources)

    @property
    def error(self) -> ApiError | None:
        """The first failure of a list."""
        return next((r.error for r in self.resources if r.error is not None), None)

    @property
    def exit_code(self) -> int:
        """0, or what a failing list means for `oa-sync`."""
        return self.error.exit_code if self.error is not None else 0

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --json` prints."""
        cost = self.cost
        return {
            "workspace": self.workspace,
            "dialect": self.dialect,
            "made_at": isoformat(self.made_at),
            "resources": {resource.name: resource.as_json() for resource in self.resources},
            "requests": {
                "lists": cost.lists,
                "details": cost.details,
                "total": cost.requests,
                "estimated": cost.estimated,
                "made": self.made,
            },
            "quota": {**self.quota.as_json(), "reserved": self.reserved, "budget": self.budget},
            "starts_now": self.starts_now,
            "days_to_complete": self.days_to_complete,
            "come_back_at": isoformat(self.come_back_at) if self.come_back_at else None,
            "warnings": [shortfall.as_json() for shortfall in self.shortfalls],
            "error": self.error.as_json() if self.error else None,
        }


def plan(settings: Settings, clock: Clock | None = None) -> Plan:
    """What `oa_sync.commands.sync.sync` with `settings` would cost now. Reads the destination, changes nothing.

    Raises:
        ConfigurationError: settings or definition are wrong.
        LockHeldError: a sync of this workspace and destination is running.
        BudgetExhausted: the dialect is not known yet, and no request is left to find it out.
        NotAuthorisedError: the API refuses the key.
        ApiError: the dialect is not known yet, and the API could not be asked.
        DestinationError: the destination cannot be read.
    """
    clock = clock or Clock()
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    with sync_lock(settings.home / "locks", settings.fingerprint(), what, clock):
        return asyncio.run(_plan(settings, clock))


async def _plan(settings: Settings, clock: Clock) -> Plan:
    async with connect(settings, Surroundings(clock)) as connection:
        definition = await connection.definition()
        with open_for_reading(settings) as target, announced(settings, clock) as inboxes:
            loaded = _loaded(definition, target, settings)
            syncs, summaries = recent_syncs(target)
            lists_read = read_before(target) if target is not None else {}
            heard = inboxes.drain()
            runs = followed_runs(target, definition, definition.resources, heard, clock)
        _overlay_pending(loaded, settings)
        resources = await _resources(
            definition,
            connection,
            loaded,
            lists_read,
            runs,
            OrderMemory(connection, clock, full_scan_days=settings.full_scan_days),
        )
        limits = connection.quota().limits
        cost = total_cost(resource.cost for resource in resources)
        found = (
            lists_too_long(cost, limits, settings),
            changes_too_fast(syncs, summaries, limits, settings),
        )
        made = _summary(resources, connection, settings, clock.now())
        return replace(made, shortfalls=tuple(one for one in found if one is not None))


def _summary(
    resources: tuple[ResourcePlan, ...], connection: Connection, settings: Settings, now: datetime
) -> Plan:
    quota = connection.quota()
    limits = quota.limits
    budget = budget_now(quota, settings.reserve, settings.max_requests)
    cost = total_cost(resource.cost for resource in resources)
    forecast = connection.forecast(cost, now)
    starts_now = forecast.come_back_at <= now
    return Plan(
        workspace=settings.workspace,
        dialect=connection.dialect,
        made_at=now,
        resources=resources,
        quota=quota,
        reserved=kept(limits.per_day, settings.reserve),
        budget=budget,
        made=connection.client.counts.made,
        starts_now=starts_now,
        days_to_complete=forecast.days_left,
        come_back_at=_come_back_at(forecast, quota, now) if cost.requests else None,
    )


def _come_back_at(forecast: Forecast, quota: QuotaStatus, now: datetime) -> datetime | None:
    if forecast.come_back_at > now:
        return forecast.come_back_at
    if forecast.days_left == 1 or quota.limits.per_day is None:
        return None
    # What a sync sends now is free again when this day is over.
    instant = int(now.timestamp() * SECOND)
    return datetime.fromtimestamp(quota.limits.counts_until(instant // SECOND, instant), UTC)


# -- what is loaded -------------------------------------------------------------------------------


def _loaded(definition: Definition, target: Target | None, settings: Settings) -> Loaded:
    if target is None:
        return {resource.name: {} for resource in definition.resources}
    assembler = Assembler(definition, target, settings)
    loaded = {resource.name: assembler.known(resource) for resource in definition.resources}
    for name in assembler.readings().read_with_less:
        loaded[name] = {key: replace(row, detail_version=None) for key, row in loaded[name].items()}
    return loaded


def _overlay_pending(loaded: Loaded, settings: Settings) -> None:
    """Count what an interrupted sync has fetched as loaded: the next sync loads it without a request."""
    with contextlib.closing(Journal(settings.journal)) as journal:
        for segment in journal.segments():
            for item in journal.read(segment):
                if item.resource not in loaded or item.kind in (Kind.EVENTS, Kind.STALLED):
                    continue
                gone = item.kind is Kind.GONE
                loaded[item.resource][item.key] = Known(
                    item.version, item.row_hash, item.detail_version, deleted=gone
                )


# -- the first pages ------------------------------------------------------------------------------


async def _resources(
    definition: Definition,
    connection: Connection,
    loaded: Loaded,
    lists_read: Mapping[str, datetime],
    runs: FollowedRuns,
    orders: OrderMemory,
) -> tuple[ResourcePlan, ...]:
    scans: dict[str, Scan] = {}
    plans = []
    for resource in definition.resources:
        name = resource.name
        scan = scans[name] = Scan(resource, loaded[name], read_before=lists_read.get(name))
        if resource.parent is not None:
            total = _total(scans[resource.parent])
            parents = _living(scans[resource.parent]) if total is None else total
            cost = cost_of(scan, parents=parents)
            plans.append(_resource_plan(scan, cost, asked=False))
        elif resource.endpoint.optional and connection.known_missing(resource):
            cost = _cost_without_list(scan, runs)
            plans.append(_resource_plan(scan, cost, asked=False, missing=True))
        else:
            plans.append(await _asked(scan, connection, orders, runs))
    # A query takes one request in every sync, and more if its result is not there at once.
    one = Cost(1, lists_estimated=True)
    queries = (ResourcePlan(query.name, None, 0, one, asked=False) for query in definition.queries)
    return (*plans, *queries)


def _cost_without_list(scan: Scan, runs: FollowedRuns) -> Cost:
    """The cost of a resource whose list does not exist: the details of the runs that are due."""
    runs.after_list(scan, Tally())
    return Cost(details=sum(entry.wants_detail for entry in scan.pending.values()))


async def _asked(
    scan: Scan, connection: Connection, orders: OrderMemory, runs: FollowedRuns
) -> ResourcePlan:
    """The plan of a resource, from the first page of its list."""
    try:
        await _first_page(scan, connection, orders)
    except BudgetExhausted:
        return _resource_plan(scan, cost_of(scan), asked=False)
    except NotFoundError as error:
        if not scan.resource.endpoint.optional or not connection.note_missing(scan.resource):
            return _resource_plan(scan, cost_of(scan), error=error)
        return _resource_plan(scan, _cost_without_list(scan, runs), missing=True)
    except ApiError as error:
        if isinstance(error, NotAuthorisedError) and error.status == 401:
            raise
        return _resource_plan(scan, cost_of(scan), error=error)
    return _resource_plan(scan, cost_of(scan))


async def _first_page(scan: Scan, connection: Connection, orders: OrderMemory) -> None:
    """One request. The scan is finished if the page is the last one or proves the rest known."""
    early_stop = orders.early_stop(scan)
    opened = connection.open_list(scan.resource, None, {})
    async with aclosing(opened.pages(ahead=False)) as pages:
        page = await anext(pages)
    rows = scan.add(page)
    scan.order.add(rows, scan.known)
    if early_stop is not None and early_stop.proves_rest(page.total, rows, scan.order):
        scan.leave_rest(early_stop.rest)
        scan.finished = True
    scan.finished = scan.finished or page.is_last


def _resource_plan(
    scan: Scan,
    cost: Cost,
    *,
    asked: bool = True,
    missing: bool = False,
    error: ApiError | None = None,
) -> ResourcePlan:
    name, total, loaded = scan.resource.name, _total(scan), _living(scan)
    return ResourcePlan(name, total, loaded, cost, asked, missing, error)


def _total(scan: Scan) -> int | None:
    """Rows the API has, where it says so or the list was read to its end."""
    if scan.total is None and scan.finished:
        return len(scan.seen)
    return scan.total


def _living(scan: Scan) -> int:
    """Rows that are loaded and not deleted."""
    return sum(1 for row in scan.known.values() if not row.deleted)
