"""Segments of items into load packages: what a crash left first, then what arrives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from oa_sync.errors import DestinationError, OaSyncError
from oa_sync.extract.items import Item
from oa_sync.extract.journal import Journal
from oa_sync.load.queue import SegmentQueue
from oa_sync.load.tables import Batch
from oa_sync.load.target import Target

logger = logging.getLogger(__name__)


class Assembler(Protocol):
    """Shapes items (see `oa_sync.load.assemble.Assembler`)."""

    def packages(
        self, items: Iterable[Item], tail: Callable[[], list[Batch]]
    ) -> Iterator[Iterator[Batch]]:
        """The batches of `items`, then those of `tail()`, cut into packages that must be loaded one
        after the other."""


class Loader:
    """Runs on the loading thread. `rows` counts what was written, by table."""

    def __init__(self, target: Target, journal: Journal, assembler: Assembler) -> None:
        self._target, self._journal, self._assembler = target, journal, assembler
        self.rows: dict[str, int] = {}

    def finish_pending(self) -> int:
        """Load what an interrupted run fetched and did not load; the number of segments.

        No request is spent on it. Repeating a load does no harm, so a segment is forgotten only when
        it is loaded whole.

        Raises:
            DestinationError: the destination did not take it; everything stays for the next run.
        """
        segments = self._journal.segments()
        for segment in segments:
            logger.info("loading what an interrupted run had fetched: %s", segment.name)
            self._load(self._journal.read(segment), list)
            self._journal.done(segment)
        return len(segments)

    def run(self, queue: SegmentQueue) -> None:
        """Load segment after segment until the queue is closed.

        A failed load ends the loading; the queue tells the producer, and the journal keeps the rest.

        Raises:
            OaSyncError: the first failure.
        """
        failure: OaSyncError | None = None
        for segment in queue.segments():
            if failure is not None:
                continue
            try:
                self._load(segment.items(), segment.tail)
            except OaSyncError as error:
                failure = error
            except Exception as error:
                logger.exception("loading failed")
                failure = DestinationError(f"loading failed: {type(error).__name__}: {error}")
            if failure is not None:
                queue.fail(failure)
            elif segment.end.path is not None:
                self._journal.done(segment.end.path)
        if failure is not None:
            raise failure

    def _load(self, items: Iterable[Item], tail: Callable[[], list[Batch]]) -> None:
        for package in self._assembler.packages(items, tail):
            self._target.load(self._counted(package))

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            rows = batch.rows.num_rows
            self.rows[batch.hints.name] = self.rows.get(batch.hints.name, 0) + rows
