"""Runs that no list shows: asked for until they end, and no more."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from oa_sync.commands.plan import plan
from tests.runs.following import DAY, HOUR, site


def test_runs_are_followed_to_their_end_over_several_nights_without_a_wasted_request(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as api:
        runs = [api.start() for _ in range(3)]
        for run_id in runs:
            api.hear(run_id)
        ends_in_night = dict(zip(runs, (1, 3, 3), strict=True))
        asked = Counter[str]()
        for night in range(6):
            for run_id in runs:
                if night == ends_in_night[run_id]:
                    api.move(run_id, "completed")
            report = api.sync()
            assert report.status == "complete"
            asked.update(api.asked)
            # Once a night while it runs, once more for its end, and never again.
            assert set(api.asked) == {r for r in runs if night <= ends_in_night[r]}
            api.clock.advance(DAY)
        assert asked == {run_id: nights + 1 for run_id, nights in ends_in_night.items()}
        for run_id in runs:
            assert api.row(run_id)["status"] == "completed"
            assert api.row(run_id)["_oa_detail_version"] == api.row(run_id)["_oa_version"]
            assert api.events(run_id) == [("queued", "poll"), ("completed", "poll")]


def test_a_night_that_begins_a_little_earlier_asks_all_the_same(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        for _ in range(4):
            api.sync()
            assert api.asked == {run_id: 1}
            api.clock.advance(DAY - 300)


def test_a_running_run_is_asked_ever_more_seldom(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        minutes, minute = [], 0.0
        for step in (0.5, 0.5, 0.5, 0.5, 1, 1, 3, 1, 7, 1, 0):
            api.sync()
            if api.asked:
                minutes.append(minute)
            minute += step
            api.clock.advance(step * 60)
        assert minutes == [0, 1, 2, 4, 8, 16]


def test_an_unknown_status_passes_through_and_is_followed(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.move(run_id, "waiting_for_approval")
        api.sync()
        assert api.row(run_id)["status"] == "waiting_for_approval"
        api.clock.advance(DAY)
        api.sync()
        assert api.asked == {run_id: 1}
        assert api.events(run_id) == [("waiting_for_approval", "poll")]


def test_a_run_that_is_gone_is_marked_and_not_dropped(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.sync()
        api.server.state.delete("agent_runs", run_id)
        for _ in range(3):
            api.clock.advance(DAY)
            report = api.sync()
            # A 404 of one night proves little: it is asked again for some days.
            assert report.tallies["agent_runs"].deleted == 0
            assert [warned.code for warned in report.tallies["agent_runs"].warnings] == [
                "run_missing"
            ]
            assert api.row(run_id)["_oa_deleted_at"] is None
        api.clock.advance(DAY)
        report = api.sync()
        assert report.tallies["agent_runs"].deleted == 1
        row = api.row(run_id)
        assert row["_oa_deleted_at"] is not None
        assert (row["status"], row["_oa_first_seen_by"]) == ("queued", "add")
        api.clock.advance(DAY)
        api.sync()
        assert not api.asked


def test_a_run_that_answers_404_for_a_night_is_followed_on(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.sync()
        fields = dict(api.server.state.get("agent_runs", run_id))
        api.server.state.delete("agent_runs", run_id)
        api.clock.advance(DAY)
        api.sync()
        api.clock.advance(30)
        api.sync()
        assert not api.asked, "asked again a minute later at the soonest"
        api.server.state.insert("agent_runs", fields)
        api.move(run_id, "completed")
        api.clock.advance(DAY)
        api.sync()
        row = api.row(run_id)
        assert (row["status"], row["_oa_deleted_at"]) == ("completed", None)


def test_an_id_that_never_existed_is_kept_as_gone(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        good = api.start()
        for run_id in ("run_typo_1", good, "run_typo_2"):
            api.hear(run_id)
        report = api.sync()
        assert report.status == "complete"
        assert api.rows().keys() == {"run_typo_1", "run_typo_2", good}
        assert api.row("run_typo_1")["_oa_deleted_at"] is not None
        assert api.row(good)["_oa_deleted_at"] is None
        api.clock.advance(DAY)
        api.sync()
        assert "run_typo_1" not in api.asked
        # Whoever registers it again wants to know again.
        api.hear("run_typo_1")
        api.sync()
        assert api.asked["run_typo_1"] == 1


def test_a_run_that_never_ends_is_flagged_in_the_end_and_asked_no_more(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        asked, begin = [], api.clock.now()
        for nights in (1, 14, 14, 1, 1, 1, 0):
            api.sync()
            asked += [(api.clock.now() - begin).days] * len(api.asked)
            api.clock.advance(nights * DAY)
        assert asked == [0, 1, 15, 29, 30]
        row = api.row(run_id)
        assert row["_oa_stalled_at"] is not None
        assert row["status"] == "queued"
        assert row["agent_id"] == "agent_1"
        # Registered again it is asked once more, and its end is found.
        api.move(run_id, "completed")
        api.hear(run_id)
        api.sync()
        assert api.asked == {run_id: 1}
        assert api.row(run_id)["status"] == "completed"
        assert api.row(run_id)["_oa_stalled_at"] is None


def test_what_the_budget_does_not_reach_is_a_row_with_a_backlog_and_comes_the_next_night(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as api:
        runs = [api.start() for _ in range(5)]
        for run_id in runs:
            api.move(run_id, "completed")
            api.hear(run_id)
        api.sync("agent_runs")  # finds out that there is no list
        assert api.rows().keys() == set(runs)
        more = [api.start() for _ in range(5)]
        for run_id in more:
            api.hear(run_id)
        api.settings = replace(api.settings, max_requests=2)
        fetched = Counter[str]()
        for backlog in (3, 1, 0):
            report = api.sync()
            assert report.tallies["agent_runs"].backlog == backlog
            assert report.status == ("partial" if backlog else "complete")
            fetched.update(api.asked)
            rows = api.rows()
            assert rows.keys() == {*runs, *more}
            waiting = [key for key, row in rows.items() if row["_oa_detail_version"] is None]
            assert len(waiting) == backlog
            assert all(rows[key]["_oa_version"] is not None for key in rows)
        assert fetched == dict.fromkeys(more, 1)


def test_a_lost_home_loses_no_run(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.sync()
        first_seen = api.row(run_id)["_oa_first_seen_at"]
        shutil.rmtree(tmp_path / "home")
        api.clock.advance(DAY)
        api.move(run_id, "failed")
        api.sync()
        row = api.row(run_id)
        assert (row["status"], row["_oa_first_seen_at"]) == ("failed", first_seen)
        assert api.events(run_id) == [("queued", "poll"), ("failed", "poll")]


def test_an_answer_of_a_stale_replica_does_not_overwrite_a_newer_one(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.clock.advance(HOUR)
        api.move(run_id, "running")
        api.sync()
        assert api.row(run_id)["status"] == "running"
        api.clock.advance(DAY)
        api.server.state.update(
            "agent_runs", run_id, {"status": "queued", "updated_at": "2026-03-02T09:00:00Z"}
        )
        api.sync()
        assert api.row(run_id)["status"] == "running"
        assert api.events(run_id) == [("running", "poll")]


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_listed_runs_are_asked_only_when_the_list_shows_a_change(
    tmp_path: Path, dialect: str
) -> None:
    with site(tmp_path, dialect=dialect, runs_list=True) as api:
        run_id = api.start()
        api.clock.advance(5)
        api.sync()
        assert api.asked == {run_id: 1}
        assert api.row(run_id)["_oa_first_seen_by"] == "list"
        for _ in range(3):
            api.clock.advance(DAY)
            api.sync()
            assert not api.asked
        api.move(run_id, "completed")
        api.clock.advance(5)
        api.sync()
        assert api.asked == {run_id: 1}
        api.clock.advance(DAY)
        api.sync()
        assert not api.asked
        assert api.events(run_id) == [("queued", "list"), ("completed", "list")]


def test_a_status_that_moves_without_the_version_brings_the_detail(tmp_path: Path) -> None:
    with site(tmp_path, dialect="cursor") as api:
        run_id = api.start()
        api.clock.advance(5)
        api.sync()
        version = api.row(run_id)["_oa_version"]
        api.move(run_id, "completed")
        api.server.state.update("agent_runs", run_id, {"updated_at": version})
        api.clock.advance(DAY)
        api.sync()
        assert api.asked == {run_id: 1}
        assert api.row(run_id)["status"] == "completed"


def test_the_plan_counts_the_runs_that_are_due(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        for known in (run_id, "run_typo"):
            api.hear(known)
        planned = []
        for wait in (0, DAY, 0):
            resources = {each.name: each.cost for each in plan(api.settings, api.clock).resources}
            api.sync()
            planned.append((resources["agent_runs"].details, sum(api.asked.values())))
            api.clock.advance(wait)
        assert planned == [(2, 2), (0, 0), (1, 1)]


def test_a_full_refresh_asks_for_every_run_again(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "completed")
        api.hear(run_id)
        api.sync()
        api.sync(full_refresh=True)
        assert api.asked == {run_id: 1}


def test_runs_are_followed_in_parquet_too(tmp_path: Path) -> None:
    changes = {"destination": "parquet", "bucket_url": str(tmp_path / "lake")}
    with site(tmp_path, changes=changes) as api:
        run_id = api.start()
        api.hear(run_id)
        api.hear("run_typo")
        asked = []
        for _ in range(3):
            api.sync()
            asked.append(api.asked.get(run_id, 0))
            api.clock.advance(DAY)
            if len(asked) == 1:
                api.move(run_id, "completed")
        assert asked == [1, 1, 0]
        files = [str(path) for path in tmp_path.glob("lake/**/agent_run_events/**/*.parquet")]
        # A connection of its own: the default one is shared with whatever else runs in this process.
        with duckdb.connect() as connection:
            found = connection.execute(
                f"SELECT run_id, status, how FROM read_parquet({files}) ORDER BY observed_at"
            ).fetchall()
        assert found == [(run_id, "queued", "poll"), (run_id, "completed", "poll")]
