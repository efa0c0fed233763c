"""Between the journal and the loading thread: what is in a segment's file is in the segment."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.extract.items import Item, Kind
from oa_sync.extract.journal import Journal
from oa_sync.extract.steps import Steps
from oa_sync.load.queue import SegmentQueue

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def detail(key: str, size: int = 10) -> Item:
    return Item(Kind.DETAIL, "reports", key, NOW, body=b" " * size)


@pytest.mark.timeout(20)
def test_an_item_whose_handing_over_is_cut_short_stays_in_its_segment(tmp_path: Path) -> None:
    async def fetched() -> tuple[list[str], list[str]]:
        queue = SegmentQueue(max_bytes=25)
        journal = Journal(tmp_path)
        steps = Steps(journal, queue, Clock())
        await steps.emit(detail("a"))
        await steps.emit(detail("b"))
        waiting = asyncio.ensure_future(steps.emit(detail("c")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        steps.finish(list)
        queue.close()
        [file] = journal.segments()
        [handed] = [[item.key for item in segment.items()] for segment in queue.segments()]
        return [item.key for item in journal.read(file)], handed

    journaled, handed = asyncio.run(fetched())
    assert journaled == handed == ["a", "b", "c"]


@pytest.mark.timeout(20)
def test_a_queue_that_is_closed_in_the_middle_of_a_segment_ends_it() -> None:
    async def handed() -> list[list[str]]:
        queue = SegmentQueue()
        await queue.put(detail("a"))
        queue.close()
        return [[item.key for item in segment.items()] for segment in queue.segments()]

    assert asyncio.run(handed()) == [["a"]]


def test_a_closed_segment_and_its_name_are_on_the_disk_before_it_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    journal = Journal(tmp_path)
    journal.append(detail("a"))
    file = journal.rotate()
    assert file is not None
    assert synced == [file.stat().st_ino, tmp_path.stat().st_ino]


def test_a_key_stands_once_in_a_segment(tmp_path: Path) -> None:
    async def keys() -> list[list[str]]:
        queue, journal = SegmentQueue(), Journal(tmp_path)
        steps = Steps(journal, queue, Clock())
        for key in ("a", "b", "a", "c"):
            await steps.emit(detail(key))
        steps.finish(list)
        return [[item.key for item in journal.read(file)] for file in journal.segments()]

    assert asyncio.run(keys()) == [["a", "b"], ["a", "c"]]
