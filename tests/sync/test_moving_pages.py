"""Lists that change while they are read, over HTTP: nothing that stays is lost, nothing living is dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.commands.sync import sync
from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.synthetic import Size, synthetic_workspace
from oa_sync.errors import NotFoundError
from oa_sync.settings import Settings
from tests.support.churn import churning
from tests.support.emulator import emulator
from tests.support.syncing import query, run_sync, settings_for

CHURNS = [(1, 1), (1, 0), (0, 1), (3, 2), (2, 3)]


def living(settings: Settings) -> dict[str, str]:
    """Id and name of every report that is not marked as deleted; each id must stand once."""
    rows = query(settings, "SELECT id, name FROM reports WHERE _oa_deleted_at IS NULL")
    assert len({key for key, _ in rows}) == len(rows)
    return dict(rows)


def served(server: RunningEmulator) -> dict[str, str]:
    return {row["id"]: row["name"] for row in server.state.rows("reports")}


@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_stays_is_missing_after_a_first_sync_under_constant_changes(
    seed: int, tmp_path: Path
) -> None:
    workspace = synthetic_workspace(Size(reports=1200, rows=1), seed)
    dialect = "page" if seed < len(CHURNS) else "cursor"
    insert_every, delete_every = CHURNS[seed % len(CHURNS)]
    # Lists that say everything need no details: what is tried here is how lists are read.
    with emulator(workspace, dialect=dialect, full_lists=True) as server:
        settings = settings_for(server.base_url, tmp_path, dialect=dialect)
        before = set(served(server))
        with churning(server.state, "reports", insert_every, delete_every, seed):
            report = run_sync(settings, "reports")
        assert report.requests.made == server.state.counters.total
        assert report.requests.made <= 12 * 4
        assert before & set(served(server)) <= set(living(settings))

        server.state.counters.reset()
        assert run_sync(settings, "reports").status == "complete"
        assert living(settings) == served(server)
        assert len(server.state.counters.details) <= 10


@pytest.mark.parametrize(
    ("dialect", "order"), [("page", "stored"), ("page", "updated_desc"), ("cursor", "random")]
)
def test_a_loaded_row_is_dead_only_when_it_is(dialect: str, order: str, tmp_path: Path) -> None:
    workspace = synthetic_workspace(Size(reports=96, rows=1))
    with emulator(workspace, dialect=dialect, order=order, max_per_page=8) as server:
        settings = settings_for(server.base_url, tmp_path, dialect=dialect)
        run_sync(settings, "reports")
        for key in server.state.ids("reports")[40:45]:
            server.state.delete("reports", key)
        before = set(served(server))
        server.state.counters.reset()
        with churning(server.state, "reports", insert_every=2, delete_every=1):
            report = sync(settings, ["reports"])
        # A row that goes between its list and its detail is a contradiction within one sync: told, not believed.
        errors = report.tallies["reports"].errors
        assert all(
            isinstance(one, NotFoundError) and "the list shows" in str(one) for one in errors
        )
        assert report.status == ("failed" if errors else "complete")
        assert report.requests.made == server.state.counters.total
        assert before & set(served(server)) <= set(living(settings))
        # Those that left before were absent from a scan that proved nothing, and asked for by id.
        assert report.tallies["reports"].deleted >= 5
        run_sync(settings, "reports")
        assert living(settings) == served(server)


def test_a_row_that_a_list_did_not_show_and_that_answers_by_id_stays_with_its_newest_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = synthetic_workspace(Size(reports=60, rows=1))
    with emulator(workspace, dialect="page", max_per_page=10) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings, "reports")
        hidden, gone = server.state.ids("reports")[30:32]
        # Dated, for what is read in the second of its version is read once more.
        changed = {"name": "Alive", "data": [{"a": 1}], "updated_at": "2026-01-05T00:00:01Z"}
        server.state.update("reports", hidden, changed)
        server.state.delete("reports", gone)
        # A row that came just now, on a later page: another may have slipped through for it.
        server.state.insert("reports")
        ordering = server.state.ordering("reports")
        shown = [record for record in ordering.records() if record.id != hidden]
        with monkeypatch.context() as patch:
            patch.setattr(ordering, "records", lambda: shown)
            server.state.counters.reset()
            report = run_sync(settings, "reports")
        assert report.tallies["reports"].deleted == 1
        assert server.state.counters.details[hidden] == 1
        assert living(settings) == served(server)
        run_sync(settings, "reports")
        assert living(settings) == served(server)
        rows = query(settings, "SELECT row FROM report_rows WHERE report_id = ?", hidden)
        assert rows == [('{"a":1}',)]
