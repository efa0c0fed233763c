"""Nights played from a seed, one after the other, with every oracle asked after each."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from oa_sync.commands.sync import sync_async
from oa_sync.errors import DestinationError, MassDeletionError, OaSyncError
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import Limits
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.simulation.hooks import Receiver, alarms_of_events
from tests.simulation.lies import FIRST, LIES, Teller, harm_of
from tests.simulation.machine import Machine
from tests.simulation.nights import HOUR, SINCE_1970, Kinds, Night, widened
from tests.simulation.nights import drawn as drawn_night
from tests.simulation.oracles import Alarm, Seen, alarms, living, state_of
from tests.simulation.paid import Ending, Receipts
from tests.simulation.process import as_a_process, key_in_environment, logged, segments_of
from tests.simulation.second import SECOND, SecondWorkspace, Work, rival_alarms
from tests.simulation.server import KEY, Asked, Server
from tests.simulation.source import Source
from tests.simulation.worlds import BEGIN, HOST, UPGRADES, World
from tests.simulation.worlds import drawn as drawn_world
from tests.support.filesystems import IN_MEMORY
from tests.support.memory_target import MemoryStore, MemoryTarget

_REFUSED = "the table is refused tonight"


@dataclass(frozen=True)
class Found:
    """An alarm, with the seed and the night that show it."""

    seed: int
    night: Night
    alarm: Alarm
    is_expected: bool = False
    """A lie was told that does harm today (`lies.py`)."""

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
        self.world = self.world or drawn_world(
            self.seed, largest=self.largest, wide=self.kinds.wide
        )
        self.log: list[str] = []
        """What the syncs wrote to the log, and what each night was."""
        self.played: list[Night] = []
        self.requests = 0
        self.stands: Counter[str] = Counter()
        """How often each of the `known` alarms was raised."""

    def run(self, nights: int) -> Found | None:
        """Play up to `nights`; the first alarm ends it."""
        as_a_process()
        folder = Path(tempfile.mkdtemp(prefix="night-", dir=IN_MEMORY))
        try:
            with logged(self.log), key_in_environment():
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
        self._store = MemoryStore()
        self._definition = folder / "definition.yaml"
        self._world.write_definition(self._definition)
        self._asked: list[Asked] = []
        self._foreign: list[float] = []
        self._settled = False
        self._changed: set[tuple[str, tuple[Any, ...]]] = set()
        self._outdated: set[tuple[str, tuple[Any, ...]]] = set()
        """(list, key) of rows that were there when the definition began to read more of them."""
        self._backup: Path | None = None
        self._was_restored = False
        self._looked = False
        """Somebody read in the report of the night before which rows were kept, and saw that they are gone."""
        self._receipts = Receipts()
        self._second = SecondWorkspace()
        self._teller: Teller | None = None
        self._rival: list[Alarm] = []
        self._is_syncing = False
        self._newer = self._source.state()
        self._lately: deque[set[tuple[str, tuple[Any, ...]]]] = deque(maxlen=4)
        self._receiver = Receiver(self._machine.home, Settings.workspace, self._machine.clock)

    def _of_night(self, number: int) -> random.Random:
        """The chance of one night, so that a night stays what it is when another one is left out."""
        return random.Random(f"night {number} of {self._play.seed}")

    def run(self, nights: int) -> Found | None:
        for number in range(nights):
            self._chance = self._source.chance = self._of_night(number)
            # Drawn in any case: the chance of the night is the same where the night is given.
            drawn = self._drawn(number)
            night = self._play.given.get(number, drawn)
            self._play.played.append(night)
            self._play.log.append(str(night))
            raised = list(self._alarms(night))
            known = [one.kind for one in raised if one.kind in self._play.known]
            self._play.stands.update(known)
            found = next((one for one in raised if one.kind not in self._play.known), None)
            if found is not None:
                harm = harm_of(night.lie for night in self._play.played)
                return Found(self._play.seed, night, found, found.kind in harm)
        return None

    def _drawn(self, number: int) -> Night:
        kinds = self._play.kinds
        night = drawn_night(number, self._chance, len(self._world.lists), kinds, FIRST)
        if not kinds.wide:
            return night
        return widened(
            night, random.Random(f"wide night {number} of {self._play.seed}"), kinds, tuple(LIES)
        )

    def _alarms(self, night: Night) -> Iterator[Alarm]:
        self._before(night)
        before, began, logged = state_of(self._source), len(self._asked), len(self._play.log)
        changes, store = len(self._source.changes), self._store
        loaded = {
            plan.name: len(living(plan, store.rows(plan.name)))
            for plan in self._world.lists
            if plan.name in store.tables
        }
        report, error = self._sync(night)
        self._play.requests += len(self._asked) - began
        touched = set(self._source.changes[changes:])
        self._changed |= set(self._source.changes[:changes]) | touched
        odd = self._teller.odd_rows if self._teller else set()
        self._changed |= odd
        is_stale = self._teller is not None and self._teller.lie.is_stale
        self._lately.append(set(self._source.changes))
        self._second.changed |= self._lately[-1]
        self._outdated -= set(self._source.changes)
        yield from self._rival
        if error is not None:
            yield Alarm("an exception", f"{type(error).__name__}: {error}")
            return
        seen = Seen(
            world=self._world.as_read(),
            night=night,
            before=before,
            after=state_of(self._source),
            touched=touched,
            report=report,
            rows={name: store.rows(name) for name in store.tables},
            asked=[one for one in self._asked[began:] if not one.by],
            all_asked=self._asked,
            foreign=self._foreign,
            settled=self._settled,
            changed=self._changed
            | self._outdated
            | (set().union(*self._lately) if is_stale else set()),
            outdated=self._outdated,
            is_stale=is_stale,
            odd_rows=odd if self._teller and self._teller.is_odd else None,
            loaded=loaded,
            told_of=self._teller.plan.name if self._teller else "",
            was_restored=self._was_restored,
            log="\n".join(self._play.log[logged:]),
            home=self._machine.home,
        )
        said = "killed" if report is None else f"{report.status}, {report.requests.made} requests"
        self._play.log.append(said)
        yield from alarms(seen)
        self._receipts.changed(self._source.changes[:changes])
        disk = self._machine.disk
        ending = Ending(
            self._machine.ended_at, disk.full_at, disk.closed_at.get(self._settings().journal)
        )
        yield from self._receipts.after(
            self._world, night, seen.asked, seen.after, touched, report, ending
        )
        yield from alarms_of_events(seen)
        if night.second_after is not None:
            yield from self._alarms_of_second(seen, began)
        self._after(night, report, touched)
        # The night after, what was told is other again.
        self._changed |= odd
        if seen.is_stale:
            self._changed |= set().union(*self._lately)

    def _alarms_of_second(self, seen: Seen, began: int) -> Iterator[Alarm]:
        """What is wrong with the other workspace, which was synced in the same night."""
        second = self._second
        if second.error is not None:
            yield Alarm("an exception", f"{type(second.error).__name__}: {second.error}")
            return
        store = second.store
        yield from alarms(
            replace(
                seen,
                report=second.report,
                rows={name: store.rows(name) for name in store.tables},
                asked=[one for one in self._asked[began:] if one.by == SECOND],
                settled=False,
                changed=second.changed,
                odd_rows=None,
            )
        )
        if second.report is not None and second.report.status == "complete":
            second.changed = set(seen.touched)

    # -- around the sync ------------------------------------------------------------------------

    def _before(self, night: Night) -> None:
        machine, time = self._machine, self._machine.time
        self._source.changes.clear()
        self._source.older, self._newer = self._newer, self._source.state()
        # Mostly long before the sync, seldom in the very second in which it begins.
        early = self._chance.random() < 0.8
        for _ in range(night.edits if early else 0):
            self._edit()
        time.pass_by(night.waits)
        if night.waits >= HOUR:
            machine.disk.settled()
        if machine.clock.wall < SINCE_1970 / 2:
            machine.clock.wall -= SINCE_1970  # it was set meanwhile
        machine.clock.wall += night.wall_step
        if night.status_between:
            self._look(machine)
            machine.clock.wall -= night.wall_step
        elif night.wall_step > 0:
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
        self._was_restored |= restored
        self._receipts.before(night, restored=restored)
        machine.disk.room = night.full_disk
        for _ in range(0 if early else night.edits):
            self._edit()
        for _ in range(night.other_spender):
            self._foreign.append(time.seconds)
        if night.upgrade:
            self._upgrade(night.upgrade)

    def _look(self, machine: Machine) -> None:
        """What `status` reads of the quota: nothing is written, whatever the clock shows."""
        limits = Limits(self._world.per_minute or None, self._world.per_day or None)
        ledger = open_ledger(machine.home, None, machine.clock, only_reading=True)
        with closing(ledger):
            ledger.usage(ledger.account(KEY, ""), limits)

    def _upgrade(self, what: str) -> None:
        """Another definition from now on."""
        lists = list(self._world.lists)
        place = self._chance.randrange(len(lists))
        if what not in UPGRADES:
            return
        plan = lists[place]
        lists[place] = UPGRADES[what](plan, self._chance)
        rows = {(plan.name, key) for key in self._source.rows[plan.name]}
        if lists[place].unread < plan.unread:
            self._outdated |= rows
        read_before = {plan.name for plan in self._world.read}
        self._world = self._source.world = replace(self._world, lists=tuple(lists))
        for plan in self._world.read:
            if plan.name not in read_before:
                self._changed |= {(plan.name, key) for key in self._source.rows[plan.name]}
        self._world.write_definition(self._definition)

    def _edit(self, later: timedelta = timedelta()) -> None:
        """A change at the source, so much `later` than now, of which the API may tell."""
        self._source.edit(self._now() + later)
        if self._world.has_hooks:
            calls, self._source.calls = self._source.calls, []
            self._receiver.deliver(calls, self._chance)

    def _after(
        self, night: Night, report: SyncReport | None, touched: set[tuple[str, Any]]
    ) -> None:
        machine = self._machine
        machine.disk.room = None
        kept = report is not None and report.error is not None
        # Where the list moved, one of the rows may only have been missed: who looks sees that it is there.
        is_mass = kept and isinstance(report.error, MassDeletionError)
        self._looked = is_mass and not (night.lie or touched)
        if night.power_cut:
            durable = 0 < self._world.per_minute <= 120
            machine.power_cut(self._chance, ledger_is_synced=durable)
            if night.waits < HOUR:
                # A note that the sync before had taken away may be there again, and costs requests
                # (extract/details/unfinished.py).
                self._settled = False
            if not durable:
                # docs/quota.md: at such a rate a power cut may forget the last bookings.
                self._asked.clear()
        if report is not None and report.status == "complete":
            read = {plan.name for plan in self._world.read}
            unread = {change for change in self._changed if change[0] not in read}
            # A power cut may bring back the note of what was left to fetch, and files that were loaded.
            self._settled, self._changed = not touched and not night.power_cut, touched | unread
            self._outdated = {row for row in self._outdated if row[0] not in read}
        elif night.full_refresh:
            self._settled = False  # what it had not come to is backlog now
        if night.lie:
            self._settled = False  # rows that were hidden come as new ones, and cost their details
        if night.number % 5 == 2 and machine.home.exists():
            self._backup = machine.back_up()

    # -- the sync -------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        return Settings(
            home=self._machine.home,
            source=str(self._definition),
            allow_env=(f"SIMULATED_KEY@{HOST}",),
            rpm=self._world.per_minute,
            rpd=self._world.per_day,
            reserve=0.0,
            database=self._machine.folder / "target.duckdb",
        )

    def _sync(self, night: Night) -> tuple[SyncReport | None, Exception | None]:
        machine = self._machine
        machine.kill_at = night.kill_at
        plan = self._world.lists[night.lie_list % len(self._world.lists)]
        self._teller = Teller(night.lie, plan) if night.lie else None
        self._rival.clear()
        server = Server(
            self._world,
            self._source,
            now=lambda: machine.time.seconds,
            instant=self._now,
            before=self._failing(night),
            spoil=self._spoiling(night),
            after=self._churning(night),
            asked=self._asked,
            teller=self._teller,
        )
        settings = self._settings()
        target = MemoryTarget(settings, self._store, step=self._loading(night))

        def watch(step: int) -> None:
            if step == night.suspend_at:
                self._suspend()
            if step == night.rival_at and self._is_syncing:
                around = Surroundings(clock=machine.clock, disk=machine.disk, transport=server)
                self._rival.extend(rival_alarms(settings, around, target))

        machine.watch = watch

        async def work(around: Surroundings) -> SyncReport:
            self._is_syncing = True
            try:
                return await sync_async(
                    settings,
                    full_refresh=night.full_refresh,
                    allow_mass_delete=self._looked,
                    around=around,
                    target=target,
                )
            finally:
                self._is_syncing = False

        try:
            # Who is to die at a load has small segments that wait for theirs.
            waits = night.kill_at_load is not None
            eagerness = 0.0 if waits else self._world.eagerness
            with segments_of(600 if waits else self._world.segment_bytes):
                beside = self._beside(night, settings)
                return machine.run(work, server, self._chance, eagerness, beside), None
        except OaSyncError as error:
            return None, error
        except Exception as error:
            logging.getLogger("oa_sync").exception("the sync broke")
            return None, error

    def _beside(self, night: Night, settings: Settings) -> Work | None:
        """The sync of another workspace in this night."""
        if night.second_after is None:
            return None
        machine = self._machine
        server = Server(
            self._world,
            self._source,
            now=lambda: machine.time.seconds,
            instant=self._now,
            before=lambda path: machine.step(f"request {path} of another workspace"),
            spoil=self._limiting,
            after=lambda: None,
            asked=self._asked,
            by=SECOND,
        )
        return self._second.syncs(settings, server, machine.step, night.second_after)

    def _suspend(self) -> None:
        """The machine sleeps for hours, and its monotonic clock with it."""
        self._machine.time.suspend(5 * HOUR)

    def _loading(self, night: Night) -> Callable[[str], None]:
        """Called before each table is written: killed there, or refused once."""
        loads = 0

        def step(what: str) -> None:
            nonlocal loads
            loads += 1
            if loads == night.kill_at_load:
                self._machine.kill_at = self._machine.steps + 1
            self._machine.step(f"load {what}")
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
            limited = self._limiting(path, status, headers, body)
            if limited[0] == 429:
                return limited
            match night.faults.get(answers):
                case "500" | "503" as how:
                    return int(how), {}, b'{"error": {"message": "broken"}}'
                case "429":
                    return 429, {"retry-after": "2"}, b'{"error": {"message": "too many"}}'
                case "cut body":
                    return status, headers, body[: len(body) // 2]
                case "html":
                    return 200, {"content-type": "text/html"}, b"<html>maintenance</html>"
            return status, headers, body

        return spoil

    def _limiting(
        self, path: str, status: int, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The answer, or 429 where others have spent what we have not."""
        limited = self._over_limit()
        if limited:
            return 429, {"retry-after": str(limited)}, b'{"error": {"message": "too many"}}'
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
                self._edit(timedelta(microseconds=requests))
            if night.storm and requests % night.storm == 0:
                self._storm(timedelta(microseconds=requests))

        return after

    def _storm(self, later: timedelta) -> None:
        """A row leaves the list that was just asked, and another one comes."""
        asked = self._asked[-1]
        for plan in self._world.lists:
            if (asked.kind, asked.name) == ("list", plan.name):
                self._source.delete(plan)
                self._source.insert(plan, self._now() + later)

    def _now(self) -> datetime:
        """True time."""
        return BEGIN + timedelta(seconds=self._machine.time.seconds)
