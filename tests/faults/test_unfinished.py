"""A run that is killed among its details has not listed in vain."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.commands.sync import sync
from oa_sync.extract.details import fetching
from oa_sync.extract.details.concurrency import Concurrency
from oa_sync.extract.details.unfinished import MAX_AGE
from tests.faults.mirror import assert_mirrors, backlog
from tests.faults.places import Place, place
from tests.faults.processes import Point, sync_until
from tests.support.syncing import run_sync

# Two dashboards, a note of 35 details, ten details.
AMONG_DETAILS = Point("oa_sync.journal.journal:Journal.append", "after", nth=2 + 35 + 10)
EARLY = Point("oa_sync.journal.journal:Journal.append", "after", nth=3)


def kinds_asked(place: Place) -> str:
    """`L` for each list page asked for, `d` for each detail, in order."""
    lists = ("/datasets", "/reports", "/dashboards", "/runs")
    paths = (entry.path.partition("?")[0] for entry in place.state.counters.log)
    return "".join("L" if path.endswith(lists) else "d" for path in paths)


def test_after_a_kill_what_was_listed_is_fetched_before_the_lists_are_read_again(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        assert len(killed.journaled()) == 10, "each detail is on disk before anything else happens"
        left = 25
        killed.state.counters.reset()
        report = run_sync(killed.settings)
        assert kinds_asked(killed).startswith("d" * left + "L")
        assert "d" not in kinds_asked(killed)[left:]
        assert report.tallies["reports"].details_fetched > 0
        assert report.tallies["reports"].backlog == 0
        assert_mirrors(killed.settings, killed.state)


def test_one_kill_after_the_other_reads_no_list(tmp_path: Path) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        for _ in range(2):
            killed.state.counters.reset()
            sync_until(EARLY, killed.settings)
            assert set(kinds_asked(killed)) == {"d"}
        killed.recovers()


def test_few_details_are_in_flight_while_a_killed_run_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in flight when a process dies was paid for nothing: a machine that kills one run may well
    kill the next."""
    bounds: list[int] = []

    class Watched(Concurrency):
        def __init__(self, most: int) -> None:
            super().__init__(most)
            bounds.append(most)

    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        monkeypatch.setattr(fetching, "Concurrency", Watched)
        run_sync(killed.settings)
        assert bounds == [fetching.MAX_IN_FLIGHT, fetching.MAX_IN_FLIGHT_AFTER_KILL]
        bounds.clear()
        run_sync(killed.settings)
        assert bounds == [fetching.MAX_IN_FLIGHT], "the kill is over"


def test_changes_between_the_kill_and_the_next_run_are_found_all_the_same(tmp_path: Path) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        killed.changes.make(20)
        killed.changes.delete("datasets")
        run_sync(killed.settings)
        assert_mirrors(killed.settings, killed.state)


def test_a_detail_that_fails_while_resuming_is_told_once_and_keeps_nothing_back(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        journaled = killed.journaled()
        poisoned = next(key for key in killed.state.ids("reports") if key not in journaled)
        killed.server.emulator.faults.set(f"poison-text={poisoned}")
        report = sync(killed.settings)
        assert (report.exit_code, len(report.tallies["reports"].errors)) == (1, 1)
        assert report.tallies["reports"].backlog == backlog(killed.settings, "reports") == 1
        killed.server.emulator.faults.set("off")
        killed.recovers()


def test_a_budget_that_ends_while_resuming_is_a_partial_sync_that_the_next_run_continues(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        report = sync(replace(killed.settings, max_requests=5))
        assert report.exit_code == 3
        assert report.requests.made == 5
        assert report.tallies["reports"].backlog + report.tallies["datasets"].backlog > 0
        killed.recovers()


class Later(Clock):
    """The machine's clock, ahead by what makes a note too old."""

    def now(self) -> datetime:
        return super().now() + MAX_AGE + timedelta(hours=1)


def test_an_old_note_is_not_worth_a_request(tmp_path: Path) -> None:
    with place(tmp_path) as killed:
        sync_until(AMONG_DETAILS, killed.settings)
        killed.state.counters.reset()
        run_sync(killed.settings, clock=Later())
        assert kinds_asked(killed).startswith("L")
        assert_mirrors(killed.settings, killed.state)
