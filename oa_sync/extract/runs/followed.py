"""The runs that one sync follows: between the lists and the details, and between these and the journal.

`FollowedRuns` is told of every list that was read (`after_list`) and adds to it the runs that no list
shows and that are due. Every item passes through `completed`, which adds when a run was first seen, and
before it the statuses that are new. It makes items and hands none on itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import orjson

from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.runs.known import Announcement, LoadedRun, ids_at
from oa_sync.extract.runs.resource_runs import ResourceRuns
from oa_sync.extract.statuses import fields_of, is_followed
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting


class FollowedRuns:
    """Of all `resources` of a sync that have a status.

    `loaded` holds their loaded runs by resource and key, `announced` what was heard of runs since the
    last sync (by resource).
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        loaded: Mapping[str, Mapping[str, LoadedRun]],
        announced: Mapping[str, Sequence[Announcement]],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._by_resource = {
            resource.name: ResourceRuns(
                resource, loaded.get(resource.name, {}), announced.get(resource.name, ())
            )
            for resource in resources
            if is_followed(resource)
        }
        self._references = {
            resource.name: paths
            for resource in resources
            if (paths := _references(resource, self._by_resource))
        }
        self._scans: dict[str, Scan] = {}

    def listed(self, scan: Scan, rows: Sequence[Pending]) -> list[Item]:
        """The list of `scan` showed `rows`, which go on to loading before it is read to its end. Gives
        what they tell, to be written before them."""
        runs = self._by_resource.get(scan.resource.name)
        if runs is None or not rows:
            return []
        now = self._clock.now()
        runs.listed(scan, rows, now)
        return runs.events.take(now)

    def after_list(self, scan: Scan, tally: Tally) -> list[Item]:
        """The list of `scan` was read, as far as it was. Puts what is due into `scan.pending`; gives
        what the list shows and what was announced."""
        runs = self._by_resource.get(scan.resource.name)
        if runs is None:
            return []
        self._scans[scan.resource.name] = scan
        now = self._clock.now()
        items = runs.after_list(scan, tally, now)
        return [*runs.events.take(now), *items]

    def referenced(self, tallies: Mapping[str, Tally]) -> set[tuple[str, str]]:
        """Put runs that were found in fetched rows only now into the pending of their scans; gives
        resource and key of each."""
        now = self._clock.now()
        return {
            (name, key)
            for name, scan in self._scans.items()
            for key in self._by_resource[name].add_referenced(scan, tallies[name], now)
        }

    def gone_unseen(self, done: Collection[tuple[str, str]]) -> list[Item]:
        """Details are over; `done` holds resource and key of all that were settled. Gives the runs that
        turned out to be gone before they were ever loaded."""
        now = self._clock.now()
        return [
            item
            for name, scan in self._scans.items()
            for item in self._by_resource[name].gone_unseen(scan, done, now)
        ]

    def first_seen(self, resource: str, key: str, now: datetime) -> Sighting | None:
        """When and how this row was first heard of; None where `resource` follows no runs."""
        runs = self._by_resource.get(resource)
        return None if runs is None else runs.first_seen(key, now)

    def completed(self, item: Item) -> list[Item]:
        """`item` with what only is known here, the new events before it; none where it would write
        an older state over a newer one."""
        self._collect(item)
        runs = self._by_resource.get(item.resource)
        if runs is None:
            return [item]
        completed = runs.completed(item)
        if completed is None:
            return []
        return [*runs.events.take(item.observed_at), completed]

    def _collect(self, item: Item) -> None:
        """Take note of the runs that the row of `item` refers to."""
        paths = self._references.get(item.resource)
        if not paths or item.kind not in (Kind.ROW, Kind.DETAIL):
            return
        rows = [orjson.loads(item.row) if item.row else {}, fields_of(item)]
        for path, target in paths:
            for row in rows:
                self._by_resource[target].refer(ids_at(row, path))


def _references(
    resource: Resource, histories: Mapping[str, ResourceRuns]
) -> list[tuple[tuple[str, ...], str]]:
    """The paths in rows of `resource` at which ids of followed resources stand."""
    return [
        (parse_path(path), target)
        for path, target in resource.references.items()
        if target in histories and histories[target].follows
    ]
