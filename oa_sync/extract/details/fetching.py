"""Fetching details: many at once; one that fails does not stop the others."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from oa_sync.client import ApiClient, Response
from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthorisedError,
    NotFoundError,
    OaSyncError,
    RateLimitedError,
    ServerError,
    unexpected,
)
from oa_sync.extract.deletions import Deletions, Verdict, shown_but_missing
from oa_sync.extract.details.concurrency import Concurrency
from oa_sync.extract.details.identity import DetailIdentity
from oa_sync.extract.details.tasks import DetailTask, detail_item, second_ends
from oa_sync.extract.statuses import has_ended
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item
from oa_sync.quota.headers import as_exhausted
from oa_sync.shape.document import read_document

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 64
MAX_IN_FLIGHT_AFTER_KILL = 4
"""What is in flight when a process is killed is lost and paid for again, and a process that was killed
once (for its memory, say) may be killed again. At 80 ms an answer, four are 3,000 requests a minute."""
MAX_ASKS = 3
FAILURES_IN_A_ROW = 5
SECOND_TRIES = 2
LARGE_BODY = 64 * 1024
_MAY_HEAL = (ServerError, ConnectionFailedError, InvalidResponseError, RateLimitedError)


class DetailFetcher:
    """Asks for details until all are settled or no more may be asked for.

    A detail that fails after the client's own retries is asked for once more when all others are
    settled, so that a bad minute of the server does not cost a night. A resource whose details fail
    `FAILURES_IN_A_ROW` times, with no success in between, is left alone for this sync (a circuit
    breaker: the quota goes to the other resources); its other details are backlog.
    """

    def __init__(
        self,
        client: ApiClient,
        clock: Clock,
        *,
        emit: Callable[[Item], Awaitable[None]],
        progress: Callable[[str, str, int, int | None], None],
        tallies: Mapping[str, Tally],
        deletions: Deletions,
        identity: DetailIdentity,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._client, self._clock = client, clock
        self._emit, self._progress = emit, progress
        self._tallies, self._deletions, self._identity = tallies, deletions, identity
        self._concurrency = Concurrency(max_in_flight)
        self._failures: Counter[str] = Counter()
        self._second_chance: list[tuple[DetailTask, ApiError]] = []
        self._missing: list[tuple[DetailTask, NotFoundError]] = []
        """Details that answered 404 though the list showed their rows."""
        self._server_offset = timedelta(0)
        self._done: set[tuple[str, str]] = set()
        self.failed: dict[tuple[str, str], DetailTask] = {}
        """The tasks that failed, by resource and key. A row may have been settled later."""
        self.refused: set[tuple[str, str]] = set()
        """Those of them that the API refused: asked again, it will refuse them again."""
        self.exhausted: BudgetExhausted | None = None

    def learn_server_date(self, response: Response) -> None:
        """Take the server's time from any of its answers."""
        if response.server_date is not None:
            self._server_offset = response.server_date - response.received_at

    async def fetch(self, tasks: deque[DetailTask]) -> set[tuple[str, str]]:
        """Fetch what may be fetched; returns (resource, key) of every row that is settled.

        The end of the budget is in `exhausted`, failures are in the tallies.

        Raises:
            NotAuthorisedError: 401; the API refuses the key.
            OaSyncError: whatever `emit` raises.
        """
        total = len(self._done) + len(tasks)
        await self._all(tasks, total, tries=None)
        if self.exhausted is None:
            again, self._second_chance = self._second_chance, []
            await self._all(deque(task for task, _ in again), total, tries=SECOND_TRIES)
            left = {id(task): error for task, error in [*again, *self._second_chance]}
            for task, _ in again:
                if (task.resource.name, task.pending.listed.key) not in self._done:
                    self._tallies[task.resource.name].errors.append(left[id(task)])
        await self._look_again()
        return self._done

    async def resume(self, tasks: deque[DetailTask]) -> set[tuple[str, str]]:
        """Fetch what a killed sync had listed and not fetched, with one try each, before the lists are
        read again. Returns what is settled; the rest is left to `fetch`.

        Raises: as `fetch`.
        """
        self._concurrency = Concurrency(MAX_IN_FLIGHT_AFTER_KILL)
        await self._all(tasks, len(tasks), tries=1)
        done, self._done = self._done, set()
        # `fetch` asks once more for what failed here, and reports it.
        self._second_chance.clear()
        self._missing.clear()
        self._failures.clear()
        for tally in self._tallies.values():
            tally.errors.clear()
        return done

    async def _look_again(self) -> None:
        """Settle the rows that left their list before their detail was asked for; the others have failed."""
        missing, self._missing = self._missing, []
        for task, error in missing:
            marks = None if self.exhausted else await self._deletions.left_meanwhile(task)
            if marks is None:
                self._tallies[task.resource.name].errors.append(error)
                continue
            for mark in marks:
                await self._emit(mark)
            self._done.add(task.row)

    async def _all(self, tasks: deque[DetailTask], total: int, tries: int | None) -> None:
        running: set[asyncio.Task[None]] = set()
        finished: set[asyncio.Task[None]] = set()
        try:
            while (tasks and self.exhausted is None) or running:
                while tasks and self.exhausted is None and len(running) < self._concurrency.limit:
                    task = tasks.popleft()
                    if not self._is_open(task.resource):
                        running.add(asyncio.create_task(self._settle(task, tasks, tries)))
                if not running:
                    break
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in finished:
                    self._concurrency.answered(self._clock.monotonic())
                    one.result()
                self._progress("detail", "", len(self._done), total)
        finally:
            for one in running:
                one.cancel()
            # The finished ones too: several may have failed of one full disk, and one was looked at.
            await asyncio.gather(*running, *finished, return_exceptions=True)

    async def _settle(self, task: DetailTask, tasks: deque[DetailTask], tries: int | None) -> None:
        """As `_ask`; what a library raises is a failure of this detail alone."""
        try:
            await self._ask(task, tasks, tries)
        except OaSyncError:
            raise
        except Exception as error:
            self._failed(task, unexpected(error, " ".join(("detail of", *task.row))))

    async def _ask(self, task: DetailTask, tasks: deque[DetailTask], tries: int | None) -> None:
        """Fetch one detail; one that has to be read again later goes back into `tasks`."""
        name = task.resource.name
        try:
            await self._until_second_ends(task.racy_version or task.pending.listed.version)
            response = await self._client.request("GET", task.path(), max_tries=tries)
            self.learn_server_date(response)
            self._concurrency.received(len(response.body))
            item = await self._item(task, response)
        except (BudgetExhausted, RateLimitedError) as error:
            self.exhausted = self.exhausted or as_exhausted(error, self._clock.now())
            if self.exhausted is None and isinstance(error, RateLimitedError):
                self._failed(task, error)
            return
        except NotFoundError as error:
            verdict, marks = self._deletions.not_found(task)
            if verdict is Verdict.FAILED:
                self._failed(task, shown_but_missing(task, error))
                return
            if verdict is Verdict.UNDECIDED:
                self.failed[task.row] = task
                self.refused.add(task.row)
                return
            for mark in marks:
                await self._emit(mark)
            if verdict is not Verdict.HELD:
                self._failures[name] = 0
        except ApiError as error:
            if isinstance(error, NotAuthorisedError) and error.status == 401:
                raise
            self._failed(task, error)
            return
        else:
            task.attempts += 1
            if self._is_racy(task, response, item) and task.attempts < MAX_ASKS:
                task.racy_version = item.detail_version
                tasks.append(task)
                return
            self._deletions.answered(task)
            await self._emit(item)
            self._tallies[name].details_fetched += 1
            self._failures[name] = 0
        self._done.add((name, task.pending.listed.key))

    async def _item(self, task: DetailTask, response: Response) -> Item:
        """Decode the answer; a large one in another thread, so that fetching goes on meanwhile."""
        body = response.body
        if len(body) > LARGE_BODY:
            document = await asyncio.to_thread(read_document, task.resource, body)
        else:
            document = read_document(task.resource, body)
        self._identity.check(task, document.fields)
        return detail_item(task, body, document, document.fields, self._clock.now())

    # -- failures -------------------------------------------------------------------------------

    def _is_open(self, resource: Resource) -> bool:
        """Whether the circuit breaker of `resource` is open: nothing more is asked of it."""
        return self._failures[resource.name] >= FAILURES_IN_A_ROW

    def _failed(self, task: DetailTask, error: ApiError) -> None:
        name = task.resource.name
        self.failed[task.row] = task
        if isinstance(error, InvalidRequestError):
            self.refused.add(task.row)
        self._failures[name] += 1
        if self._failures[name] == FAILURES_IN_A_ROW:
            logger.warning(
                "%s: %d details in a row failed; its other details wait for the next sync: %s",
                name,
                FAILURES_IN_A_ROW,
                error,
            )
        if isinstance(error, _MAY_HEAL):
            self._second_chance.append((task, error))
        elif isinstance(error, NotFoundError):
            self._missing.append((task, error))
        else:
            self._tallies[name].errors.append(error)

    # -- the server's clock ---------------------------------------------------------------------

    async def _until_second_ends(self, version: str) -> None:
        """Wait until the second that `version` names is over by the server's clock."""
        left = second_ends(version, self._clock.now() + self._server_offset)
        if left is not None:
            await self._clock.sleep(left.total_seconds())

    @staticmethod
    def _is_racy(task: DetailTask, response: Response, item: Item) -> bool:
        """Whether the detail was read within the second that its own version names, so that a later
        change in that second would not be seen. Never so for an agent run that has ended (it does not
        change) or that no list shows (it is asked for until it ends)."""
        if response.server_date is None or item.detail_version is None:
            return False
        if task.resource.status is not None and (
            not task.pending.listed.row_hash or has_ended(task.resource, item)
        ):
            return False
        return second_ends(item.detail_version, response.server_date) is not None
