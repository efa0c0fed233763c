from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from oa_sync.errors import OaSyncError
from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import Inbox
from tests.support.clock import START, ManualClock
from tests.webhooks.receiving import SlowDisk


class FullDisk(Inbox):
    def append_all(self, deliveries: Sequence[tuple[bytes, datetime]]) -> list[bool]:
        raise OaSyncError("disk full")


def test_nobody_is_answered_before_the_commit_and_those_who_wait_share_the_next(
    tmp_path: Path,
) -> None:
    async def scenario(inbox: SlowDisk) -> None:
        with closing(GroupCommit(inbox, ManualClock())) as commits:
            first = asyncio.create_task(commits.append(b"first", START))
            assert await asyncio.to_thread(inbox.begun.acquire, timeout=60)
            others = [asyncio.create_task(commits.append(b"%d" % n, START)) for n in range(50)]
            again = asyncio.create_task(commits.append(b"first", START))
            await asyncio.sleep(0)
            assert not any(task.done() for task in (first, again, *others))
            assert inbox.depth() == 0
            inbox.go_on.release()
            assert await first
            assert not any(task.done() for task in (again, *others))
            inbox.go_on.release()
            assert all(await asyncio.gather(*others))
            assert not await again
        assert inbox.commits == [1, 51]
        assert inbox.depth() == 51

    with closing(SlowDisk(tmp_path, ManualClock())) as inbox:
        asyncio.run(scenario(inbox))


def test_deliveries_of_the_five_milliseconds_after_the_first_share_its_commit(
    tmp_path: Path,
) -> None:
    class Meanwhile(ManualClock):
        """During the first wait further deliveries arrive."""

        async def sleep(self, seconds: float) -> None:
            if not self.sleeps:
                tasks.extend(asyncio.create_task(commits.append(b"%d" % n, START)) for n in (2, 3))
            await super().sleep(seconds)

    async def scenario() -> None:
        tasks.append(asyncio.create_task(commits.append(b"1", START)))
        await asyncio.wait(tasks)
        assert all(await asyncio.gather(*tasks))
        assert await commits.depth() == 3

    tasks: list[asyncio.Task[bool]] = []
    clock = Meanwhile()
    with closing(SlowDisk(tmp_path, clock)) as inbox, closing(GroupCommit(inbox, clock)) as commits:
        inbox.go_on.release()
        asyncio.run(scenario())
    assert (inbox.commits, clock.sleeps) == ([3], [0.005])
    assert not [thread.name for thread in threading.enumerate() if "inbox" in thread.name]


def test_failed_commit_fails_everyone_in_it_and_the_next_works(tmp_path: Path) -> None:
    async def scenario(full: FullDisk, good: Inbox) -> None:
        commits = GroupCommit(full, ManualClock())
        outcomes = await asyncio.gather(
            *(commits.append(b"%d" % n, START) for n in range(3)), return_exceptions=True
        )
        assert [str(outcome) for outcome in outcomes] == ["disk full"] * 3
        with pytest.raises(OaSyncError, match="disk full"):
            await commits.append(b"later", START)
        commits._inbox = good
        assert await commits.append(b"later", START)
        commits.close()

    with (
        closing(FullDisk(tmp_path, ManualClock())) as full,
        closing(Inbox(tmp_path, ManualClock())) as good,
    ):
        asyncio.run(scenario(full, good))


def test_one_who_gives_up_hurts_nobody_in_a_commit_that_fails(tmp_path: Path) -> None:
    async def scenario(full: FullDisk) -> None:
        with closing(GroupCommit(full, ManualClock())) as commits:
            tasks = [asyncio.create_task(commits.append(b"%d" % n, START)) for n in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes[0], asyncio.CancelledError)
            assert [str(outcome) for outcome in outcomes[1:]] == ["disk full"] * 2

    with closing(FullDisk(tmp_path, ManualClock())) as full:
        asyncio.run(scenario(full))


def test_one_who_gives_up_does_not_hurt_the_others(tmp_path: Path) -> None:
    async def scenario(inbox: SlowDisk) -> None:
        with closing(GroupCommit(inbox, ManualClock())) as commits:
            tasks = [asyncio.create_task(commits.append(b"%d" % n, START)) for n in range(3)]
            assert await asyncio.to_thread(inbox.begun.acquire, timeout=60)
            tasks[1].cancel()
            inbox.go_on.release()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert outcomes[0] is True
            assert isinstance(outcomes[1], asyncio.CancelledError)
            assert outcomes[2] is True

    with closing(SlowDisk(tmp_path, ManualClock())) as inbox:
        asyncio.run(scenario(inbox))
