"""That an oracle raises its alarm where it must, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oa_sync.workspace.report import SyncReport
from tests.simulation.nights import Night
from tests.simulation.oracles import Seen, alarms
from tests.simulation.worlds import BEGIN, World, drawn

GONE = "complete, with a row of a parent that is gone"


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


@pytest.mark.parametrize(("marked", "alarmed"), [(None, False), ("2026-01-01", True)])
def test_a_row_stays_too_long_only_where_its_parent_is_marked(
    marked: str | None, alarmed: bool, tmp_path: Path
) -> None:
    """As long as the absence of one parent is not proven, that of no row is."""
    world, parents, children = _family()
    rows: dict[str, list[dict[str, Any]]] = {
        parents: [
            {"id": "p", "_oa_deleted_at": "2026-01-01"},
            {"id": "other", "_oa_deleted_at": marked},
        ],
        children: [{"id": "c", "parent": "p", "_oa_deleted_at": None}],
    }
    empty: dict[str, Any] = {parents: {}, children: {}}
    seen = Seen(
        world=world,
        night=Night(1, 0.0, edits=3),
        before=empty,
        after=empty,
        touched=set(),
        report=SyncReport("s", "w", BEGIN),
        rows=rows,
        asked=[],
        all_asked=[],
        foreign=[],
        settled=False,
        changed=set(),
        log="",
        home=tmp_path,
    )
    assert (GONE in {alarm.kind for alarm in alarms(seen)}) == alarmed
