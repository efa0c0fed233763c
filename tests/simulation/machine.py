"""The computer on which syncs run: its clocks, its disk, and how it dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from oa_sync.clock import Clock
from oa_sync.quota.sqlite_ledger import FILE_NAME
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.simulation.disk import SimulatedDisk
from tests.simulation.loop import Sides, SimulatedLoop, Time, Turns
from tests.simulation.worlds import BEGIN


class Killed(KeyboardInterrupt):
    """`kill -9`: no code of the process runs from here on. A KeyboardInterrupt, for asyncio lets that through."""


class SimulatedClock(Clock):
    """The machine's clocks, beside true time: the wall clock may be wrong, the monotonic one may stand still."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.wall = 0.0
        """Seconds by which the wall clock is ahead of true time."""

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._time.seconds + self.wall)

    def monotonic(self) -> float:
        return 1_000.0 + self._time.awake

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class Machine:
    """One home folder and what becomes of it. `folder` is in memory and belongs to this world."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.time = Time()
        self.clock = SimulatedClock(self.time)
        (folder / "shadow").mkdir(parents=True)
        self.disk = SimulatedDisk(folder / "shadow", self.step, lambda: self.time.seconds)
        self.steps = 0
        """Steps of the sync so far at which it could be killed."""
        self.kill_at: int | None = None
        self.killed_at = ""
        self.ended_at = 0.0
        """True time at which the last sync ended or was killed."""
        self.watch: Callable[[int], None] = lambda number: None
        """Hears of each step by its number."""

    @property
    def dead(self) -> bool:
        """Whether the process was killed; what it still does is taken back."""
        return bool(self.killed_at)

    def step(self, what: str) -> None:
        """A moment at which the process may be killed."""
        if self.dead:
            raise Killed
        self.steps += 1
        self.watch(self.steps)
        if self.steps == self.kill_at:
            self.killed_at, self.ended_at = what, self.time.seconds
            self._keep()
            raise Killed

    def run(
        self,
        work: Callable[[Surroundings], Any],
        transport: Any,
        chance: random.Random,
        eagerness: float,
        beside: Callable[[Surroundings], Coroutine[Any, Any, Any]] | None = None,
    ) -> SyncReport | None:
        """The report of the sync `work`; None when it was killed. `beside`: another process on this machine,
        which dies with it."""
        self.steps, self.killed_at = 0, ""
        self.disk.process_begins()
        turns = [Turns(chance, eagerness) for _ in range(1 if beside is None else 2)]
        own = self._surroundings(turns[0], transport, chance)
        loop = SimulatedLoop(self.time, Sides(turns))
        loop.set_exception_handler(lambda loop, context: None)
        try:
            if beside is None:
                report = loop.run_until_complete(work(own))
            else:
                other = loop.create_task(beside(self._surroundings(turns[1], None, chance)))
                report = loop.run_until_complete(_both(work(own), other))
        except Killed:
            for side in turns:
                side.kill()
            _let_go(loop)
            self._take_back()
            return None
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        self.ended_at = self.time.seconds
        self.disk.process_ended()
        assert isinstance(report, SyncReport)
        return report

    def _surroundings(self, turns: Turns, transport: Any, chance: random.Random) -> Surroundings:
        return Surroundings(
            clock=self.clock,
            random=chance,
            disk=self.disk,
            transport=transport,
            loading_thread=lambda: turns,
            condition=lambda: cast(threading.Condition, turns.condition()),
        )

    def power_cut(self, chance: random.Random, *, ledger_is_synced: bool) -> None:
        """What was not synced may be lost, and the tail of the ledger's log with it."""
        self.disk.power_cut(chance)
        log = self.home / f"{FILE_NAME}-wal"
        if log.exists() and not ledger_is_synced:
            content = log.read_bytes()
            log.write_bytes(content[: chance.randrange(len(content) + 1)])

    def lose_home(self) -> None:
        """Somebody deleted it."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.disk.forget()

    def back_up(self) -> Path:
        """A copy of the home folder, as a backup makes one."""
        kept = self.folder / "backup"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.home, kept)
        return kept

    def restore(self, kept: Path) -> None:
        """The home folder as it was."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(kept, self.home)
        self.disk.forget()

    def _keep(self) -> None:
        shutil.rmtree(self.folder / "kept", ignore_errors=True)
        shutil.copytree(self.home, self.folder / "kept")
        self.disk.freeze()

    def _take_back(self) -> None:
        """Undo what the dying process did in its `finally` blocks, which a killed one does not run."""
        self.disk.process_ended()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.move(self.folder / "kept", self.home)
        self.disk.thaw()


async def _both(work: Coroutine[Any, Any, Any], other: asyncio.Task[Any]) -> Any:
    """What `work` gives, when `other` is done too."""
    try:
        return await work
    finally:
        await other


def _let_go(loop: SimulatedLoop) -> None:
    """End the tasks of a killed process; whatever they do is taken back."""
    tasks = asyncio.all_tasks(loop)
    for _ in range(50):
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        with contextlib.suppress(BaseException):
            loop.run_until_complete(asyncio.wait(tasks, timeout=0))
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
        tasks = asyncio.all_tasks(loop)
