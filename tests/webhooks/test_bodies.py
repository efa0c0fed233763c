"""Whose body makes room where all that are being received take too much memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from oa_sync.webhooks.bodies import Bodies, CrowdedError, Reading

MOST = 100
Test = Callable[[], Awaitable[None]]


def on_a_loop(test: Test) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    return run


@asynccontextmanager
async def begun(bodies: Bodies, *sizes: int) -> AsyncIterator[list[Reading]]:
    """A body for each of `sizes`, of which so many bytes have arrived; at the end, only those that made room
    were stopped."""
    readings = [Reading() for _ in sizes]

    async def read(reading: Reading) -> None:
        async with asyncio.timeout(3600) as deadline:
            bodies.begin(reading, deadline)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(read(each)) for each in readings]
    await asyncio.sleep(0)
    for reading, size in zip(readings, sizes, strict=True):
        bodies.take(reading, size)
    yield readings
    while any(
        each.made_room and not task.done() for each, task in zip(readings, tasks, strict=True)
    ):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, TimeoutError) for each in ended] == [
        each.made_room for each in readings
    ]


@on_a_loop
async def test_bodies_that_fill_the_memory_to_the_last_byte_are_all_kept() -> None:
    async with begun(Bodies(MOST), 60, 40) as readings:
        assert [(each.held, each.made_room) for each in readings] == [(60, False), (40, False)]


@on_a_loop
async def test_the_oldest_make_room_and_as_few_as_are_needed() -> None:
    bodies = Bodies(MOST)
    async with begun(bodies, 40, 20, 10, 30) as readings:
        bodies.take(readings[3], 41)
        assert [each.made_room for each in readings] == [True, True, False, False]
        assert [each.held for each in readings] == [0, 0, 10, 71]
        bodies.take(readings[3], 19)
        assert not readings[2].made_room, "what the others held is free"


@on_a_loop
async def test_a_body_that_grows_does_not_make_room_for_itself_while_another_can() -> None:
    bodies = Bodies(MOST)
    async with begun(bodies, 60, 40) as (old, young):
        bodies.take(old, 1)
        assert (old.made_room, young.made_room) == (False, True)


@on_a_loop
async def test_a_whole_body_makes_no_room_and_its_bytes_count_until_it_is_let_go() -> None:
    bodies = Bodies(MOST)
    whole, alone = Reading(), Reading()
    for reading, size in ((whole, 60), (alone, 40)):
        bodies.begin(reading, asyncio.timeout(None))
        bodies.take(reading, size)
        bodies.whole(reading)
    growing = Reading()
    bodies.begin(growing, asyncio.timeout(None))
    with pytest.raises(CrowdedError):
        bodies.take(growing, 1)
    assert [each.made_room for each in (whole, alone, growing)] == [False, False, True]
    for reading in (growing, whole, alone, alone):
        bodies.let_go(reading)
    async with begun(bodies, 60, 40) as readings:
        assert [each.made_room for each in readings] == [False, False], "all memory is free again"
        bodies.take(readings[1], 1)
        assert readings[0].made_room, "and no more than that"


@on_a_loop
async def test_what_still_arrives_of_a_body_that_made_room_takes_nothing() -> None:
    bodies = Bodies(MOST)
    async with begun(bodies, 60, 40) as (ended, kept):
        bodies.take(kept, 1)
        with pytest.raises(CrowdedError):
            bodies.take(ended, 1)
        bodies.take(kept, MOST - kept.held)
        assert (ended.held, kept.held, kept.made_room) == (0, MOST, False)


@on_a_loop
async def test_a_body_that_is_let_go_in_mid_way_makes_no_room() -> None:
    """One that is too large is read on and held no more."""
    bodies = Bodies(MOST)
    async with begun(bodies, 60, 30, 10) as (dropped, old, young):
        bodies.let_go(dropped)
        bodies.take(young, 60)
        assert not old.made_room
        bodies.take(young, 1)
        assert [each.made_room for each in (dropped, old, young)] == [False, True, False]
