"""Details that were paid for, and where they are since: what must not be asked for again.

A detail is a receipt from its answer on. What the product promises of it (docs/recovery.md) decides how long the
receipt is good:

- After a kill: what had arrived before the last instant at which anything happened is in the journal.
- After a full disk: what had arrived before the first write that failed.
- After a power cut: what is loaded, what lay in a segment that was closed, and what lies on the disk for an hour.
- Without its home folder: what is loaded.

Who asks again with a good receipt raises an alarm, unless the row changed, or the night gives a cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import IntEnum
from typing import Any

from oa_sync.workspace.report import SyncReport
from tests.simulation.nights import HOUR, Night
from tests.simulation.oracles import Alarm, State
from tests.simulation.server import Asked
from tests.simulation.worlds import BEGIN, World

Detail = tuple[str, tuple[str, ...]]
"""The list and the key, as texts."""

_ONE_INSTANT = 1e-4
"""Seconds. Time in a night is in whole microseconds and passes only when nobody has anything to do."""


class Place(IntEnum):
    """Where a detail is; each survives more than the one before."""

    WRITTEN = 1
    """In the journal: survives `kill -9`."""
    ON_DISK = 2
    """Survives a power cut."""
    LOADED = 3
    """Survives the loss of the home folder."""


@dataclass(frozen=True)
class Ending:
    """How a sync ended, in seconds of true time. `at`: the end, or the kill. `disk_full_at`: the first write
    that failed. `closed_at`: when the last segment of the journal was closed."""

    at: float
    disk_full_at: float | None
    closed_at: float | None

    def place(self, arrived: float, report: SyncReport | None) -> Place | None:
        """Where a detail is that `arrived` then; None: it may be lost."""
        if report is not None and report.status != "failed":
            return Place.LOADED
        kept_until = self.at if self.disk_full_at is None else min(self.at, self.disk_full_at)
        if arrived >= kept_until - _ONE_INSTANT:
            return None
        is_closed = self.closed_at is not None and arrived < self.closed_at - _ONE_INSTANT
        return Place.ON_DISK if is_closed else Place.WRITTEN


class Receipts:
    """The receipts of one world, night after night."""

    def __init__(self) -> None:
        self._places: dict[Detail, Place] = {}
        self._stale: set[Detail] = set()
        """What changed since the last complete sync: a killed one may have noted it as it was before."""

    def before(self, night: Night, *, restored: bool) -> None:
        """Before the sync of `night`. `restored`: the home folder is an older copy now."""
        if night.waits >= HOUR:
            self._places = {one: max(place, Place.ON_DISK) for one, place in self._places.items()}
        if night.home == "home is lost":
            self._keep(Place.LOADED)
        if restored or night.lie or night.upgrade not in ("", "history on"):
            # An older journal is loaded over newer rows. What lies say is loaded, too.
            self._places.clear()

    def changed(self, changes: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        """These rows have another version now, or are gone."""
        for name, key in changes:
            detail = (name, tuple(map(str, key)))
            self._places.pop(detail, None)
            self._stale.add(detail)

    def after(
        self,
        world: World,
        night: Night,
        asked: Sequence[Asked],
        rows: State,
        touched: set[tuple[str, tuple[Any, ...]]],
        report: SyncReport | None,
        ending: Ending,
    ) -> Iterator[Alarm]:
        """The details that the sync paid for twice; then its own are paid for. `rows`: the source;
        `touched`: what changed there while it went on."""
        if night.full_refresh:
            self._places.clear()
        # Where a list moves, a row may be missed, and its detail tells whether it is gone (docs/scans.md).
        moved = {name for name, _ in touched}
        moving = {plan.name for plan in world.lists if {plan.name, plan.parent} & moved}
        # A day does not tell one change from another on it.
        vague = {plan.name for plan in world.lists if plan.version in (None, "date")}
        followed = {plan.name for plan in world.lists if plan.has_status}
        stamps = {
            (name, tuple(map(str, key))): row["_stamp"][0]
            for name, found in rows.items()
            for key, row in found.items()
        }
        # A list in doubt is looked into by the detail of one row that it shows (`oa_sync.extract.deletions`).
        witnesses = {one.name for one in asked if one.kind == "detail" and one.status == 404}
        seen: dict[Detail, Place | None] = {}
        for one in asked:
            detail = (one.name, one.key)
            if one.kind != "detail" or one.name in followed or not one.is_whole:
                continue
            if detail in stamps and _in_one_second(stamps[detail], one.at):
                continue
            # Midnight is a day, for that is how servers spell one (`oa_sync.extract.lists.resolution`).
            is_vague = one.name in vague or stamps.get(detail, BEGIN).time() == time()
            # A row that was noted by a killed sync, and its answer does not tell of which version it is.
            is_stale = is_vague and detail in self._stale
            if not (one.name in moving or night.lie or is_stale):
                if detail in seen:
                    yield Alarm("a detail is paid for twice", f"{one.name} {one.key}: in one sync")
                elif detail in self._places and one.name in witnesses:
                    witnesses.remove(one.name)
                elif detail in self._places:
                    where = self._places[detail].name.lower().replace("_", " ")
                    yield Alarm(
                        "a detail is paid for twice", f"{one.name} {one.key}: it is {where}"
                    )
            place = ending.place(one.at + world.latency / 2, report)
            is_complete = report is not None and report.status == "complete"
            # Asked for by its key alone, because it slipped from a list that moved, or because a list of many pages is
            # read in parts: whether its list row changes on the day that is its version cannot be told the next time.
            is_unclear = is_vague and (
                one.name in moving or (report is not None and report.status != "complete")
            )
            seen[detail] = None if is_unclear or (is_stale and not is_complete) else place
        for detail, now in seen.items():
            self._places.pop(detail, None)
            if now is not None:
                self._places[detail] = now
        if report is not None and report.status == "complete" and not night.power_cut:
            self._stale.clear()  # a power cut may bring back what a killed sync had noted
        self.changed(touched)
        if night.power_cut:
            self._keep(Place.ON_DISK)
        if night.lie:
            self._places.clear()

    def _keep(self, least: Place) -> None:
        self._places = {one: place for one, place in self._places.items() if place >= least}


def _in_one_second(changed: datetime, at: float) -> bool:
    """Whether a row was read in the second in which it changed: it may change once more in it, so it is asked
    for again when that is over (`oa_sync.extract.details.tasks.second_ends`)."""
    read = BEGIN + timedelta(seconds=at)
    return changed.replace(microsecond=0) == read.replace(microsecond=0)
