"""One extraction: scan every list, write what the lists tell, then fetch details while the budget
lasts.

Lists first: they are cheap, and they say what is worth a detail. What is fetched goes to `emit` at once
(the journal and the loading thread stand behind it); what the budget did not reach is emitted as bare
list rows at the end, so that the backlog is visible in the tables and the next run goes on there.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from oa_sync.client import ApiClient, Response
from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    NotAuthorisedError,
    NotFoundError,
    OaSyncError,
)
from oa_sync.extract.changes import Change, Known
from oa_sync.extract.dependent import dependent_pages
from oa_sync.extract.details import (
    DetailTask,
    detail_item,
    in_order,
    row_item,
    second_ends,
)
from oa_sync.extract.items import Item, Kind
from oa_sync.extract.scan import ListPage, Scan, scan

MAX_IN_FLIGHT = 16
MAX_ASKS = 3
FAILURES_IN_A_ROW = 10
LARGE_BODY = 64 * 1024


class DetailDocument(Protocol):
    """A detail as it is read (see `oa_sync.shape.document`)."""

    @property
    def fields(self) -> dict[str, Any]:
        """The decoded object; long lists are empty in it."""


class Lists(Protocol):
    """Access to the lists of an API (see `oa_sync.connection.Connection`)."""

    def pages(
        self, resource: Resource, path: str | None, params: Mapping[str, Any]
    ) -> AsyncIterator[ListPage]:
        """The pages of `resource`; `path` (None: the declared one) and `params` as resolved."""

    def known_missing(self, resource: Resource) -> bool:
        """Whether this optional list was not there lately, and need not be asked for again yet."""

    def note_missing(self, resource: Resource) -> None:
        """Remember that this optional list is not there."""


@dataclass
class Tally:
    """What one extraction did to one resource; the numbers of `sync --json`."""

    listed: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    details_fetched: int = 0
    backlog: int = 0
    errors: list[OaSyncError] = field(default_factory=list)
    missing: bool = False
    """The endpoint is optional and not there."""


class Extraction:
    """Runs once. `lists` opens lists, `emit` takes an item, `progress` hears of every step."""

    def __init__(
        self,
        client: ApiClient,
        clock: Clock,
        *,
        lists: Lists,
        read: Callable[[Resource, bytes | memoryview], DetailDocument],
        emit: Callable[[Item], Awaitable[None]],
        progress: Callable[[str, str, int, int | None], None],
        stopping: Callable[[], bool],
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._client, self._clock = client, clock
        self._lists, self._read, self._emit = lists, read, emit
        self._progress, self._stopping = progress, stopping
        self._max_in_flight = max_in_flight
        self.tallies: dict[str, Tally] = {}
        self.exhausted: BudgetExhausted | None = None
        self._failures: Counter[str] = Counter()
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._server_offset = timedelta(0)

    async def run(
        self, resources: Sequence[Resource], known: Mapping[str, Mapping[str, Known]]
    ) -> None:
        """Scan and fetch. The end of the budget and failing resources are in `exhausted` and
        `tallies`, not raised.

        Raises:
            NotAuthorisedError: the API refuses the key.
        """
        parents = {resource.parent for resource in resources}
        scans = [
            await self._scan(resource, known[resource.name], keep_rows=resource.name in parents)
            for resource in resources
        ]
        for result in scans:
            await self._emit_rows(result)
        tasks = in_order(scans)
        done = await self._fetch_all(tasks)
        for result in scans:
            await self._emit_unreached(result, done)

    # -- lists ----------------------------------------------------------------------------------

    async def _scan(
        self, resource: Resource, known: Mapping[str, Known], *, keep_rows: bool
    ) -> Scan:
        tally = self.tallies.setdefault(resource.name, Tally())
        result = Scan(resource, known, rows=[] if keep_rows else None)
        if resource.endpoint.optional and self._lists.known_missing(resource):
            tally.missing = True
        elif self.exhausted is None and not self._stopping():
            self._progress("list", resource.name, 0, None)
            await scan(result, self._open(resource))
        self._rows[resource.name] = result.rows or []
        tally.listed = len(result.seen)
        tally.new, tally.changed, tally.unchanged = result.new, result.changed, result.unchanged
        if isinstance(result.error, BudgetExhausted):
            self.exhausted = result.error
        elif isinstance(result.error, NotFoundError) and resource.endpoint.optional:
            tally.missing = True
            self._lists.note_missing(resource)
        elif isinstance(result.error, NotAuthorisedError) and result.error.status == 401:
            raise result.error
        elif result.error is not None:
            tally.errors.append(result.error)
        self._progress("list", resource.name, tally.listed, tally.listed)
        return result

    def _open(self, resource: Resource) -> AsyncIterator[ListPage]:
        if resource.parent is None:
            return self._lists.pages(resource, None, {})
        return dependent_pages(self._lists.pages, resource, self._rows[resource.parent])

    async def _emit_rows(self, result: Scan) -> None:
        """Rows that wait for no detail, and rows that are gone."""
        now = self._clock.now()
        keys = tuple(sorted(result.list_keys))
        for pending in result.pending.values():
            if not pending.wants_detail and (item := row_item(result.resource, pending, keys, now)):
                await self._emit(item)
        gone = result.gone()
        self.tallies[result.resource.name].deleted += len(gone)
        for key in gone:
            await self._emit(Item(Kind.GONE, result.resource.name, key, now, replaces=True))

    async def _emit_unreached(self, result: Scan, done: set[tuple[str, str]]) -> None:
        """Rows whose detail was not fetched: what the list tells of them, and a backlog."""
        now = self._clock.now()
        keys = tuple(sorted(result.list_keys))
        tally = self.tallies[result.resource.name]
        for pending in result.pending.values():
            if not pending.wants_detail or (result.resource.name, pending.listed.key) in done:
                continue
            tally.backlog += 1
            if item := row_item(result.resource, pending, keys, now):
                await self._emit(item)

    # -- details --------------------------------------------------------------------------------

    async def _fetch_all(self, tasks: deque[DetailTask]) -> set[tuple[str, str]]:
        """Fetch what the budget allows; returns (resource, key) of every row that is settled."""
        done: set[tuple[str, str]] = set()
        total = len(tasks)

        async def work() -> None:
            while tasks and self.exhausted is None and not self._stopping():
                task = tasks.popleft()
                if self._failures[task.resource.name] >= FAILURES_IN_A_ROW:
                    continue
                settled = await self._fetch(task)
                if settled is None:
                    tasks.append(task)
                elif settled:
                    done.add((task.resource.name, task.pending.listed.key))
                    self._progress("detail", task.resource.name, len(done), total)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._max_in_flight, total)):
                group.create_task(work())
        return done

    async def _fetch(self, task: DetailTask) -> bool | None:
        """Fetch one detail: True settled, False failed, None to be asked again later."""
        name = task.resource.name
        tally = self.tallies[name]
        try:
            await self._until_second_ends(task.pending.listed.version)
            response = await self._client.request("GET", task.path())
            self._learn_offset(response)
            item = await self._item(task, response)
        except BudgetExhausted as error:
            self.exhausted = error
            return False
        except NotFoundError:
            self._failures[name] = 0
            await self._emit_gone(task)
            return True
        except NotAuthorisedError as error:
            if error.status == 401:
                raise
            return self._failed(task, error)
        except ApiError as error:
            return self._failed(task, error)
        self._failures[name] = 0
        task.attempts += 1
        if self._is_racy(response, item) and task.attempts < MAX_ASKS:
            return None
        await self._emit(item)
        tally.details_fetched += 1
        return True

    async def _item(self, task: DetailTask, response: Response) -> Item:
        """Read the answer; a large one beside the event loop, so that fetching goes on meanwhile."""
        body = response.body
        if len(body) > LARGE_BODY:
            document = await asyncio.to_thread(self._read, task.resource, body)
        else:
            document = self._read(task.resource, body)
        return detail_item(task, body, document, document.fields, self._clock.now())

    def _failed(self, task: DetailTask, error: ApiError) -> bool:
        tally = self.tallies[task.resource.name]
        tally.errors.append(error)
        self._failures[task.resource.name] += 1
        return False

    async def _emit_gone(self, task: DetailTask) -> None:
        """The detail answers 404: the row left between the list and now."""
        tally = self.tallies[task.resource.name]
        known = task.pending.known
        if task.pending.change is Change.NEW:
            tally.new -= 1
        if known is None or known.deleted:
            return
        tally.deleted += 1
        await self._emit(
            Item(
                Kind.GONE,
                task.resource.name,
                task.pending.listed.key,
                self._clock.now(),
                replaces=True,
            )
        )

    # -- the server's clock ---------------------------------------------------------------------

    def _learn_offset(self, response: Response) -> None:
        if response.server_date is not None:
            self._server_offset = response.server_date - response.received_at

    async def _until_second_ends(self, version: str) -> None:
        """Wait until the second that `version` names is over by the server's clock."""
        left = second_ends(version, self._clock.now() + self._server_offset)
        if left is not None:
            await self._clock.sleep(left.total_seconds())

    @staticmethod
    def _is_racy(response: Response, item: Item) -> bool:
        """Whether the detail was read in the second that its own version names."""
        if response.server_date is None or item.detail_version is None:
            return False
        return second_ends(item.detail_version, response.server_date) is not None
