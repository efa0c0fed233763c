"""Rows whose detail failed: which are asked for last, and which not again yet.

A row that always fails must not starve the others: it is asked for last in its resource. One that the API *refused*
(400, 422 and their like, which are about the request) will be refused tomorrow too. So it is asked for at twice its age,
at least every `LONGEST`, and at once when its list shows another version of it. Until then it is backlog, and told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oa_sync.client.wording import named
from oa_sync.clock import Clock, instant_of
from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidRequestError
from oa_sync.extract.deletions import Facts
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.intervals import next_look

LONGEST = timedelta(days=7)
MOST_FAILED = 1_000
"""Rows of one resource that are remembered."""
_FAILED = "failed"
_SHOWN = 3

_Row = tuple[str, str]


@dataclass(frozen=True)
class _Failure:
    """`first` and `last`: when the detail was refused; None: it failed otherwise."""

    version: str
    first: datetime | None = None
    last: datetime | None = None

    def waits(self, version: str, now: datetime) -> bool:
        """Whether a row that has this `version` now is not to be asked for yet."""
        if self.first is None or self.last is None or version != self.version:
            return False
        return self.last <= now < next_look(self.first, self.last, LONGEST)


class Refusals:
    """What is remembered of failed details in `facts`, from one sync to the next. `ask_all`: nothing waits."""

    def __init__(self, facts: Facts, clock: Clock, *, ask_all: bool = False) -> None:
        self._facts, self._clock, self._ask_all = facts, clock, ask_all
        self._waiting: dict[_Row, DetailTask] = {}

    def before(self, resources: Iterable[Resource]) -> set[_Row]:
        """The rows whose detail failed when it was asked for last."""
        return {(one.name, key) for one in resources for key in self._known(one)}

    def due(self, tasks: Sequence[DetailTask]) -> deque[DetailTask]:
        """Those of `tasks` that are not waiting because they were refused."""
        if self._ask_all:
            return deque(tasks)
        now = self._clock.now()
        known = {name: self._known(one) for name, one in _resources(tasks).items()}
        for task in tasks:
            name, key = task.row
            failure = known[name].get(key)
            if failure is not None and failure.waits(task.pending.listed.version, now):
                self._waiting[task.row] = task
        return deque(task for task in tasks if task.row not in self._waiting)

    def told(self, resource: Resource) -> InvalidRequestError | None:
        """The error that tells of the rows of `resource` that wait; None: none does."""
        keys = [key for name, key in self._waiting if name == resource.name]
        if not keys:
            return None
        known = self._known(resource)
        looks = [
            next_look(f.first, f.last, LONGEST) for k in keys if (f := known[k]).first and f.last
        ]
        shown = named(keys[:_SHOWN], _SHOWN)
        more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
        return InvalidRequestError(
            f"{resource.name}: the API refused the details of {shown}{more}; they are loaded as the"
            f" list has them, and asked for again from {min(looks):%Y-%m-%d %H:%M} UTC on, or when they change"
        )

    def conclude(
        self,
        resource: Resource,
        failed: Mapping[_Row, DetailTask],
        refused: Collection[_Row],
        done: Collection[_Row],
    ) -> None:
        """Remember what failed in this sync or before, and is not `done`; `refused` are some of the `failed`."""
        name, before, now = resource.name, self._known(resource), self._clock.now()
        kept = {key: failure for key, failure in before.items() if (name, key) not in done}
        for row, task in failed.items():
            if row[0] != name or row in done:
                continue
            version, earlier = task.pending.listed.version, before.get(row[1])
            first = now
            if earlier is not None and earlier.version == version:
                first = earlier.first or now
            kept[row[1]] = _Failure(version, first, now) if row in refused else _Failure(version)
        some = dict(sorted(kept.items())[:MOST_FAILED])
        fact = {key: _as_fact(failure) for key, failure in some.items()}
        self._facts.set_fact(_FAILED, resource, fact or None)

    def _known(self, resource: Resource) -> dict[str, _Failure]:
        fact = self._facts.fact(_FAILED, resource)
        if isinstance(fact, list):  # as versions before this one wrote it: the keys alone
            return {str(key): _Failure("") for key in fact}
        entries = fact.items() if isinstance(fact, dict) else ()
        return {key: _from_fact(value) for key, value in entries}


def _resources(tasks: Iterable[DetailTask]) -> dict[str, Resource]:
    return {task.resource.name: task.resource for task in tasks}


def _as_fact(failure: _Failure) -> list[str | None]:
    times = (at.isoformat() if at is not None else None for at in (failure.first, failure.last))
    return [failure.version, *times]


def _from_fact(value: Any) -> _Failure:
    match value:
        case [str(version), str() | None as first, str() | None as last]:
            return _Failure(version, instant_of(first), instant_of(last))
        case _:
            return _Failure("")
