"""Nights played from a seed, one after the other, with every oracle asked after each."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from oa_sync.commands.sync import sync_async
from oa_sync.errors import DestinationError, OaSyncError
from oa_sync.journal.segment_writer import SegmentWriter
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.simulation.lies import LIES, NO_DETAILS, told
from tests.simulation.machine import Machine
from tests.simulation.nights import HOUR, Kinds, Night
from tests.simulation.nights import drawn as drawn_night
from tests.simulation.oracles import Alarm, Seen, alarms, state_of
from tests.simulation.paid import Ending, Receipts
from tests.simulation.server import KEY, Asked, Server
from tests.simulation.worlds import BEGIN, Source, World
from tests.simulation.worlds import drawn as drawn_world
from tests.support.memory_target import MemoryStore, MemoryTarget

IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
_REFUSED = "the table is refused tonight"


@dataclass(frozen=True)
class Found:
    """An alarm, with the seed and the night that show it."""

    seed: int
    night: Night
    alarm: Alarm

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.night}\n  {self.alarm}"


@dataclass
class Play:
    """One world and its nights. `nights` are drawn as they come, or given."""

    seed: int
    kinds: Kinds = field(default_factory=Kinds)
    largest: int = 24
    world: World | None = None
    given: dict[int, Night] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    """Kinds of alarms that do not end the play."""

    def __post_init__(self) -> None:
        self.world = self.world or drawn_world(self.seed, largest=self.largest)
        self.log: list[str] = []
        """What the syncs wrote to the log, and what each night was."""
        self.played: list[Night] = []
        self.requests = 0

    def run(self, nights: int) -> Found | None:
        """Play up to `nights`; the first alarm ends it."""
        folder = Path(tempfile.mkdtemp(prefix="night-", dir=IN_MEMORY))
        try:
            with _logged(self.log), _key_in_environment():
                return _World(self, folder).run(nights)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _World:
    """The parts of a world while its nights are played."""

    def __init__(self, play: Play, folder: Path) -> None:
        assert play.world is not None
        self._play, self._world = play, play.world
        self._chance = self._of_night(0)
        self._source = Source(self._world, random.Random(f"source {play.seed}"))
        self._machine = Machine(folder)
        self._source.fill(BEGIN)
        self._source.changes.clear()
        self._store = MemoryStore()
        self._definition = folder / "definition.yaml"
        self._world.write_definition(self._definition)
        self._asked: list[Asked] = []
        self._foreign: list[float] = []
        self._settled = False
        self._changed: set[tuple[str, tuple[Any, ...]]] = set()
        self._backup: Path | None = None
        self._receipts = Receipts()

    def _of_night(self, number: int) -> random.Random:
        """The chance of one night, so that a night stays what it is when another one is left out."""
        return random.Random(f"night {number} of {self._play.seed}")

    def run(self, nights: int) -> Found | None:
        for number in range(nights):
            self._chance = self._source.chance = self._of_night(number)
            drawn = drawn_night(number, self._chance, len(self._world.lists), self._play.kinds)
            night = self._play.given.get(number, drawn)
            self._play.played.append(night)
            self._play.log.append(str(night))
            raised = [one for one in self._alarms(night) if one.kind not in self._play.known]
            found = raised[0] if raised else None
            if found is not None:
                return Found(self._play.seed, night, found)
        return None

    def _alarms(self, night: Night) -> Iterator[Alarm]:
        self._before(night)
        before, began, logged = state_of(self._source), len(self._asked), len(self._play.log)
        changes = len(self._source.changes)
        report, error = self._sync(night)
        self._play.requests += len(self._asked) - began
        touched = set(self._source.changes[changes:])
        self._changed |= set(self._source.changes[:changes]) | touched
        if error is not None:
            yield Alarm("an exception", f"{type(error).__name__}: {error}")
            return
        seen = Seen(
            world=self._world,
            night=night,
            before=before,
            after=state_of(self._source),
            touched=touched,
            report=report,
            rows={name: self._store.rows(name) for name in self._store.tables},
            asked=self._asked[began:],
            all_asked=self._asked,
            foreign=self._foreign,
            settled=self._settled,
            changed=self._changed,
            log="\n".join(self._play.log[logged:]),
            home=self._machine.home,
        )
        said = "killed" if report is None else f"{report.status}, {report.requests.made} requests"
        self._play.log.append(said)
        yield from alarms(seen)
        self._receipts.changed(self._source.changes[:changes])
        disk = self._machine.disk
        ending = Ending(self._machine.ended_at, disk.full_at, disk.closed_at)
        yield from self._receipts.after(
            self._world, night, seen.asked, seen.after, touched, report, ending
        )
        self._after(night, report, touched)

    # -- around the sync ------------------------------------------------------------------------

    def _before(self, night: Night) -> None:
        machine, time = self._machine, self._machine.time
        self._source.changes.clear()
        # Mostly long before the sync, seldom in the very second in which it begins.
        early = self._chance.random() < 0.8
        for _ in range(night.edits if early else 0):
            self._source.edit(self._now())
        time.pass_by(night.waits)
        if night.waits >= HOUR:
            machine.disk.settled()
        machine.clock.wall += night.wall_step
        if night.wall_step > 0:
            self._asked.clear()  # a clock that jumps forwards looks like time that passed (quota/ledger.py)
        match night.home:
            case "home is lost":
                machine.lose_home()
                self._settled = False
                self._asked.clear()  # a lost ledger has counted nothing (docs/quota.md)
            case "home is an older copy" if self._backup is not None:
                machine.restore(self._backup)
                self._settled = False
                self._asked.clear()
        restored = night.home == "home is an older copy" and self._backup is not None
        self._receipts.before(night, restored=restored)
        machine.disk.room = night.full_disk
        for _ in range(0 if early else night.edits):
            self._source.edit(self._now())
        for _ in range(night.other_spender):
            self._foreign.append(time.seconds)
        if night.upgrade:
            self._upgrade(night.upgrade)

    def _upgrade(self, what: str) -> None:
        """Another definition from now on."""
        lists = list(self._world.lists)
        place = self._chance.randrange(len(lists))
        match what:
            case "history on":
                lists[place] = replace(lists[place], keeps_history=True)
            case _:
                return
        self._world = self._source.world = replace(self._world, lists=tuple(lists))
        self._world.write_definition(self._definition)

    def _after(
        self, night: Night, report: SyncReport | None, touched: set[tuple[str, Any]]
    ) -> None:
        machine = self._machine
        machine.disk.room = None
        if night.power_cut:
            durable = 0 < self._world.per_minute <= 120
            machine.power_cut(self._chance, ledger_is_synced=durable)
            if not durable:
                # docs/quota.md: at such a rate a power cut may forget the last bookings.
                self._asked.clear()
        if report is not None and report.status == "complete":
            # A power cut may bring back the note of what was left to fetch, and files that were loaded.
            self._settled, self._changed = not touched and not night.power_cut, set(touched)
        elif night.full_refresh:
            self._settled = False  # what it had not come to is backlog now
        if night.number % 5 == 2 and machine.home.exists():
            self._backup = machine.back_up()

    # -- the sync -------------------------------------------------------------------------------

    def _sync(self, night: Night) -> tuple[SyncReport | None, Exception | None]:
        machine = self._machine
        machine.kill_at = night.kill_at
        if night.suspend_at is not None:
            machine.watch = lambda step: self._suspend() if step == night.suspend_at else None
        else:
            machine.watch = lambda step: None
        server = Server(
            self._world,
            self._source,
            now=lambda: machine.time.seconds,
            instant=self._now,
            before=self._failing(night),
            spoil=self._spoiling(night),
            after=self._churning(night),
            asked=self._asked,
        )
        settings = Settings(
            home=machine.home,
            source=str(self._definition),
            rpm=self._world.per_minute,
            rpd=self._world.per_day,
            reserve=0.0,
            database=machine.folder / "target.duckdb",
        )
        target = MemoryTarget(settings, self._store, step=self._loading(night))

        def work(around: Surroundings) -> Any:
            return sync_async(
                settings, full_refresh=night.full_refresh, around=around, target=target
            )

        try:
            with _segments_of(self._world.segment_bytes):
                return machine.run(work, server, self._chance, self._world.eagerness), None
        except OaSyncError as error:
            return None, error
        except Exception as error:
            logging.getLogger("oa_sync").exception("the sync broke")
            return None, error

    def _suspend(self) -> None:
        """The machine sleeps for hours, and its monotonic clock with it."""
        self._machine.time.suspend(5 * HOUR)

    def _loading(self, night: Night) -> Callable[[str], None]:
        """Called before each table is written: killed there, or refused once."""
        loads = 0

        def step(what: str) -> None:
            nonlocal loads
            self._machine.step(f"load {what}")
            loads += 1
            if loads == night.refuses_loads:
                raise DestinationError(_REFUSED)

        return step

    def _failing(self, night: Night) -> Callable[[str], None]:
        requests = 0

        def before(path: str) -> None:
            nonlocal requests
            requests += 1
            self._machine.step(f"request {path}")
            match night.faults.get(requests):
                case "refused":
                    raise httpx.ConnectError("connection refused")
                case "timeout" | "reset" as how:
                    self._asked.append(Asked(self._machine.time.seconds, "lost", path, (), 0))
                    raise (httpx.ReadTimeout if how == "timeout" else httpx.ReadError)(how)

        return before

    def _spoiling(
        self, night: Night
    ) -> Callable[[str, int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]:
        answers = 0

        def spoil(
            path: str, status: int, headers: dict[str, str], body: bytes
        ) -> tuple[int, dict[str, str], bytes]:
            nonlocal answers
            answers += 1
            limited = self._over_limit()
            if limited:
                return 429, {"retry-after": str(limited)}, b'{"error": {"message": "too many"}}'
            match night.faults.get(answers):
                case "500" | "503" as how:
                    return int(how), {}, b'{"error": {"message": "broken"}}'
                case "429":
                    return 429, {"retry-after": "2"}, b'{"error": {"message": "too many"}}'
                case "cut body":
                    return status, headers, body[: len(body) // 2]
                case "html":
                    return 200, {"content-type": "text/html"}, b"<html>maintenance</html>"
            return self._lied(night, path, status, headers, body)

        return spoil

    def _lied(
        self, night: Night, path: str, status: int, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The answer, with the lie of the night in it."""
        plan = self._world.lists[night.lie_list % len(self._world.lists)]
        if night.lie == NO_DETAILS and path.startswith(f"{plan.name}-of"):
            return 404, {}, b'{"error": {"message": "there is none"}}'
        if night.lie in LIES and path.rpartition("/")[2] == plan.name and status == 200:
            return status, {}, told(night.lie, plan, body)
        return status, headers, body

    def _over_limit(self) -> int:
        """Seconds that the server asks to wait, where others have spent what we have not; 0: none."""
        if not self._foreign:
            return 0
        now = self._machine.time.seconds
        times = sorted([*(one.at for one in self._asked if one.status != 429), *self._foreign])
        for seconds, most in ((60, self._world.per_minute), (86_400, self._world.per_day)):
            if most and len(times) - bisect_right(times, now - seconds) >= most:
                return int(times[-most] + seconds - now) + 1
        return 0

    def _churning(self, night: Night) -> Callable[[], None]:
        requests = 0

        def after() -> None:
            nonlocal requests
            requests += 1
            if night.churn and requests % night.churn == 0:
                # Answers of one instant follow each other: no version is told twice.
                self._source.edit(self._now() + timedelta(microseconds=requests))

        return after

    def _now(self) -> datetime:
        """True time."""
        return BEGIN + timedelta(seconds=self._machine.time.seconds)


@contextlib.contextmanager
def _segments_of(nbytes: int) -> Iterator[None]:
    defaults = SegmentWriter.__init__.__kwdefaults__
    before, defaults["max_bytes"] = defaults["max_bytes"], nbytes
    try:
        yield
    finally:
        defaults["max_bytes"] = before


@contextlib.contextmanager
def _key_in_environment() -> Iterator[None]:
    os.environ["SIMULATED_KEY"] = KEY
    try:
        yield
    finally:
        del os.environ["SIMULATED_KEY"]


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


@contextlib.contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    logger, handler = logging.getLogger("oa_sync"), _Lines(lines)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
