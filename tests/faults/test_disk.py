"""A disk that is full, files that are damaged: a clean end, nothing torn, and the next run goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oa_sync.commands.sync import sync
from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.journal import journal as journal_module
from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.faults.processes import Point, sync_until
from tests.faults.test_flow import detail
from tests.faults.test_unfinished import AMONG_DETAILS
from tests.support.syncing import query, run_sync

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@contextmanager
def full_after(room: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that takes `room` more bytes of journal; the last write is taken in part."""
    left = room
    write = os.write

    def limited(handle: int, data: memoryview) -> int:
        nonlocal left
        if len(data) > left:
            taken, left = write(handle, data[:left]), 0
            if taken == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return taken
        left -= len(data)
        return write(handle, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", limited)
        yield


@pytest.mark.parametrize("room", [0, 9_000, 12_345])
def test_a_full_disk_ends_the_sync_and_what_was_journaled_is_loaded(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place(tmp_path) as full:
        with full_after(room, monkeypatch):
            report = sync(full.settings)
        assert report.exit_code == 1
        assert "No space left on device" in str(report.error)
        assert query(full.settings, "SELECT status FROM syncs") == [("failed",)]
        whole = "SELECT count(*) FROM {} WHERE _oa_detail_version = _oa_version"
        loaded = sum(query(full.settings, whole.format(t))[0][0] for t in _loaded_tables(full))
        full.state.counters.reset()
        run_sync(full.settings)
        assert sum(full.state.counters.details.values()) == 35 - loaded
        assert_mirrors(full.settings, full.state)


def _loaded_tables(full: Place) -> list[str]:
    names = "SELECT table_name FROM information_schema.tables WHERE table_name IN (?, ?)"
    return [name for (name,) in query(full.settings, names, "datasets", "reports")]


@pytest.mark.parametrize("kind", [Kind.DETAIL, Kind.GONE])
def test_what_cost_a_request_is_in_the_file_at_once(kind: Kind, tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(Item(Kind.ROW, "reports", "from a list", NOW, row=b"{}"))
    journal.append(Item(kind, "reports", "asked for", NOW))
    [segment] = tmp_path.iterdir()
    assert [item.key for item in Journal(tmp_path).read(segment)] == ["from a list", "asked for"]
    journal.close()


def test_what_is_appended_after_a_write_that_failed_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append(detail("a"))
    with full_after(50, monkeypatch), pytest.raises(OaSyncError, match="No space left"):
        journal.append(detail("b"))
    journal.append(detail("c"))
    file = journal.rotate()
    assert file is not None
    assert [item.key for item in journal.read(file)] == ["a", "c"]


@pytest.mark.parametrize("cut", [1, 40, 700])
def test_a_torn_end_of_the_journal_is_dropped_and_the_rest_is_loaded(
    cut: int, tmp_path: Path
) -> None:
    with place(tmp_path) as torn:
        sync_until(AMONG_DETAILS, torn.settings)
        [file] = sorted(torn.folder.glob("*.oaj"))
        before = torn.journaled()
        os.truncate(file, file.stat().st_size - cut)
        kept = torn.journaled()
        assert kept < before
        torn.recovers()


def test_a_damaged_record_ends_its_file_and_costs_only_requests(tmp_path: Path) -> None:
    with place(tmp_path) as damaged:
        sync_until(AMONG_DETAILS, damaged.settings)
        for file in damaged.folder.rglob("*.oaj"):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content)
        damaged.recovers()


def test_a_journal_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    with place(tmp_path) as foreign:
        sync_until(AMONG_DETAILS, foreign.settings)
        [file] = foreign.folder.glob("*.oaj")
        journal = Journal(foreign.folder)
        items = list(journal.read(file))
        with pytest.MonkeyPatch.context() as patched:
            header = journal_module._header
            patched.setattr(
                journal_module, "_header", lambda item: header(item) | {"kind": "of the future"}
            )
            journal.append(items[0])
            journal.close()
        report = sync(foreign.settings)
        assert report.exit_code == 1
        assert "was written by another version of oa-sync" in str(report.error)
        assert foreign.state.counters.details.total() >= len(items) - 2


def test_damaged_notes_and_facts_cost_requests_and_nothing_else(tmp_path: Path) -> None:
    with place(tmp_path) as damaged:
        run_sync(damaged.settings)
        for fact in (damaged.settings.home / "memory").rglob("*.json"):
            fact.write_bytes(b'{"dialect": 5, "missing:agents/runs": {}, "order')
        damaged.changes.make(5)
        run_sync(damaged.settings)
        assert_mirrors(damaged.settings, damaged.state)


def test_a_home_that_cannot_be_written_is_wrong_usage_and_says_so(tmp_path: Path) -> None:
    with place(tmp_path) as closed:
        closed.settings.home.write_text("a file where the folder should be")
        with pytest.raises(ConfigurationError, match="choose another --home"):
            sync(closed.settings)
        assert closed.state.counters.total == 0


def test_a_kill_while_the_working_folder_is_cleared_is_no_matter(tmp_path: Path) -> None:
    with place(tmp_path) as killed:
        sync_until(Point("oa_sync.load.dlt.warehouse:Warehouse.load", "before"), killed.settings)
        (killed.settings.home / "dlt" / killed.settings.fingerprint() / "state.json").touch()
        killed.recovers()
