"""What a night brings, drawn from the seed: changes at the source, kills, faults, clocks, disks, lies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.worlds import UPGRADES

HOUR = 3_600.0
SINCE_1970 = -490_000 * HOUR
"""A machine without a battery: the clock of this night starts in 1970 and is right in the next."""
FAULTS = ("500", "503", "429", "reset", "timeout", "cut body", "html", "refused")


@dataclass
class Night:
    """One sync and what happens before and during it. Requests and steps are counted from 1."""

    number: int
    waits: float
    edits: int = 0
    churn: int = 0
    """A change at the source after every so many requests (0: none)."""
    storm: int = 0
    """After every so many requests, a row leaves the list that was just asked, and another one comes (0: none)."""
    kill_at: int | None = None
    kill_at_load: int | None = None
    """The load of the so-manieth table, at which the process is killed."""
    power_cut: bool = False
    faults: dict[int, str] = field(default_factory=dict)
    refuses_loads: int | None = None
    """The load of the so-manieth table fails once."""
    wall_step: float = 0.0
    status_between: bool = False
    """Somebody looks at the status while the clock is wrong, before it is right again for the sync."""
    suspend_at: int | None = None
    full_disk: int | None = None
    """Bytes that the disk of the home folder still takes."""
    home: str = ""
    other_spender: int = 0
    """Requests of another client of the same key, sent before the sync."""
    full_refresh: bool = False
    lie: str = ""
    lie_list: int = 0
    upgrade: str = ""
    rival_at: int | None = None
    """The step at which another process begins a sync of the same workspace."""
    second_after: float | None = None
    """Seconds after which a sync of another workspace begins, with the same key and the same ledger."""

    @property
    def may_be_killed(self) -> bool:
        """Whether the process does not live to the end of the sync, if that has so many steps."""
        return self.kill_at is not None or self.kill_at_load is not None

    @property
    def moves(self) -> bool:
        """The source changes while it is read."""
        return bool(self.churn or self.storm)

    @property
    def is_quiet(self) -> bool:
        """Nothing happens but the sync."""
        return not (
            self.edits
            or self.moves
            or self.may_be_killed
            or self.faults
            or self.refuses_loads
            or self.wall_step
            or self.suspend_at
            or self.full_disk is not None
            or self.home
            or self.other_spender
            or self.full_refresh
            or self.lie
            or self.upgrade
            or self.second_after is not None
        )

    def __str__(self) -> str:
        """A line for people."""
        parts = [f"after {self.waits / HOUR:.1f} h"]
        parts += [f"{self.edits} edits"] if self.edits else []
        parts += [f"a change every {self.churn} requests"] if self.churn else []
        parts += [f"a storm every {self.storm} requests"] if self.storm else []
        parts += [f"killed at step {self.kill_at}"] if self.kill_at else []
        parts += [f"killed at load {self.kill_at_load}"] if self.kill_at_load else []
        parts += ["the power is cut"] if self.power_cut else []
        parts += [f"{fault} at request {at}" for at, fault in self.faults.items()]
        parts += [f"load {self.refuses_loads} is refused"] if self.refuses_loads else []
        parts += [f"the wall clock steps {self.wall_step:+.0f} s"] if self.wall_step else []
        parts += ["and right again after a status"] if self.status_between else []
        parts += [f"suspended at step {self.suspend_at}"] if self.suspend_at else []
        parts += [f"{self.full_disk} bytes left on the disk"] if self.full_disk is not None else []
        parts += [self.home] if self.home else []
        parts += [f"{self.other_spender} requests of others"] if self.other_spender else []
        parts += ["--full-refresh"] if self.full_refresh else []
        parts += [f"a lie: {self.lie} (list {self.lie_list})"] if self.lie else []
        parts += [f"upgrade: {self.upgrade}"] if self.upgrade else []
        parts += [f"a rival at step {self.rival_at}"] if self.rival_at else []
        parts += (
            [f"a second workspace after {self.second_after} s"]
            if self.second_after is not None
            else []
        )
        return f"night {self.number}: {', '.join(parts)}"


@dataclass(frozen=True)
class Kinds:
    """Which kinds of nights may come: for tests of one kind, and for shrinking."""

    kills: bool = True
    faults: bool = True
    churn: bool = True
    clocks: bool = True
    disks: bool = True
    lies: bool = False
    wide: bool = True
    """Worlds and nights of kinds that came after the first seeds were kept."""
    storms: bool = True
    """Lists that move faster than they can be read."""


def drawn(
    number: int, chance: random.Random, lists: int, kinds: Kinds, lies: Sequence[str]
) -> Night:
    """The night of a number in its world; `lies` are those that may be told."""
    night = Night(
        number, waits=chance.choice((60.0, HOUR, 20 * HOUR, 24 * HOUR, 24 * HOUR, 90 * HOUR))
    )
    if number == 0:
        night.waits = 0.0
    if chance.random() < 0.7:
        night.edits = chance.choice((1, 1, 2, 5, 12))
    what = chance.random()
    if what < 0.2 and kinds.kills:
        night.kill_at = 1 + int(chance.expovariate(1 / 25))
        night.power_cut = chance.random() < 0.4
    elif what < 0.35 and kinds.faults:
        for _ in range(chance.choice((1, 1, 2, 6))):
            night.faults[1 + int(chance.expovariate(1 / 8))] = chance.choice(FAULTS)
    elif what < 0.4 and kinds.faults:
        night.refuses_loads = 1 + chance.randrange(6)
    elif what < 0.55 and kinds.churn:
        night.churn = chance.choice((1, 2, 3, 7))
    elif what < 0.6 and kinds.clocks:
        night.wall_step = chance.choice(
            (-90 * HOUR, -HOUR, -1.0, 1.0, HOUR, 400 * 24 * HOUR, SINCE_1970)
        )
        night.status_between = chance.random() < 0.5
    elif what < 0.63 and kinds.clocks:
        night.suspend_at = 1 + int(chance.expovariate(1 / 25))
    elif what < 0.66 and kinds.disks:
        night.full_disk = int(chance.expovariate(1 / 2_000))
    elif what < 0.70 and kinds.disks:
        night.home = chance.choice(("home is lost", "home is an older copy"))
    elif what < 0.73:
        night.other_spender = chance.randrange(1, 40)
    elif what < 0.75:
        night.full_refresh = True
    elif what < 0.85 and kinds.lies:
        night.lie, night.lie_list = chance.choice(lies), chance.randrange(lists)
    elif what < 0.88:
        night.upgrade = chance.choice(("history on", "detail on", "children off"))
    return night


def widened(night: Night, chance: random.Random, kinds: Kinds, lies: Sequence[str]) -> Night:
    """The night, with what was added after the first seeds were kept; `lies` are all there are."""
    if night.lie:
        night.lie = chance.choice(lies)
    if night.upgrade or chance.random() < 0.03:
        night.upgrade = chance.choice(tuple(UPGRADES))
    if chance.random() < 0.05:
        night.rival_at = 1 + int(chance.expovariate(1 / 25))
    if chance.random() < 0.05:
        night.second_after = chance.choice((0.0, 0.05, 1.0, 20.0))
    # The first sync fetches the most, so that segments wait for their load when the power goes.
    if chance.random() < (0.2 if night.number == 0 else 0.02):
        night.kill_at_load, night.power_cut = 1 + int(chance.expovariate(1 / 6)), True
    if kinds.storms and night.number and chance.random() < 0.04:
        night.storm = chance.choice((1, 1, 2, 3))
    return night
