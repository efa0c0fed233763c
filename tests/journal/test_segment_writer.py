"""When a segment is closed: each key once, not too large, not too old."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import SegmentQueue
from oa_sync.journal.segment_writer import HANDED_OVER_BYTES, SegmentWriter
from tests.support.clock import ManualClock

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def item(key: str, size: int = 10, resource: str = "reports") -> Item:
    return Item(Kind.DETAIL, resource, key, NOW, body=b" " * size)


def segments(
    folder: Path,
    batches: Sequence[Sequence[Item]],
    *,
    pauses: Sequence[float] = (),
    max_bytes: int = 1_000,
    max_seconds: float = 300.0,
) -> list[list[str]]:
    """The keys of each segment, as journaled and as handed over. `pauses` pass before the batches."""

    async def written() -> tuple[list[list[str]], list[list[str]]]:
        queue: SegmentQueue[str] = SegmentQueue()
        journal, clock = Journal(folder), ManualClock()
        writer = SegmentWriter(journal, queue, clock, max_bytes=max_bytes, max_seconds=max_seconds)
        for place, batch in enumerate(batches):
            clock.advance(pauses[place] if pauses else 0)
            await writer.emit(batch)
        writer.finish(list)
        queue.close()
        journaled = [[each.key for each in journal.read(file)] for file in journal.segments()]
        return journaled, [[each.key for each in one.items()] for one in queue.segments()]

    journaled, handed = asyncio.run(written())
    assert journaled == [keys for keys in handed if keys]
    return handed


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([49, 50, 1], ["abc"]),
        ([50, 50, 1], ["ab", "c"]),
        ([100, 49, 50, 1], ["a", "bcd"]),
        ([100, 50, 50, 1], ["a", "bc", "d"]),
    ],
)
def test_a_segment_is_closed_when_it_has_the_bytes(
    tmp_path: Path, sizes: list[int], expected: list[str]
) -> None:
    items = [item(key, size) for key, size in zip("abcd", sizes, strict=False)]
    assert ["".join(keys) for keys in segments(tmp_path, [items], max_bytes=100)] == expected


@pytest.mark.parametrize(("seconds", "expected"), [(299.0, [["a", "b"]]), (300.0, [["a"], ["b"]])])
def test_a_segment_is_closed_when_its_first_item_is_old(
    tmp_path: Path, seconds: float, expected: list[list[str]]
) -> None:
    found = segments(tmp_path, [[item("a")], [item("b")]], pauses=[0, seconds])
    assert found == expected


def test_the_age_of_a_segment_begins_with_its_first_item(tmp_path: Path) -> None:
    found = segments(
        tmp_path, [[item(key)] for key in "abcd"], pauses=[1_000, 299, 1, 299], max_seconds=300
    )
    assert found == [["a", "b"], ["c", "d"]]


def test_the_bytes_of_a_segment_begin_with_its_first_item(tmp_path: Path) -> None:
    items = [item(key, 60) for key in "abcd"]
    assert segments(tmp_path, [items], max_bytes=100) == [["a", "b"], ["c", "d"]]


def test_one_key_of_two_resources_may_stand_in_one_segment(tmp_path: Path) -> None:
    both = [item("a"), item("a", resource="datasets"), item("a")]
    assert segments(tmp_path, [both]) == [["a", "a"], ["a"]]


def test_nothing_emitted_is_one_segment_for_the_bookkeeping(tmp_path: Path) -> None:
    assert segments(tmp_path, []) == [[]]


def test_a_large_page_is_handed_over_in_pieces_while_it_is_written(tmp_path: Path) -> None:
    """So that what is in flight stays bounded, and loading can begin."""

    async def handed_over() -> int:
        queue: SegmentQueue[str] = SegmentQueue(max_bytes=HANDED_OVER_BYTES)
        writer = SegmentWriter(Journal(tmp_path), queue, ManualClock())
        page = [item(key, HANDED_OVER_BYTES) for key in "abc"]
        emitting = asyncio.ensure_future(writer.emit(page))
        for _ in range(5):
            await asyncio.sleep(0)
        found = len(queue._waiting)
        emitting.cancel()
        await asyncio.gather(emitting, return_exceptions=True)
        return found

    assert asyncio.run(handed_over()) == 1
