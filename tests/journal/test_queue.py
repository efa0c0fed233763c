"""How much is in flight, what a segment is, and how both sides hear that the other has ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oa_sync.journal.items import Item, Kind
from oa_sync.journal.queue import SegmentQueue

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PATH = Path("00000001.oaj")
Queue = SegmentQueue[str]
pytestmark = pytest.mark.timeout(120)


def item(key: str, size: int = 10) -> Item:
    return Item(Kind.DETAIL, "reports", key, NOW, body=b" " * size)


def on_loop(work: Callable[[Queue], Awaitable[Any]], max_bytes: int = 100) -> Any:
    async def run() -> Any:
        return await work(SegmentQueue(max_bytes))

    return asyncio.run(run())


async def waits(putting: Awaitable[None]) -> bool:
    """Whether `putting` still waits when everything else has had its turn."""
    task = asyncio.ensure_future(putting)
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        await task
        return False
    task.cancel()
    return True


# -- bytes in flight --------------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "waiting"), [((99,), False), ((100,), True), ((60, 40), True)])
def test_putting_waits_from_the_bound_on(sizes: tuple[int, ...], waiting: bool) -> None:
    async def work(queue: Queue) -> bool:
        return await waits(queue.put([item(str(size), size) for size in sizes]))

    assert on_loop(work) is waiting


def test_the_bytes_of_row_and_body_count() -> None:
    both = Item(Kind.DETAIL, "reports", "k", NOW, row=b" " * 50, body=b" " * 50)

    async def work(queue: Queue) -> bool:
        return await waits(queue.put([both]))

    assert on_loop(work) is True


@pytest.mark.parametrize(("bound", "rooms"), [(70_001, [True, True]), (70_000, [False, True])])
def test_there_is_room_again_when_less_than_the_bound_is_in_flight(
    bound: int, rooms: list[bool]
) -> None:
    """Each item is more than what is taken at once."""

    async def work(queue: Queue) -> list[bool]:
        putting = asyncio.ensure_future(queue.put([item("a", 70_000), item("b", 70_000)]))
        await asyncio.sleep(0)
        found = []
        for _ in range(2):
            queue._take_some()
            for _ in range(5):
                await asyncio.sleep(0)
            found.append(putting.done())
        return found

    assert on_loop(work, bound) == rooms


def test_the_ends_of_segments_weigh_nothing() -> None:
    async def work(queue: Queue) -> list[bool]:
        for _ in range(50):
            queue.end_segment(None)
            next(queue.segments())
        return [await waits(queue.put([item("a", 99)])), await waits(queue.put([item("b", 1)]))]

    assert on_loop(work) == [False, True]


class Noted(threading.Condition):
    """Says when somebody begins to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.begun.set()
        return super().wait(timeout)


def test_a_consumer_that_waits_hears_of_the_next_item() -> None:
    async def work() -> list[str]:
        filled = Noted()
        queue = SegmentQueue[str](100, filled)

        def taken() -> list[str]:
            return [one.key for one in next(queue.segments()).items()]

        taking = asyncio.ensure_future(asyncio.to_thread(taken))
        assert await asyncio.to_thread(filled.begun.wait, 60)
        await queue.put([item("a")])
        queue.close()
        return await asyncio.wait_for(taking, 60)

    assert asyncio.run(work()) == ["a"]


def test_items_taken_together_are_taken_off_together() -> None:
    async def work(queue: Queue) -> bool:
        await waits(queue.put([item("a", 60), item("b", 60)]))
        next(queue.segments())
        return await waits(queue.put([item("c", 99)]))

    assert on_loop(work) is False


# -- the end of either side -------------------------------------------------------------------------


def test_putting_raises_what_the_consumer_failed_with_also_if_it_waited_already() -> None:
    async def work(queue: Queue) -> list[str]:
        waiting = asyncio.ensure_future(queue.put([item("a", 200)]))
        await asyncio.sleep(0)
        queue.fail(ValueError("the destination"))
        told = []
        for putting in (waiting, queue.put([item("b", 200)])):
            with pytest.raises(ValueError, match="the destination") as caught:
                await putting
            told.append(str(caught.value))
        return told

    assert on_loop(work) == ["the destination"] * 2


def test_a_closed_queue_without_items_has_no_segment() -> None:
    async def work(queue: Queue) -> list[Any]:
        queue.close()
        return list(queue.segments())

    assert on_loop(work) == []


# -- segments ---------------------------------------------------------------------------------------


async def two_segments(queue: Queue) -> None:
    await queue.put([item("a"), item("b")])
    queue.end_segment(PATH, lambda: ["bookkeeping"])
    await queue.put([item("c")])
    queue.end_segment(None)
    queue.close()


def test_a_segment_has_its_items_its_file_and_its_bookkeeping() -> None:
    async def work(queue: Queue) -> list[Any]:
        await two_segments(queue)
        return [
            ([one.key for one in each.items()], each.end.path, each.tail(), each.is_cut)
            for each in queue.segments()
        ]

    assert on_loop(work) == [(["a", "b"], PATH, ["bookkeeping"], False), (["c"], None, [], False)]


def test_what_a_failed_load_left_unread_is_not_in_the_next_segment() -> None:
    async def work(queue: Queue) -> list[list[str]]:
        await two_segments(queue)
        return [[next(each.items()).key] for each in queue.segments()]

    assert on_loop(work) == [["a"], ["c"]]


def test_a_segment_without_items_is_one_too() -> None:
    """A sync that fetched nothing still writes its row of the sync."""

    async def work(queue: Queue) -> list[Any]:
        queue.end_segment(None, lambda: ["bookkeeping"])
        queue.close()
        return [(list(each.items()), each.tail()) for each in queue.segments()]

    assert on_loop(work) == [([], ["bookkeeping"])]


def test_a_queue_closed_within_a_segment_says_that_it_is_cut_and_ends() -> None:
    async def work(queue: Queue) -> list[Any]:
        await queue.put([item("a")])
        queue.close()
        return [
            ([one.key for one in each.items()], each.is_cut, each.end.path)
            for each in queue.segments()
        ]

    assert on_loop(work) == [(["a"], True, None)]
