"""Details fetched from a scripted server, and what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from itertools import chain
from typing import Any

from oa_sync.client import ApiClient
from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.extract.deletions import Deletions
from oa_sync.extract.details.fetching import DetailFetcher
from oa_sync.extract.details.identity import DetailIdentity
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.lists.changes import Change, Known, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item
from tests.client.scripted import Reply, ScriptedServer, Seen, api, reply
from tests.support.clock import ManualClock


class NoFacts:
    """Remembers nothing."""

    def fact(self, kind: str, resource: Resource) -> Any:
        return None

    def set_fact(self, kind: str, resource: Resource, value: Any) -> None:
        """Forget it at once."""


def deletions_after(
    client: ApiClient, clock: Clock, tallies: dict[str, Tally], tasks: Iterable[DetailTask]
) -> Deletions:
    """The door to deletions, after lists that showed one row that answers, and none of those of `tasks`."""
    deletions = Deletions(client, clock, NoFacts(), tallies)
    for task in tasks:
        deletions.listed(Scan(task.resource, {}, {"shown"}, finished=True, proven=False))
        shown = replace(task.pending.listed, key="shown")
        deletions.answered(replace(task, pending=replace(task.pending, listed=shown)))
    return deletions


VERSION = "2026-01-01T00:00:00Z"


def resource(name: str = "reports", **words: Any) -> Resource:
    return Resource.model_validate(
        {
            "name": name,
            "endpoint": {"path": name, "incremental": {"cursor_path": "at"}},
            "primary_key": ["id"],
            "detail": {"path": name + "/{id}"},
            **words,
        }
    )


REPORTS = resource()


def task(
    key: str,
    of: Resource = REPORTS,
    *,
    known: Known | None = None,
    change: Change | None = None,
    version: str = VERSION,
    row_hash: str = "hash",
) -> DetailTask:
    """One detail to ask for; new where nothing is `known`."""
    entry = Listed(key, (key,), version, row_hash, full=False, row={"id": key})
    change = change or (Change.NEW if known is None else Change.CHANGED)
    raw = b'{"id":"%s"}' % key.encode()
    return DetailTask(of, Pending(entry, change, known, raw, wants_detail=True), ("id",))


def tasks(count: int, of: Resource = REPORTS) -> list[DetailTask]:
    return [task(f"{of.name}{n}", of) for n in range(count)]


def detail(key: str, at: str = VERSION, *, date: datetime | None = None, **fields: Any) -> Reply:
    """An answer with a detail, and with the server's time where `date` says so."""
    headers = {"date": format_datetime(date, usegmt=True)} if date is not None else {}
    return reply({"id": key, "at": at, **fields}, **headers)


def found(request: Seen) -> Reply:
    """Every detail is there."""
    return detail(request.path.rsplit("/", 1)[-1])


@dataclass
class Outcome:
    """`asked`: how often each key was asked for. `order`: the keys in the order of the requests."""

    server: ScriptedServer
    fetcher: DetailFetcher
    deletions: Deletions
    clock: ManualClock
    emitted: list[Item] = field(default_factory=list)
    progress: list[tuple[str, str, int, int | None]] = field(default_factory=list)
    settled: set[tuple[str, str]] = field(default_factory=set)
    tallies: dict[str, Tally] = field(default_factory=dict)

    @property
    def order(self) -> list[str]:
        return [seen.path.rsplit("/", 1)[-1] for seen in self.server.seen]

    @property
    def asked(self) -> Counter[str]:
        return Counter(self.order)

    @property
    def written(self) -> list[str]:
        return [item.key for item in self.emitted]


Emit = Callable[[Item], None]


def fetched(
    wanted: Sequence[DetailTask],
    script: Callable[[Seen], Reply] = found,
    *,
    resumed: Sequence[DetailTask] = (),
    then: Sequence[DetailTask] = (),
    lists: Sequence[Scan] = (),
    emit: Emit = lambda _: None,
    max_in_flight: int = 1,
    **options: Any,
) -> Outcome:
    """What came of `resumed`, as after a kill, then `wanted`, `then` in one more call. `lists` were read before."""
    calls = (resumed, wanted, then)
    return asyncio.run(_fetched(calls, script, lists, emit, max_in_flight=max_in_flight, **options))


async def _fetched(
    calls: tuple[Sequence[DetailTask], ...],
    script: Callable[[Seen], Reply],
    lists: Sequence[Scan],
    emit: Emit,
    *,
    max_in_flight: int,
    **options: Any,
) -> Outcome:
    clock = options.setdefault("clock", ManualClock())
    async with api(script, **options) as (server, client):

        async def take(item: Item) -> None:
            emit(item)
            outcome.emitted.append(item)

        tallies = {one.resource.name: Tally(new=10) for one in chain(*calls)}
        progress: list[tuple[str, str, int, int | None]] = []
        deletions = deletions_after(client, clock, tallies, chain(*calls))
        for each in lists:
            deletions.listed(each)
        fetcher = DetailFetcher(
            client,
            clock,
            emit=take,
            progress=lambda *step: progress.append(step),
            tallies=tallies,
            deletions=deletions,
            identity=DetailIdentity(NoFacts()),
            max_in_flight=max_in_flight,
        )
        outcome = Outcome(server, fetcher, deletions, clock, progress=progress, tallies=tallies)
        for some, call in zip(calls, (fetcher.resume, fetcher.fetch, fetcher.fetch), strict=True):
            if some:
                try:
                    outcome.settled |= await call(deque(some))
                finally:
                    assert not any(map(_is_of_a_detail, asyncio.all_tasks())), "all have ended"
        return outcome


def _is_of_a_detail(task: asyncio.Task[Any]) -> bool:
    return "DetailFetcher._settle" in repr(task.get_coro())
