"""The agent runs of one resource in one sync: which were announced or are due, and what items lack."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from oa_sync.clock import instant_of
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path, select, spelled
from oa_sync.extract.details.tasks import DetailTask, detail_item
from oa_sync.extract.lists.absent import may_be_asked
from oa_sync.extract.lists.changes import Change, Known, Listed, content_hash, identity, version_of
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.runs.events import EventLog
from oa_sync.extract.runs.known import Announcement, LoadedRun, row_of_key
from oa_sync.extract.runs.schedule import State, ask_again_at, state_of
from oa_sync.extract.statuses import fields_of, is_terminal, status_of
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting, key_of, values_of
from oa_sync.shape.document import read_document
from oa_sync.shape.json_text import encode

logger = logging.getLogger(__name__)

_NOT_OF_THE_RUN = frozenset({"event", "type", "run_id", "session_id"})
"""Fields of a callback that describe the callback, or that the key column holds."""

_DIGITS = re.compile(r"0|-?[1-9]\d{0,17}")


class ResourceRuns:
    """Decides about runs and returns items; hands none on itself. `events` holds the statuses observed."""

    def __init__(
        self,
        resource: Resource,
        loaded: Mapping[str, LoadedRun],
        announced: Sequence[Announcement],
    ) -> None:
        self._resource, self._loaded = resource, loaded
        self._announced = sorted(announced, key=lambda one: one.at)
        self.events = EventLog(resource.name, loaded)
        self._sightings: dict[str, Sighting] = {}
        self._known: Mapping[str, Known] = {}
        self._payloads: dict[str, dict[str, Any]] = {}
        self._wanted: set[str] = set()
        self._bodies: dict[str, bytes] = {}
        self._referenced: set[str] = set()
        self._followed: set[str] = set()
        self._answered: set[str] = set()

    @property
    def follows(self) -> bool:
        """Whether a run can be asked for by its id alone."""
        return may_be_asked(self._resource)

    def refer(self, ids: Iterable[str]) -> None:
        """Note `ids`, which a row of another resource holds."""
        self._referenced.update(ids)

    # -- the list and after it ------------------------------------------------------------------

    def listed(self, scan: Scan, rows: Iterable[Pending], now: datetime) -> None:
        """Take in `rows`, which the list showed and `scan` no longer holds."""
        self._begin(scan)
        for pending in rows:
            self._look_at(pending, scan, now)

    def _begin(self, scan: Scan) -> None:
        """Take in what was announced, once: it comes before everything that the list shows."""
        self._known = scan.known
        announced, self._announced = self._announced, []
        for announcement in announced:
            self._hear(announcement, scan)

    def after_list(self, scan: Scan, tally: Tally, now: datetime) -> list[Item]:
        """Take in what was announced and listed; add what is due to `scan.pending`. Returns the runs
        that need no request: those given up, and those whose last answer is here already."""
        self._begin(scan)
        for pending in list(scan.pending.values()):
            self._look_at(pending, scan, now)
        items = list(self._answered_already(scan, tally, now))
        if self.follows:
            self._add_wanted(scan, tally, now)
            items.extend(self._add_due(scan, tally, now))
        return items

    def _hear(self, heard: Announcement, scan: Scan) -> None:
        key = key_of((heard.run_id,))
        run, known = self._loaded.get(key), scan.known.get(key)
        if run is None and key not in self._sightings:
            self._sightings[key] = Sighting(heard.at, heard.how)
        if heard.how == "reference":
            if run is None:
                self._wanted.add(key)
            return
        is_news = self._is_news(heard, key, run, known)
        if heard.how in ("webhook", "poll", "start"):
            how = "webhook" if heard.how == "webhook" else "poll"
            self.events.observe(key, (heard.run_id,), heard.status, heard.at, how, is_news=is_news)
        if not is_news:
            return
        if heard.body is not None:
            self._bodies[key] = heard.body
        if heard.payload is not None:
            self._payloads[key] = self._payload_row(heard)
        self._wanted.add(key)

    def _is_news(
        self, heard: Announcement, key: str, run: LoadedRun | None, known: Known | None
    ) -> bool:
        """Whether the announcement says more of the run than is loaded, or announced before.

        Callbacks come twice, late and out of order; a run that has ended stays as it is.
        """
        if run is None and key not in self._wanted:
            return True
        if run is not None and heard.at <= run.observed_at:
            return False
        if known is not None and known.deleted:
            return True
        if heard.how in ("add", "sql"):
            return run is not None and run.stalled
        if known is not None and self._is_older(heard.payload or {}, known.version):
            return False
        last = self.events.last(key)
        if is_terminal(self._resource, last) and not is_terminal(self._resource, heard.status):
            return False
        return heard.status != last or heard.body is not None

    def _is_older(self, fields: Mapping[str, Any], version: str | None) -> bool:
        """Whether the version in `fields` is a time before `version`."""
        said = instant_of(version_of(self._resource, dict(fields)))
        known = instant_of(version)
        return said is not None and known is not None and said < known

    def _payload_row(self, heard: Announcement) -> dict[str, Any]:
        """What was said of the run, as a row of the resource."""
        said = {k: v for k, v in (heard.payload or {}).items() if k not in _NOT_OF_THE_RUN}
        return said | row_of_key(self._resource, self._key_values(key_of((heard.run_id,))))

    def _look_at(self, pending: Pending, scan: Scan, now: datetime) -> None:
        """Record the status that the list shows. If it changed, the detail is asked for, even if the
        version did not change."""
        row, status = pending.listed, status_of(self._resource, pending.listed.row)
        if pending.known is None:
            self._sightings.setdefault(row.key, Sighting(now, "list"))
        run = self._loaded.get(row.key)
        changed = run is not None and status is not None and status != run.status
        if changed and self._resource.detail is not None and not row.full:
            scan.pending[row.key] = replace(pending, wants_detail=True)
        self.events.observe(row.key, row.key_values, status, now, "list")

    def _answered_already(self, scan: Scan, tally: Tally, now: datetime) -> Iterator[Item]:
        """The details that `runs start --wait` has fetched, as items; left out where the list shows
        another version."""
        for key, body in self._bodies.items():
            document = read_document(self._resource, body)
            pending = scan.pending.get(key)
            if key not in scan.seen:
                self._wanted.discard(key)
                self._followed.add(key)
                pending = self._pending(key, scan)
                tally.new += pending.change is Change.NEW
            elif pending is None or not self._is_of(pending, document.fields):
                continue
            else:
                del scan.pending[key]
            task = DetailTask(self._resource, pending, tuple(sorted(scan.list_keys)))
            item = self.completed(detail_item(task, body, document, document.fields, now))
            if item is not None:
                yield item

    def _is_of(self, pending: Pending, fields: dict[str, Any]) -> bool:
        """Whether `fields` are the detail of the version that the list shows."""
        version = version_of(self._resource, fields)
        return pending.wants_detail and version == pending.listed.version

    # -- what is due ----------------------------------------------------------------------------

    def _add_wanted(self, scan: Scan, tally: Tally, now: datetime) -> None:
        """Follow the announced runs, but not those that the list showed, nor loaded ones if it was read to
        its end: then the scan has decided about them."""
        for key in sorted(self._wanted, key=lambda key: self.first_seen(key, now).at):
            if key not in scan.seen and not (scan.finished and scan.is_loaded(key)):
                self._follow(key, scan, tally)

    def _add_due(self, scan: Scan, tally: Tally, now: datetime) -> Iterator[Item]:
        """Decide about loaded runs whose status the list does not tell: those to be asked for are added
        to `scan.pending`; those that are given up are returned as items."""
        assert self._resource.status is not None
        list_tells = parse_path(self._resource.status.path)[0] in scan.list_keys
        for key, run in self._loaded.items():
            known = scan.known.get(key)
            is_told = list_tells if key in scan.seen else scan.finished
            is_open = key in scan.pending or key in scan.handed_on or key in self._followed
            if known is None or is_told or is_open:
                continue
            state = state_of(self._resource, run, known)
            if state is State.STALLED and not run.stalled:
                self._tell_stalled(key, run)
                yield Item(Kind.STALLED, self._resource.name, key, now, replaces=True)
            elif state is State.WAITING or (state is State.FOLLOWED and now >= ask_again_at(run)):
                self._follow(key, scan, tally)
            elif tally.missing and not known.deleted:
                tally.unchanged += 1

    def _tell_stalled(self, key: str, run: LoadedRun) -> None:
        logger.warning(
            "%s %s is %s since %s and is no longer asked for; `oa-sync runs add` it to ask once more",
            self._resource.name,
            key,
            run.status or "in no known status",
            run.first_seen.at.date(),
        )

    def _follow(self, key: str, scan: Scan, tally: Tally) -> None:
        pending = scan.pending[key] = self._pending(key, scan)
        self._followed.add(key)
        tally.new += pending.change is Change.NEW
        tally.changed += pending.change is Change.CHANGED
        tally.unchanged += pending.change is Change.UNCHANGED

    def _pending(self, key: str, scan: Scan) -> Pending:
        """A row that no list shows: what was announced of the run, or its key alone."""
        known = scan.known.get(key)
        key_values = self._key_values(key)
        payload = self._payloads.get(key)
        row = payload or row_of_key(self._resource, key_values)
        is_new = known is None or known.deleted
        change = Change.NEW if is_new else Change.CHANGED if payload else Change.UNCHANGED
        if payload is None and known is not None and known.version is not None:
            version = known.version
        else:
            version = version_of(self._resource, row) or content_hash(row)
        listed = Listed(key, key_values, version, row_hash="", full=False, row=row)
        raw = encode(row)
        return Pending(listed, change, known, raw, wants_detail=True)

    def add_referenced(self, scan: Scan, tally: Tally, now: datetime) -> list[str]:
        """Add the runs that other resources' rows refer to, and that are not known, to `scan.pending`."""
        keys = sorted(key_of((run_id,)) for run_id in self._referenced)
        self._referenced.clear()
        added = []
        for key in keys:
            if key in self._loaded or key in scan.seen or key in self._followed:
                continue
            self._sightings[key] = Sighting(now, "reference")
            self._follow(key, scan, tally)
            added.append(key)
        return added

    # -- items ----------------------------------------------------------------------------------

    def completed(self, item: Item) -> Item | None:
        """`item` with what only this class knows; None if it would write an older state over a newer
        one. Observes the status of a detail."""
        if item.first_seen is None:
            item = replace(item, first_seen=self.first_seen(item.key, item.observed_at))
        if item.kind is Kind.ROW and item.key in self._followed:
            payload = self._payloads.get(item.key) or {}
            keys = {*payload, *row_of_key(self._resource, self._key_values(item.key))}
            return replace(item, row_hash=None, list_keys=tuple(sorted(keys)))
        if item.kind is not Kind.DETAIL:
            return item
        fields = fields_of(item)
        if item.key in self._followed:
            self._answered.add(item.key)
            followed = self._without_list(item, fields)
            if followed is None:
                return None
            item = followed
        key_values = self._key_values(item.key)
        status = status_of(self._resource, fields)
        self.events.observe(item.key, key_values, status, item.observed_at, "poll")
        return item

    def _without_list(self, item: Item, fields: dict[str, Any]) -> Item | None:
        """The item of a detail without a list row, with the version in the detail; None if it is older than
        what is loaded."""
        key_values = self._key_values(item.key)
        version = version_of(self._resource, fields) or content_hash(fields)
        known = self._known.get(item.key)
        if known is not None and self._is_older(fields, known.detail_version):
            logger.warning(
                "%s %s: the answer is older than what is loaded and left out",
                self._resource.name,
                item.key,
            )
            return None
        row = encode(row_of_key(self._resource, self._as_in(fields, key_values)))
        return replace(item, version=version, detail_version=version, row_hash=None, row=row)

    def gone_unseen(
        self, scan: Scan, done: Collection[tuple[str, str]], now: datetime
    ) -> Iterator[Item]:
        """Runs that answered 404 and were never loaded: each is a row with its id, marked as deleted."""
        for key in self._followed - self._answered:
            pending = scan.pending.get(key)
            if pending is None or pending.known is not None:
                continue
            if (self._resource.name, key) in done:
                item = Item(
                    Kind.ROW,
                    self._resource.name,
                    key,
                    now,
                    version=pending.listed.version,
                    row=pending.raw,
                    full=False,
                    deleted=True,
                )
                yield self.completed(item) or item

    def first_seen(self, key: str, now: datetime) -> Sighting:
        """When and how this run was first heard of; if never before, now and from a list."""
        run = self._loaded.get(key)
        return run.first_seen if run else self._sightings.get(key) or Sighting(now, "list")

    def _key_values(self, key: str) -> tuple[Any, ...]:
        run = self._loaded.get(key)
        if run is not None:
            return run.key_values
        texts = values_of(key, len(identity(self._resource)))
        other = next(iter(self._loaded.values()), None)
        alike = other.key_values if other is not None else texts
        return tuple(
            int(text) if type(like) is int and _DIGITS.fullmatch(text) else text
            for text, like in zip(texts, alike, strict=True)
        )

    def _as_in(self, fields: dict[str, Any], key_values: tuple[Any, ...]) -> tuple[Any, ...]:
        """`key_values` as `fields` have them: a callback names a run by text, whose id may be a number."""
        found = [select(fields, path, None) for path in identity(self._resource)]
        return tuple(
            one if isinstance(one, int) and spelled(one) == spelled(value) else value
            for one, value in zip(found, key_values, strict=True)
        )
