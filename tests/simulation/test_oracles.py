"""That an oracle raises its alarm where it must, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oa_sync.extract.tally import Tally, Warned
from oa_sync.workspace.report import SyncReport
from tests.simulation.nights import Night
from tests.simulation.oracles import Seen, alarms
from tests.simulation.worlds import BEGIN, World, drawn

GONE, UNTOLD = "complete, with a row that is gone", "complete, with a row that is gone untold"


def _family() -> tuple[World, str, str]:
    """A world with one list of parents and one that is asked for by them."""
    world = next(world for world in map(drawn, range(1_000)) if _has_family(world))
    child = next(plan for plan in world.lists if plan.parent)
    parent = next(plan for plan in world.lists if plan.name == child.parent)
    plain = {"key": "text", "has_status": False, "has_children": False, "keeps_history": False}
    return (
        replace(world, lists=(replace(parent, **plain), replace(child, **plain))),
        parent.name,
        child.name,
    )


def _has_family(world: World) -> bool:
    return any(plan.parent for plan in world.lists)


@pytest.mark.parametrize(
    ("edits", "is_told", "alarm"),
    [(3, False, UNTOLD), (3, True, None), (0, True, GONE), (0, False, GONE)],
)
def test_a_row_that_is_gone_stays_in_moving_nights_only_and_is_told(
    edits: int, is_told: bool, alarm: str | None, tmp_path: Path
) -> None:
    world, parents, children = _family()
    rows: dict[str, list[dict[str, Any]]] = {
        parents: [{"id": "p", "_oa_deleted_at": "2026-01-01"}],
        children: [{"id": "c", "parent": "p", "_oa_deleted_at": None}],
    }
    empty: dict[str, Any] = {parents: {}, children: {}}
    report = SyncReport("s", "w", BEGIN)
    if is_told:
        report.tallies[children] = Tally(warnings=[Warned("undecided", "1 row stays")])
    seen = Seen(
        world=world,
        night=Night(1, 0.0, edits=edits),
        before=empty,
        after=empty,
        touched=set(),
        report=report,
        rows=rows,
        asked=[],
        all_asked=[],
        foreign=[],
        settled=False,
        changed=set(),
        log="",
        home=tmp_path,
    )
    kinds = {one.kind for one in alarms(seen)} & {GONE, UNTOLD}
    assert kinds == ({alarm} if alarm else set())
