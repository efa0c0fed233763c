"""Between the journal and the loading thread: what is in a segment's file is in the segment."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import TAKEN_BYTES, SegmentQueue
from oa_sync.journal.segment_writer import HANDED_OVER_BYTES, SegmentWriter

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def detail(key: str, size: int = 10) -> Item:
    return Item(Kind.DETAIL, "reports", key, NOW, body=b" " * size)


@pytest.mark.timeout(120)
def test_an_item_whose_handing_over_is_cut_short_stays_in_its_segment(tmp_path: Path) -> None:
    async def fetched() -> tuple[list[str], list[str]]:
        queue = SegmentQueue(max_bytes=25)
        journal = Journal(tmp_path)
        writer = SegmentWriter(journal, queue, Clock())
        await writer.emit([detail("a")])
        await writer.emit([detail("b")])
        waiting = asyncio.ensure_future(writer.emit([detail("c")]))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        writer.finish(list)
        queue.close()
        [file] = journal.segments()
        [handed] = [[item.key for item in segment.items()] for segment in queue.segments()]
        return [item.key for item in journal.read(file)], handed

    journaled, handed = asyncio.run(fetched())
    assert journaled == handed == ["a", "b", "c"]


@pytest.mark.timeout(120)
def test_a_queue_that_is_closed_in_the_middle_of_a_segment_ends_it() -> None:
    async def handed() -> list[list[str]]:
        queue = SegmentQueue()
        await queue.put([detail("a")])
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


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_key_stands_once_in_a_segment(tmp_path: Path, at_once: int) -> None:
    async def keys() -> tuple[list[list[str]], list[list[str]]]:
        queue, journal = SegmentQueue(), Journal(tmp_path)
        writer = SegmentWriter(journal, queue, Clock())
        for batch in batched([detail(key) for key in ("a", "b", "a", "c")], at_once):
            await writer.emit(batch)
        writer.finish(list)
        queue.close()
        journaled = [[item.key for item in journal.read(file)] for file in journal.segments()]
        return journaled, [[item.key for item in one.items()] for one in queue.segments()]

    journaled, handed = asyncio.run(keys())
    assert journaled == handed == [["a", "b"], ["a", "c"]]


def test_items_before_one_that_the_disk_refuses_stay_in_their_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the segment is deleted when the segment is loaded, so what it holds must be in it."""
    append = Journal.append

    def refused_at_c(journal: Journal, item: Item) -> None:
        if item.key == "c":
            raise OaSyncError("no space left")
        append(journal, item)

    monkeypatch.setattr(Journal, "append", refused_at_c)

    async def handed() -> tuple[list[str], list[str]]:
        queue, journal = SegmentQueue(), Journal(tmp_path)
        writer = SegmentWriter(journal, queue, Clock())
        with pytest.raises(OaSyncError, match="no space"):
            await writer.emit([detail(key) for key in "abcd"])
        writer.finish(list)
        queue.close()
        [file] = journal.segments()
        [segment] = [[item.key for item in one.items()] for one in queue.segments()]
        return [item.key for item in journal.read(file)], segment

    journaled, segment = asyncio.run(handed())
    assert journaled == segment == ["a", "b"]


@pytest.mark.timeout(120)
def test_a_page_larger_than_what_may_be_in_flight_waits_in_its_middle(tmp_path: Path) -> None:
    async def handed_on() -> tuple[int, int]:
        queue = SegmentQueue(max_bytes=HANDED_OVER_BYTES)
        writer = SegmentWriter(Journal(tmp_path), queue, Clock())
        page = [detail(str(number), HANDED_OVER_BYTES // 2) for number in range(6)]
        emitting = asyncio.ensure_future(writer.emit(page))
        await asyncio.sleep(0)
        before = len(queue._waiting)
        taking = asyncio.ensure_future(
            asyncio.to_thread(lambda: list(next(queue.segments()).items()))
        )
        await emitting
        writer.finish(list)
        return before, len(await taking)

    assert asyncio.run(handed_on()) == (2, 6)


@pytest.mark.timeout(120)
def test_what_is_taken_at_once_is_bounded_as_what_is_in_flight_is() -> None:
    async def left() -> int:
        queue = SegmentQueue()
        await queue.put([detail(str(number), TAKEN_BYTES // 2) for number in range(6)])
        next(queue.segments())
        return len(queue._waiting)

    assert asyncio.run(left()) == 4


def batched(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
