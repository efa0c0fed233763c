"""One extraction: scan every list, write what the lists tell, then fetch details while the budget
lasts.

Lists come first: they are cheap, and they say which details are needed. What is fetched goes to `emit`
at once (to the journal and the loading thread). Rows whose detail the budget did not reach are emitted
as plain list rows at the end: the tables show the backlog, and the next sync continues there. After a
kill, the details that the killed sync had listed come before the lists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from oa_sync.client import ApiClient
from oa_sync.client.paging import Onward
from oa_sync.client.wording import named
from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    IncompleteListError,
    NotAuthorisedError,
    NotFoundError,
    OaSyncError,
    unexpected,
)
from oa_sync.extract.cost import Cost, cost_of, total_cost, unseen_backlog
from oa_sync.extract.deletions import Deletions, Facts
from oa_sync.extract.details.fetching import DetailFetcher
from oa_sync.extract.details.identity import DetailIdentity
from oa_sync.extract.details.refused import Refusals
from oa_sync.extract.details.tasks import DetailTask, in_order, row_item
from oa_sync.extract.details.unfinished import Unfinished, known_after
from oa_sync.extract.lists.absent import key_row, to_catch_up, to_confirm
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.dependent import dependent_lists
from oa_sync.extract.lists.listing import OpenList
from oa_sync.extract.lists.order_memory import FULL_SCAN_DAYS, ListFacts, OrderMemory
from oa_sync.extract.lists.reading import scan
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.lists.told_keys import ToldKeys
from oa_sync.extract.lists.turns import Turns
from oa_sync.extract.rationing import Budget, Rationing, is_lost
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.set_aside import told
from oa_sync.extract.tally import Tally, Warned
from oa_sync.journal.items import Item, Kind
from oa_sync.quota.headers import as_exhausted


class Lists(ListFacts, Facts, Budget, Protocol):
    """Access to the lists of an API (see `oa_sync.workspace.connection.Connection`)."""

    def open_list(
        self,
        resource: Resource,
        path: str | None,
        params: Mapping[str, Any],
        start: Onward | None = None,
    ) -> OpenList:
        """The list of `resource`; `path` (None: the declared one) and `params` as resolved. `start`: where to
        begin (None: at its top)."""

    def note_missing(self, resource: Resource) -> bool:
        """Remember that this optional list is missing; whether that is believed."""

    def note_answered(self, resource: Resource) -> None:
        """Remember that this optional list is there."""


class Extraction:
    """Use it once. `lists` opens lists, `emit` takes items in order, `progress` is told of every step,
    `runs` knows the agent runs that no list shows.

    `read_before`: the server's time when a list was read last by a complete sync, by resource. `full_scan_days`:
    after this many days a list is read to its end, even if the rest of it could be
    proven known (see `oa_sync.extract.lists.early_stop`). `allow_mass_delete`: see
    `oa_sync.extract.deletions`. `full_refresh`: details that were refused are asked for as well.
    """

    def __init__(
        self,
        client: ApiClient,
        clock: Clock,
        *,
        lists: Lists,
        emit: Callable[[Sequence[Item]], Awaitable[None]],
        progress: Callable[[str, str, int, int | None], None],
        runs: FollowedRuns,
        unfinished: Unfinished,
        read_before: Mapping[str, datetime] | None = None,
        full_scan_days: float = FULL_SCAN_DAYS,
        allow_mass_delete: bool = False,
        full_refresh: bool = False,
    ) -> None:
        self._refusals = Refusals(lists, clock, ask_all=full_refresh)
        self._clock, self._lists, self._unfinished = clock, lists, unfinished
        self._hand_on, self._progress = emit, progress
        self._runs = runs
        self._read_before = read_before or {}
        self._orders = OrderMemory(lists, clock, full_scan_days=full_scan_days)
        self._told_keys, self._identity = ToldKeys(lists), DetailIdentity(lists)
        self.tallies: dict[str, Tally] = {}
        self.exhausted: BudgetExhausted | None = None
        self.in_parts: BudgetExhausted | None = None
        """Why the sync is partial though the budget did not end: a list was read in part."""
        self.remaining = Cost()
        """What the next sync has to send; known when this one is over."""
        self._unreachable: ConnectionFailedError | None = None
        self._scans: dict[str, Scan] = {}
        self._turns: dict[str, Turns] = {}
        self._resumed: Mapping[str, MutableMapping[str, Known]] | None = None
        self._deletions = Deletions(client, clock, lists, self.tallies, allow=allow_mass_delete)
        self._details = DetailFetcher(
            client,
            clock,
            emit=self._emit,
            progress=progress,
            tallies=self.tallies,
            deletions=self._deletions,
            identity=self._identity,
        )

    async def run(
        self, resources: Sequence[Resource], known: Mapping[str, MutableMapping[str, Known]]
    ) -> None:
        """Scan and fetch. The end of the budget is in `exhausted`, failing resources are in `tallies`;
        neither is raised. What is fetched before the lists are read is added to `known`.

        Raises:
            NotAuthorisedError: the API refuses the key.
        """
        await self._resume(resources, known)
        self._rationing = Rationing(self._lists, resources, known)
        parents = {resource.parent for resource in resources}
        scans = [
            await self._scan(resource, known[resource.name], keep_rows=resource.name in parents)
            for resource in resources
        ]
        for result in scans:
            await self._contained(result, self._emit_listed)
        done: set[tuple[str, str]] = set()
        reached = self.exhausted is None and self._unreachable is None
        if reached:
            tasks = in_order(scans, self._refusals.before(resources))
            self._unfinished.note(tasks)
            done = await self._details.fetch(self._refusals.due(tasks))
            for resource in resources if self._details.exhausted is None else ():
                if (refused := self._refusals.told(resource)) is not None:
                    self.tallies[resource.name].errors.append(refused)
            if found := self._runs.referenced(self.tallies):
                wanted = (task for task in in_order(scans) if task.row in found)
                done = await self._details.fetch(deque(wanted))
            self.exhausted = self._details.exhausted
            done = await self._read_left_out(scans, done)
        done = await self._delete(scans, done)
        await self._write(self._runs.gone_unseen(done))
        for result in scans:
            await self._contained(result, lambda scan: self._conclude(scan, done))
        if reached:
            self._unfinished.forget()
        self.in_parts = self._rationing.in_parts
        self.remaining = self._cost(scans, done)

    async def _contained(self, result: Scan, step: Callable[[Scan], Awaitable[None]]) -> None:
        """Take a step for one resource. What a library raises in it does not stop the others."""
        name = result.resource.name
        try:
            await step(result)
        except ApiError as error:
            self.tallies[name].errors.append(error)
        except OaSyncError:
            raise
        except Exception as error:
            self.tallies[name].errors.append(unexpected(error, f"{name}: handing on the rows"))

    async def _emit_listed(self, result: Scan) -> None:
        await self._write(self._runs.after_list(result, self.tallies[result.resource.name]))
        self._deletions.leave_for_later(result)
        self._told_keys.look_again(result)
        self._identity.look_again(result)
        await self._emit_rows(result)

    async def _conclude(self, result: Scan, done: set[tuple[str, str]]) -> None:
        await self._emit_unreached(result, done)
        details = self._details
        self._refusals.conclude(result.resource, details.failed, details.refused, done)
        self._orders.conclude(result)
        self._told_keys.conclude(result)
        self._identity.conclude(result.resource)

    async def _delete(
        self, scans: Sequence[Scan], done: set[tuple[str, str]]
    ) -> set[tuple[str, str]]:
        """Decide about the absent rows of all lists; returns what is settled now."""
        for result in scans:
            cut = self.exhausted is not None or self._unreachable is not None
            await self._emit_all(await self._deletions.decide(result, cut=cut))
            more = {} if cut else self._deletions.to_ask(result)
            if more:
                result.pending.update(more)
                keys = tuple(sorted(result.list_keys))
                tasks = (DetailTask(result.resource, row, keys) for row in more.values())
                done = await self._details.fetch(deque(tasks))
                self.exhausted = self._details.exhausted
                cut = self.exhausted is not None
                await self._emit_all(await self._deletions.decide(result, cut=cut))
            self._deletions.marked(result)
        return done

    def _cost(self, scans: Sequence[Scan], done: set[tuple[str, str]]) -> Cost:
        """What the next sync has to send: every list again, and the details that are not settled."""
        rows = {result.resource.name: len(result.seen or result.known) for result in scans}
        costs = {
            result.resource.name: cost_of(
                result,
                settled={key for name, key in done if name == result.resource.name},
                parents=rows.get(result.resource.parent) if result.resource.parent else None,
            )
            for result in scans
        }
        return total_cost(
            replace(cost, lists=0) if self.tallies[name].missing else cost
            for name, cost in costs.items()
        )

    async def _resume(
        self, resources: Sequence[Resource], known: Mapping[str, MutableMapping[str, Known]]
    ) -> None:
        """Fetch the details that a killed sync had listed."""
        tasks = self._unfinished.rest(resources, known)
        if not tasks:
            return
        for task in tasks:
            self.tallies.setdefault(task.resource.name, Tally())
        new = [(t.resource.name, t.pending.listed.key) for t in tasks if t.pending.known is None]
        self._resumed = known
        done = await self._details.resume(tasks)
        self._resumed = None
        self.exhausted = self._details.exhausted
        if self.exhausted is not None:
            for name, key in new:
                self.tallies[name].backlog += (name, key) not in done

    # -- lists ----------------------------------------------------------------------------------

    async def _scan(
        self, resource: Resource, known: Mapping[str, Known], *, keep_rows: bool
    ) -> Scan:
        tally = self.tallies.setdefault(resource.name, Tally())
        read_before = self._read_before.get(resource.name)
        result = Scan(resource, known, rows={} if keep_rows else None, read_before=read_before)
        self._scans[resource.name] = result
        if resource.endpoint.optional and self._lists.known_missing(resource):
            tally.missing = True
        elif self.exhausted is None and self._unreachable is None:
            self._progress("list", resource.name, 0, None)
            await self._read(result)
        tally.total = result.total
        self._tell(result)
        self._progress("list", resource.name, tally.listed, tally.listed)
        return result

    def _tell(self, result: Scan) -> None:
        """Add what came of reading a list to its tally."""
        resource, tally = result.resource, self.tallies[result.resource.name]
        tally.listed += len(result.seen) + result.rest_known
        tally.new += result.new
        tally.changed += result.changed
        tally.unchanged += result.unchanged
        if result.shows_more:
            tally.warnings.append(
                Warned(
                    "total",
                    f"the list says that it has {result.total:,} rows, and shows {len(result.seen):,}:"
                    " its total is capped or stale, and proves nothing",
                )
            )
        if result.is_bare:
            tally.warnings.append(
                Warned(
                    "empty_answer",
                    "the list answers without a body, which is taken for an empty list and proves no deletion",
                )
            )
        if exhausted := as_exhausted(result.error, self._clock.now()):
            self.exhausted = exhausted
        elif isinstance(result.error, NotFoundError) and resource.endpoint.optional:
            if self._lists.note_missing(resource):
                tally.missing = True
            else:
                tally.errors.append(result.error)
        elif isinstance(result.error, NotAuthorisedError) and result.error.status == 401:
            raise result.error
        elif result.error is not None:
            tally.errors.append(result.error)
            if isinstance(result.error, ConnectionFailedError):
                self._unreachable = result.error
        elif resource.endpoint.optional and result.finished:
            self._lists.note_answered(resource)
        if result.set_aside or result.same_key:
            tally.set_aside += [*result.set_aside.values(), *result.same_key.values()]
            tally.errors.append(told(resource.name, tally.set_aside))

    async def _read(self, result: Scan) -> None:
        """Read the list, or as much of it as its ration allows."""
        early_stop = self._orders.early_stop(result)
        ration = self._rationing.of(result) if early_stop is None else None
        start = ration.start if ration is not None else None
        await scan(result, self._open(result, start), early_stop, self._emit_full, ration)
        if ration is not None and is_lost(ration, result):
            ration, result.error = ration.from_the_top(), None
            await scan(result, self._open(result), None, self._emit_full, ration)
        tally = self.tallies[result.resource.name]
        self._rationing.conclude(result, ration, tally)
        if (turns := self._turns.get(result.resource.name)) is not None:
            self._rationing.conclude_turns(result, turns, tally)
        if result.is_part or (ration is not None and ration.is_part):
            result.pending.update(to_catch_up(result))
        elif result.finished and (ration is None or ration.start is None):
            tally.read_at = result.since

    async def _open(self, result: Scan, start: Onward | None = None) -> AsyncIterator[OpenList]:
        resource = result.resource
        if resource.parent is None:
            yield self._lists.open_list(resource, None, {}, start)
            return
        parents = self._scans[resource.parent]
        # A parent that was missed hides the rows of its list too.
        if not parents.finished or parents.is_mass_absent:
            result.parents_proven = False
        elif not parents.is_complete and parents.absent():
            result.parents_proven = None
            result.parents_are_asked_for = bool(to_confirm(parents))
        rows = parents.rows or {}
        turns = self._turns[resource.name] = self._rationing.turns(result, list(rows))
        async for opened in self._of_parents(result, rows, turns):
            yield opened

    async def _of_parents(
        self, result: Scan, rows: Mapping[str, dict[str, Any]], turns: Turns
    ) -> AsyncIterator[OpenList]:
        """The lists of the parents in `rows`, which are by key, as `turns` allows."""
        keys = iter(turns.order)
        in_turn = (rows[key] for key in turns.order)
        async for opened in dependent_lists(self._lists.open_list, result.resource, in_turn):
            if not turns.may_begin(result.pages):
                result.is_part = True
                return
            parent = next(keys)
            yield opened
            turns.end_one()
            result.of_parent[parent] = opened.shown
            if opened.is_missing:
                result.lists_missing.add(parent)

    async def _read_left_out(
        self, scans: Sequence[Scan], done: set[tuple[str, str]]
    ) -> set[tuple[str, str]]:
        """Read the lists of parents that no list showed and whose details answer: else their rows would stay as they
        were, in a sync that is complete. Returns the details that are settled now."""
        late: dict[str, dict[str, dict[str, Any]]] = {}
        for result in scans:
            resource = result.resource
            left_out = self._deletions.left_out(result)
            late[resource.name] = {key: key_row(result, key) for key in left_out}
            parents = late.get(resource.parent or "", {})
            if not parents or not result.finished or self.exhausted is not None:
                continue
            needed = {*resource.include_from_parent}
            needed |= {one.field for one in resource.endpoint.resolved.values()}
            if not needed <= set(self._scans[resource.parent or ""].resource.primary_key):
                self.tallies[resource.name].errors.append(_not_read(resource, list(parents)))
                continue
            more = Scan(
                resource, result.known, parents_proven=False, read_before=result.read_before
            )
            more.rows = {} if result.rows is not None else None
            await scan(
                more,
                self._of_parents(more, parents, Turns(list(parents), None, None)),
                None,
                self._emit_full,
            )
            self._tell(more)
            late[resource.name] |= more.rows or {}
            result.take_in(more)
            keys = tuple(sorted(result.list_keys))
            rows = [row for row in more.pending.values() if not row.wants_detail]
            await self._emit_all(self._row_items(resource, rows, keys))
            tasks = (task for task in in_order([more]) if task.row not in done)
            done = await self._details.fetch(deque(tasks))
            if self._details.exhausted is not None:
                self.exhausted = self._details.exhausted
        return done

    async def _emit(self, item: Item) -> None:
        await self._write(self._runs.completed(item))
        if self._resumed is not None:
            self._resumed[item.resource][item.key] = known_after(item)

    async def _emit_all(self, items: Iterable[Item]) -> None:
        """Emit items that cost no request of their own, in one go."""
        await self._write([one for item in items for one in self._runs.completed(item)])

    async def _write(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.kind not in (Kind.EVENTS, Kind.STALLED):
                self._orders.note(item)
        await self._hand_on(items)

    async def _emit_full(self, result: Scan) -> None:
        """Emit the full rows while the list is still being read, so that memory never holds all of them."""
        rows = result.take_full()
        await self._write(self._runs.listed(result, rows))
        await self._emit_all(self._row_items(result.resource, rows, ()))

    def _row_items(
        self, resource: Resource, rows: Iterable[Pending], list_keys: tuple[str, ...]
    ) -> Iterator[Item]:
        now = self._clock.now()
        for pending in rows:
            first_seen = self._runs.first_seen(resource.name, pending.listed.key, now)
            if item := row_item(resource, pending, list_keys, now, first_seen):
                yield item

    async def _emit_rows(self, result: Scan) -> None:
        """Emit the rows that wait for no detail, and the rows that the list alone proves gone."""
        keys = tuple(sorted(result.list_keys))
        rows = [row for row in result.pending.values() if not row.wants_detail]
        await self._emit_all(self._row_items(result.resource, rows, keys))
        await self._emit_all(self._deletions.listed(result))

    async def _emit_unreached(self, result: Scan, done: set[tuple[str, str]]) -> None:
        """Emit the list rows whose detail was not fetched, and count them as backlog."""
        keys = tuple(sorted(result.list_keys))
        unreached = [
            row
            for row in result.pending.values()
            if row.wants_detail and (result.resource.name, row.listed.key) not in done
        ]
        self.tallies[result.resource.name].backlog += unseen_backlog(result) + len(unreached)
        await self._emit_all(self._row_items(result.resource, unreached, keys))


def _not_read(resource: Resource, parents: list[str]) -> IncompleteListError:
    return IncompleteListError(
        f"{resource.name}: the list of {resource.parent} leaves out {named(parents, 3)}, which answers when it is asked"
        " for, and its row there is needed to read the lists below it. Run again; if it stays so, tell the vendor"
    )
