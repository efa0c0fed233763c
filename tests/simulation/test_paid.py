"""What counts as paid for, and faults put in by hand that the oracle must see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import Segment
from oa_sync.load.loader import Loader
from oa_sync.tables.batches import Batch
from oa_sync.workspace.report import SyncReport
from tests.simulation.disk import SimulatedDisk
from tests.simulation.nights import HOUR, Night
from tests.simulation.oracles import State
from tests.simulation.paid import Ending, Receipts
from tests.simulation.play import Play
from tests.simulation.server import Asked
from tests.simulation.worlds import BEGIN, ListPlan, World

LIST = ListPlan(
    name="list0",
    paging="single",
    size=1_000_000,
    key="text",
    version="number",
    order="stored",
    has_total=True,
    has_detail=True,
    has_children=False,
    parent=None,
    has_status=False,
    keeps_history=False,
    rows=12,
)
WORLD = World(
    seed=1,
    lists=(LIST,),
    per_minute=0,
    per_day=0,
    latency=0.08,
    eagerness=0.2,
    segment_bytes=600,
)
TWICE = "a detail is paid for twice"


class TestReceipts:
    def test_what_arrived_before_a_kill_is_not_asked_for_again(self) -> None:
        assert _asked_again(_killed(at=10.0)) == [TWICE]

    def test_what_was_on_its_way_when_the_process_was_killed_may_be(self) -> None:
        assert _asked_again(_killed(at=5.04)) == []

    def test_what_came_after_the_disk_was_full_may_be(self) -> None:
        assert _asked_again(Ending(10.0, disk_full_at=5.0, closed_at=None)) == []
        assert _asked_again(Ending(10.0, disk_full_at=6.0, closed_at=None)) == [TWICE]

    def test_a_power_cut_leaves_what_lies_in_a_closed_segment(self) -> None:
        cut = Night(1, HOUR, kill_at=9, power_cut=True)
        assert _asked_again(Ending(10.0, None, closed_at=7.0), cut) == [TWICE]
        assert _asked_again(Ending(10.0, None, closed_at=5.0), cut) == []
        assert _asked_again(_killed(at=10.0), cut) == []

    def test_a_lost_home_costs_what_was_not_loaded(self) -> None:
        lost = Night(2, HOUR, home="home is lost")
        assert _asked_again(_killed(at=10.0), then=lost) == []
        assert _asked_again(_killed(at=10.0), report=_report(), then=lost) == [TWICE]

    def test_another_version_is_another_detail(self) -> None:
        assert _asked_again(_killed(at=10.0), changes=[("list0", ("k1",))]) == []

    @pytest.mark.parametrize(
        "cause", [Night(2, HOUR, full_refresh=True), Night(2, HOUR, lie="empty list")]
    )
    def test_a_night_may_give_a_cause(self, cause: Night) -> None:
        assert _asked_again(_killed(at=10.0), then=cause) == []

    def test_twice_in_one_sync_is_twice(self) -> None:
        assert _asked_again(None) == [TWICE]

    def test_who_read_in_the_second_of_the_change_reads_once_more(self) -> None:
        rows = {"list0": {("k1",): {"_stamp": (BEGIN + timedelta(seconds=5.2), 1)}}}
        assert _asked_again(_killed(at=10.0), rows=rows) == []

    def test_a_note_of_a_row_without_version_may_be_old(self) -> None:
        blind = replace(WORLD, lists=(replace(LIST, version=None),))
        receipts = Receipts()
        receipts.changed([("list0", ("k1",))])
        first, again = _killed(at=10.0), [_asked(3_605.0)]
        assert not list(receipts.after(blind, Night(1, 0), [_asked(5.0)], {}, set(), None, first))
        assert not list(receipts.after(blind, Night(2, 0), again, {}, set(), _report(), first))
        assert list(receipts.after(blind, Night(3, 0), again, {}, set(), _report(), first))


# -- faults put in by hand ----------------------------------------------------------------------


def _acknowledge_first(self: Loader, segment: Segment[Batch]) -> None:
    items = list(segment.items())
    if segment.end.path is not None:
        self._journal.done(segment.end.path)
    self._load(items, segment.tail)


def _acknowledge_pending_first(self: Loader) -> int:
    for segment in self._journal.segments():
        items = list(self._journal.read(segment))
        self._journal.done(segment)
        self._load(items)
    return 0


def _write_nothing_yet(self: Journal, last: bytes | memoryview) -> None:
    """Details stay in memory until the segment is closed."""
    if last:
        self._held += last
    else:
        _WRITE(self, b"")


_WRITE = Journal._write


def _do_nothing(*_: Any) -> None:
    """A call that was forgotten."""


PLANTED: dict[str, tuple[type, str, Callable[..., Any], bool]] = {
    "a segment is acknowledged before it is loaded": (
        Loader,
        "_load_segment",
        _acknowledge_first,
        False,
    ),
    "a pending segment is acknowledged before it is loaded": (
        Loader,
        "finish_pending",
        _acknowledge_pending_first,
        False,
    ),
    "a detail is not written at once": (Journal, "_write", _write_nothing_yet, False),
    "a closed segment is not synced": (SimulatedDisk, "sync", _do_nothing, True),
    "the name of a segment is not synced": (SimulatedDisk, "sync_folder", _do_nothing, True),
}


@pytest.mark.rest
@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_put_in_by_hand_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, wrong, power_cut = PLANTED[fault]
    monkeypatch.setattr(owner, name, wrong)
    assert TWICE in _raised(power_cut)


@pytest.mark.rest
@pytest.mark.parametrize("power_cut", [False, True])
def test_the_same_nights_raise_nothing_where_no_fault_is_put_in(power_cut: bool) -> None:
    assert set(_raised(power_cut)) == {None}


def _raised(power_cut: bool) -> Iterator[str | None]:
    """The alarms of a first sync that is killed at one of many steps, and a second one that is killed soon."""
    for step in range(16, 40, 2):
        nights = [
            Night(0, 0.0, kill_at=step, power_cut=power_cut),
            Night(1, 60.0, kill_at=2 + step % 3),
            Night(2, 60.0),
        ]
        play = Play(step, world=WORLD, given={night.number: night for night in nights})
        found = play.run(len(nights))
        yield found.alarm.kind if found else None


# -- small parts --------------------------------------------------------------------------------


def _asked_again(
    ending: Ending | None,
    night: Night | None = None,
    *,
    report: SyncReport | None = None,
    changes: list[tuple[str, tuple[Any, ...]]] | None = None,
    rows: State | None = None,
    then: Night | None = None,
) -> list[str]:
    """The alarms of a sync that asks again for what one asked for that ended with `ending` (None: the same
    one). The detail arrives at 5.04 s."""
    receipts = Receipts()
    if ending is None:
        asked = [_asked(5.0), _asked(6.0)]
        first = receipts.after(WORLD, Night(1, 0), asked, {}, set(), _report(), _killed(at=10.0))
        return [alarm.kind for alarm in first]
    night = night or Night(1, HOUR, kill_at=9)
    assert not list(receipts.after(WORLD, night, [_asked(5.0)], rows or {}, set(), report, ending))
    receipts.changed(changes or [])
    then = then or Night(2, 60.0)
    receipts.before(then, restored=False)
    again = receipts.after(
        WORLD, then, [_asked(3_605.0)], rows or {}, set(), _report(), _killed(at=3_610.0)
    )
    return [alarm.kind for alarm in again]


def _asked(at: float) -> Asked:
    return Asked(at, "detail", "list0", ("k1",))


def _killed(*, at: float) -> Ending:
    return Ending(at, disk_full_at=None, closed_at=None)


def _report() -> SyncReport:
    return SyncReport("sync", "default", started_at=BEGIN)
