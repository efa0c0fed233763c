"""Loads segments of the journal: first those that a killed sync left, then those that arrive."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from oa_sync.definitions.model import Resource
from oa_sync.errors import DestinationError, OaSyncError
from oa_sync.extract.set_aside import SetAside
from oa_sync.journal.items import Item
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import Segment, SegmentQueue
from oa_sync.load.disk_errors import disk_error
from oa_sync.settings import Settings
from oa_sync.tables.assembler import Assembler
from oa_sync.tables.batches import Batch
from oa_sync.tables.target import Target

logger = logging.getLogger(__name__)


MOST_FAILED = 3
"""Runs in which a segment may fail to load though the destination can be written, or in which the process may
be killed while it is loaded; then it is set aside."""

MOST_REJECTED = 5
"""Items of one segment that may be rejected. If more fail, the fault is the destination's."""


@dataclass(frozen=True)
class Rejected:
    """An item that the destination refuses even when it is loaded alone."""

    resource: str
    error: DestinationError
    row: SetAside


class Loader:
    """Runs on the loading thread. `rows` counts the rows written, by table.

    A segment that cannot be loaded whole is loaded in halves, down to the items at fault. These are left
    out and listed in `rejected`. Nothing marks them as loaded, so the next sync asks for them again.
    Otherwise one value that a destination cannot store would keep out everything fetched with it, in
    every sync. A disk that refuses is no item's fault: it ends the loading at once (DiskError).
    """

    def __init__(
        self,
        target: Target,
        journal: Journal,
        assembler: Assembler,
        settings: Settings,
        *,
        before_load: Callable[[], None] = lambda: None,
    ) -> None:
        """`before_load` makes sure that nobody else may load."""
        self._target, self._journal, self._assembler = target, journal, assembler
        self._settings, self._before_load = settings, before_load
        self.rows: dict[str, int] = {}
        self.rejected: list[Rejected] = []
        self.set_aside: list[DestinationError] = []
        """One for each segment that was set aside now."""
        self._unnoted: list[Batch] = []
        """What rows are read with from now on; to be loaded before they are."""

    def start_history(self) -> None:
        """Load the first versions of histories that begin with this sync. Call it before other loads."""
        self._load_if_any(self._assembler.start_history())

    def note_readings(self) -> None:
        """Load what the rows are read with from now on, and as backlog the rows that were read with less. Where there
        are none, it is loaded just before the next rows. Call it when what is pending is loaded, which may have been
        fetched by another definition."""
        readings = self._assembler.readings()
        if readings.read_with_less:
            self._load_if_any(readings.to_read_again())
            self._load_if_any(readings.changed())
        else:
            self._unnoted = list(readings.changed())

    def make_unloaded(self, resources: Sequence[Resource]) -> None:
        """Make the declared tables of `resources` that have no row yet, so that queries over them do not fail. If
        that fails, the next sync does it; all rows are loaded by now."""
        try:
            if batches := list(self._assembler.unloaded(resources)):
                self._before_load()
                self._target.declare(batches)
        except OaSyncError as error:
            logger.warning("tables without a row are missing until the next sync: %s", error)

    def _load_if_any(self, batches: Iterator[Batch]) -> None:
        if (first := next(batches, None)) is not None:
            self._before_load()
            self._target.load(chain([first], batches))

    def finish_pending(self) -> int:
        """Load what an interrupted sync fetched and did not load; returns the number of segments.

        No request is spent on it. Repeating a load does no harm, so a segment is deleted only when all of
        it is loaded.

        Raises:
            DestinationError: the destination refused it; everything stays for the next sync. The third time,
                the segment is set aside instead.
        """
        segments = self._journal.segments()
        for segment in segments:
            if self._journal.failures(segment) >= MOST_FAILED:
                self._set_aside(segment, "the process was killed while it was loaded: memory?")
                continue
            logger.info("loading what an interrupted sync had fetched: %s", segment.name)
            self._journal.begin(segment)
            with self._ending(segment):
                try:
                    self._load(self._journal.read(segment))
                except DestinationError as error:
                    if not self._is_loaded_around(segment, error):
                        continue
            self._journal.done(segment)
        for one in self.rejected:
            logger.warning("%s", one.error)
        self.rejected.clear()  # this sync asks for them again, and reports a new rejection
        return len(segments)

    def _is_loaded_around(self, segment: Path, error: DestinationError) -> bool:
        """Load `segment` around the items at fault; False if it was set aside, because it failed too often."""
        try:
            self._load_around(segment, error)
        except DestinationError as failure:
            self._require_destination(failure)
            if self._journal.failed(segment) < MOST_FAILED:
                raise
            self._set_aside(segment, str(failure))
            return False
        return True

    def _set_aside(self, segment: Path, reason: str) -> None:
        kept = self._journal.set_aside(segment)
        told = DestinationError(
            f"what an earlier sync had fetched failed to load in {MOST_FAILED} syncs and is set aside in"
            f" {kept} ({reason}); its rows are asked for again. `oa-sync sync --retry-set-aside` loads it"
        )
        logger.error("%s", told)
        self.set_aside.append(told)

    @contextmanager
    def _ending(self, segment: Path) -> Iterator[None]:
        """Note it if the block raises: then the load ended in order, unlike one whose process is killed."""
        try:
            yield
        except Exception:
            self._journal.ended(segment)
            raise

    def run(self, queue: SegmentQueue[Batch]) -> None:
        """Load segment after segment until the queue is closed.

        If the destination fails, loading ends: the queue tells the producer, and the journal keeps the
        rest.

        Raises:
            OaSyncError: the first failure.
        """
        failure: OaSyncError | None = None
        for number, segment in enumerate(queue.segments()):
            if failure is not None:
                continue
            if number:
                # After a load, dlt leaves frames in reference cycles, which keep its batches in memory.
                gc.collect()
            try:
                self._load_segment(segment)
            except Exception as error:
                if segment.end.path is not None:
                    self._journal.ended(segment.end.path)
                failure = _as_ours(error)
                queue.fail(failure)
        if failure is not None:
            raise failure

    def _load_segment(self, segment: Segment[Batch]) -> None:
        try:
            self._load(self._noted(segment), segment.tail)
        except DestinationError as error:
            self._require_destination(error)
            segment.drain()
            if segment.end.path is None:
                raise
            self._load_around(segment.end.path, error)
            self._load((), segment.tail)
        if segment.end.path is not None:
            self._journal.done(segment.end.path)

    def _noted(self, segment: Segment[Batch]) -> Iterator[Item]:
        """The items of `segment`; that its load has begun is noted after the last. Until then, a kill may have
        to do with what is fetched meanwhile."""
        yield from segment.items()
        if segment.end.path is not None:
            self._journal.begin(segment.end.path)

    def _load(self, items: Iterable[Item], tail: Callable[[], list[Batch]] = list) -> None:
        before = dict(self.rows)
        try:
            for package in self._assembler.packages(items, tail):
                self._before_load()
                if self._unnoted:
                    self._target.load(self._unnoted)
                    self._unnoted = []
                self._target.load(self._counted(package))
        except Exception as error:
            self.rows.clear()
            self.rows.update(before)
            self._assembler.restart()
            told = disk_error(error, self._settings) or _as_ours(error)
            if told is error:
                raise
            raise told from error

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            if not batch.removes:
                name = batch.hints.name
                self.rows[name] = self.rows.get(name, 0) + batch.rows.num_rows

    # -- what the destination refuses -------------------------------------------------------------

    def _require_destination(self, error: DestinationError) -> None:
        """Raise `error` if the destination cannot be written. If it can, an item is at fault."""
        try:
            self._target.probe()
        except OaSyncError:
            raise error from None

    def _load_around(self, segment: Path, error: DestinationError) -> None:
        """Load `segment`, which failed with `error`, without the items at fault.

        Raises:
            DestinationError: `error` itself, if too many items fail or the destination does.
        """
        self._require_destination(error)
        logger.warning("%s; looking for the row at fault", error)
        count = sum(1 for _ in self._journal.read(segment))
        if count == 0:
            raise error
        waiting, rejected = _halves(0, count), list[Rejected]()
        while waiting:
            start, stop = waiting.pop()
            try:
                self._load(islice(self._journal.read(segment), start, stop))
            except DestinationError as reason:
                if stop - start > 1:
                    waiting += _halves(start, stop)
                    continue
                [item] = islice(self._journal.read(segment), start, stop)
                rejected.append(_rejection(item, reason))
                if len(rejected) > MOST_REJECTED:
                    raise error from None
        self.rejected += rejected


def _halves(start: int, stop: int) -> list[tuple[int, int]]:
    """The two halves of a range, the first one last; a single item is tried once more by itself, for a
    destination may refuse once what it takes a moment later."""
    middle = (start + stop) // 2
    return [(start, stop)] if stop - start == 1 else [(middle, stop), (start, middle)]


def _as_ours(error: Exception) -> OaSyncError:
    if isinstance(error, OaSyncError):
        return error
    logger.error("loading failed", exc_info=error)
    return DestinationError(f"loading failed: {type(error).__name__}: {error}")


def _rejection(item: Item, error: DestinationError) -> Rejected:
    told = DestinationError(
        f"{item.resource} {item.key}: the destination does not take this row, and it was left out"
        f" ({error}); declare its columns in the definition, or have it mended at the source"
    )
    return Rejected(item.resource, told, SetAside("while loading", item.key, str(error)))
