"""Making a found world small: fewer lists, fewer rows, calmer nights, as long as the same alarm is raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.simulation.nights import Kinds, Night
from tests.simulation.play import Found, Play
from tests.simulation.worlds import ListPlan, World

TRIES = 300


@dataclass(frozen=True)
class Case:
    """A world and its nights, given instead of drawn."""

    seed: int
    world: World
    nights: tuple[Night, ...]

    def found(self, kinds: Kinds, known: frozenset[str] = frozenset()) -> Found | None:
        """The alarm that it raises."""
        given = {night.number: night for night in self.nights}
        return Play(self.seed, kinds, world=self.world, given=given, known=known).run(
            len(self.nights)
        )

    def __str__(self) -> str:
        return "\n".join(map(str, (self.world, *self.nights)))


def shrunk(play: Play, found: Found) -> Case:
    """The smallest case that was met which raises an alarm of the same kind as `found` did in `play`."""
    assert play.world is not None
    case = Case(play.seed, play.world, tuple(play.played))
    tries = TRIES
    improved = True
    while improved and tries > 0:
        improved = False
        for smaller in _smaller(case):
            tries -= 1
            again = smaller.found(play.kinds, play.known)
            if again is not None and again.alarm.kind == found.alarm.kind:
                last = again.night.number + 1
                case, improved = replace(smaller, nights=smaller.nights[:last]), True
                break
            if tries <= 0:
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    world, nights = case.world, case.nights
    for number, night in enumerate(nights):
        calm = Night(night.number, night.waits)
        if not night.is_quiet:
            yield replace(case, nights=(*nights[:number], calm, *nights[number + 1 :]))
    for plan in world.lists:
        if not any(other.parent == plan.name for other in world.lists) and len(world.lists) > 1:
            rest = tuple(other for other in world.lists if other is not plan)
            yield replace(case, world=replace(world, lists=rest))
    for plan in world.lists:
        for simpler in _simpler(plan):
            lists = tuple(simpler if other is plan else other for other in world.lists)
            yield replace(case, world=replace(world, lists=lists))
    for number, night in enumerate(nights):
        for milder in _milder(night):
            yield replace(case, nights=(*nights[:number], milder, *nights[number + 1 :]))
    for plain in (
        {"eagerness": 1.0},
        {"segment_bytes": 1 << 28},
        {"per_minute": 0},
        {"per_day": 0},
        {"has_hooks": False},
    ):
        if any(getattr(world, name) != value for name, value in plain.items()):
            yield replace(case, world=replace(world, **plain))  # type: ignore[arg-type]


def _simpler(plan: ListPlan) -> Iterator[ListPlan]:
    if plan.rows > 1:
        yield replace(plan, rows=plan.rows // 2)
    for trait in ("has_status", "keeps_history", "has_children"):
        if getattr(plan, trait):
            yield replace(plan, **{trait: False})
    if plan.has_detail and not plan.has_status:
        yield replace(plan, has_detail=False)
    for plain in (
        {"asks": None},
        {"hidden": 0},
        {"unread": frozenset()},
        {"typed": False},
        {"key": "text"},
        {"version": "instant"},
    ):
        if any(getattr(plan, name) != value for name, value in plain.items()):
            yield replace(plan, **plain)  # type: ignore[arg-type]
    if plan.paging != "single":
        yield replace(plan, paging="single", size=1_000_000)
    if plan.order != "stored":
        yield replace(plan, order="stored")


def _milder(night: Night) -> Iterator[Night]:
    if night.edits > 1:
        yield replace(night, edits=night.edits // 2)
    if night.power_cut:
        yield replace(night, power_cut=False)
    for at in night.faults:
        yield replace(night, faults={k: v for k, v in night.faults.items() if k != at})
