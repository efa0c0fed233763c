"""The details that a sync is about to ask for, noted on disk: a killed sync has not listed in vain.

A killed sync leaves its journal, so no detail is asked for twice. But the next sync reads the lists
again, and syncs that are always killed early would spend all their requests on lists. So the details to
ask for are noted when the lists are read, and a sync that finds such a note first asks for the rest of
it. Then it reads the lists as always. A note is only a hint: one that is old, damaged or lost costs
requests, not rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.details.tasks import DetailTask, newer
from oa_sync.extract.lists.changes import Known, compare, identity, listed, needs_detail
from oa_sync.extract.lists.scan import Pending
from oa_sync.journal.disk import Disk
from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode

MAX_AGE = timedelta(days=1)
"""An older note is not worth a request: too much of it has changed or gone since."""


class Unfinished:
    """A note in `folder`. It is there from the end of the lists to the orderly end of a sync."""

    def __init__(self, folder: Path, clock: Clock, disk: Disk | None = None) -> None:
        self._journal, self._clock = Journal(folder, disk), clock

    def note(self, tasks: Iterable[DetailTask]) -> None:
        """Note `tasks` in place of what was noted before, without rows that have no key and without
        resources that have a status: their requests follow other rules."""
        before = self._journal.segments()
        now = self._clock.now()
        for task in tasks:
            if task.pending.raw and task.resource.status is None and identity(task.resource):
                self._journal.append(
                    Item(
                        Kind.ROW,
                        task.resource.name,
                        task.pending.listed.key,
                        now,
                        row=task.pending.raw,
                        list_keys=task.list_keys,
                    )
                )
        self._journal.close()
        for segment in before:
            self._journal.done(segment)

    def forget(self) -> None:
        """The sync came to its end: what is left of the note is in the tables as backlog."""
        for segment in self._journal.segments():
            self._journal.done(segment)

    def rest(
        self, resources: Sequence[Resource], known: Mapping[str, Mapping[str, Known]]
    ) -> deque[DetailTask]:
        """What a killed sync noted and did not fetch, of `resources`; `known` is what is loaded."""
        by_name = {resource.name: resource for resource in resources}
        oldest = self._clock.now() - MAX_AGE
        tasks: dict[tuple[str, str], DetailTask] = {}
        for segment in self._journal.segments():
            for item in self._journal.read(segment):
                resource = by_name.get(item.resource)
                if resource is None or item.observed_at < oldest:
                    continue
                task = _task(resource, item, known[resource.name])
                if task is not None:
                    tasks[item.resource, item.key] = task
        return deque(tasks.values())


def _task(resource: Resource, item: Item, known: Mapping[str, Known]) -> DetailTask | None:
    """The request for `item`, a noted row; None when a detail was loaded since, of this version or a later one, or
    when the definition no longer finds a key in it."""
    try:
        entry = listed(resource, decode(item.row))
    except (InvalidResponseError, InvalidJsonError):
        return None
    loaded = known.get(entry.key)
    if not needs_detail(resource, entry, loaded):
        return None
    detail_version = loaded.detail_version if loaded else None
    if detail_version and newer(detail_version, entry.version) != entry.version:
        return None
    pending = Pending(entry, compare(entry, loaded), loaded, item.row, wants_detail=True)
    return DetailTask(resource, pending, item.list_keys)


def known_after(item: Item) -> Known:
    """What will be loaded of the row of `item` when the loading thread has written it."""
    return Known(item.version, item.row_hash, item.detail_version, deleted=item.kind is Kind.GONE)
