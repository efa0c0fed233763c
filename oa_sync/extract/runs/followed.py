"""The agent runs that one sync follows: after the lists, before the details, and on each item's way.

`FollowedRuns` is told of every list that was read (`after_list`) and adds the runs that are due and that
no list shows. Every item passes through `completed`, which adds when a run was first seen, and puts the
new statuses before it. It returns items and hands none on itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.runs.known import Announcement, LoadedRun, ids_at
from oa_sync.extract.runs.resource_runs import ResourceRuns
from oa_sync.extract.statuses import fields_of, is_followed
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting
from oa_sync.shape.json_text import decode


class FollowedRuns:
    """The runs of all `resources` of a sync that have a status.

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
        """Take in `rows`, which the list of `scan` showed and which are handed on before it is read to
        its end. Returns their new statuses, to be written before them."""
        runs = self._by_resource.get(scan.resource.name)
        if runs is None or not rows:
            return []
        now = self._clock.now()
        runs.listed(scan, rows, now)
        return runs.events.take(now)

    def after_list(self, scan: Scan, tally: Tally) -> list[Item]:
        """Take in the list of `scan`, as far as it was read, and what was announced. Adds the runs that
        are due to `scan.pending`; returns new statuses, and the runs that need no request."""
        runs = self._by_resource.get(scan.resource.name)
        if runs is None:
            return []
        self._scans[scan.resource.name] = scan
        now = self._clock.now()
        items = runs.after_list(scan, tally, now)
        return [*runs.events.take(now), *items]

    def referenced(self, tallies: Mapping[str, Tally]) -> set[tuple[str, str]]:
        """Add the runs that were found in rows fetched since the lists to `pending` of their scans;
        returns resource and key of each."""
        now = self._clock.now()
        return {
            (name, key)
            for name, scan in self._scans.items()
            for key in self._by_resource[name].add_referenced(scan, tallies[name], now)
        }

    def gone_unseen(self, done: Collection[tuple[str, str]]) -> list[Item]:
        """Call it after the details; `done` holds resource and key of all that were settled. Returns the
        runs that turned out to be gone before they were ever loaded."""
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
        """`item` with what only this class knows, after its new events; empty if it would write an older
        state over a newer one."""
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
        rows = [decode(item.row) if item.row else {}, fields_of(item)]
        for path, target in paths:
            for row in rows:
                self._by_resource[target].refer(ids_at(row, path))


def _references(
    resource: Resource, followed: Mapping[str, ResourceRuns]
) -> list[tuple[tuple[str, ...], str]]:
    """The paths in rows of `resource` that hold ids of `followed` resources, each with its resource."""
    return [
        (parse_path(path), target)
        for path, target in resource.references.items()
        if target in followed and followed[target].follows
    ]
