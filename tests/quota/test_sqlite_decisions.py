"""What the ledger's file decides, one decision a test: its note, a disk that refuses, and whoever only reads it."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from oa_sync.errors import ConfigurationError, DiskError
from oa_sync.quota.limits import SECOND, Limits
from oa_sync.quota.sqlite_ledger import DURABLE_BELOW, SqliteLedger
from tests.support.clock import START, ManualClock
from tests.support.filesystems import filesystem, fill, is_locked, make_read_only

FREE = Limits(30, 500)


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path, clock: ManualClock) -> None:
    path, elsewhere = tmp_path / "quota.sqlite3", tmp_path / "elsewhere.sqlite3"
    SqliteLedger(elsewhere, clock).close()
    path.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="link"):
        SqliteLedger(path, clock)


# -- the note of the ledger's clock, beside the file ------------------------------------------------


@pytest.mark.parametrize(
    ("per_minute", "is_shared", "is_noted"),
    [
        (DURABLE_BELOW, True, True),
        (DURABLE_BELOW, False, True),
        (DURABLE_BELOW + 1, True, False),  # a power cut may lose what it says
        (DURABLE_BELOW + 1, False, True),  # the last one brings all of it to the disk
    ],
)
def test_the_clock_is_noted_where_no_power_cut_makes_it_wrong(
    tmp_path: Path, clock: ManualClock, per_minute: int, is_shared: bool, is_noted: bool
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger, ExitStack() as others:
        if is_shared:
            others.enter_context(closing(SqliteLedger(path, clock)))
        ledger.reserve(1, Limits(per_minute, None))
        ledger.close()
        noted = int(path.with_name("quota.sqlite3.lock").read_text())
    assert noted == (START.timestamp() * SECOND if is_noted else 0)


def test_a_note_that_is_no_number_says_nothing(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    SqliteLedger(path, clock).close()
    path.with_name("quota.sqlite3.lock").write_text("no number")
    with closing(SqliteLedger(path, clock)) as ledger:
        assert ledger.reserve(1, FREE).allowed


def test_a_ledger_closed_after_its_file_was_deleted_notes_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    old = SqliteLedger(path, clock)
    old.reserve(1, FREE)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    SqliteLedger(path, clock).close()
    old.close()
    with closing(SqliteLedger(path, clock)) as new:
        assert new.reserve(1, FREE).allowed


def test_the_note_of_a_deleted_file_says_nothing_of_the_new_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
    path.unlink()
    with closing(SqliteLedger(path, clock)), closing(SqliteLedger(path, clock)) as another:
        assert another.reserve(1, FREE).allowed


# -- what a disk answers ----------------------------------------------------------------------------


def test_a_full_disk_is_told_as_such_and_may_heal(tmp_path: Path, clock: ManualClock) -> None:
    with filesystem(tmp_path / "disk", "1m") as disk:
        fill(disk)
        with pytest.raises(DiskError, match=r"cannot be opened .*nothing was asked for") as caught:
            SqliteLedger(disk / "home" / "quota.sqlite3", clock)
        assert caught.value.retry


@pytest.mark.parametrize("room", range(0, 96 * 1024, 16 * 1024))
def test_however_little_room_there_is_the_disk_is_told_as_full(
    room: int, tmp_path: Path, clock: ManualClock
) -> None:
    """SQLite calls it an I/O error where the index of its log no longer fits."""
    with filesystem(tmp_path / "disk", "1m") as disk:
        full = fill(disk, leaving=room)
        with pytest.raises(DiskError, match="No space left on device") as caught:
            book_until_it_is_full(disk / "home" / "quota.sqlite3", clock)
        assert caught.value.retry
        full.unlink()
        with closing(SqliteLedger(disk / "home" / "quota.sqlite3", clock)) as ledger:
            assert ledger.reserve(2, FREE).allowed


def book_until_it_is_full(path: Path, clock: ManualClock) -> None:
    with closing(SqliteLedger(path, clock)) as ledger:
        for account in range(999):  # each takes a row of its own
            ledger.reserve(account, FREE)


def test_a_disk_that_takes_no_changes_is_a_configuration_error(
    tmp_path: Path, clock: ManualClock
) -> None:
    with filesystem(tmp_path / "disk", "1m") as disk:
        make_read_only(disk)
        with pytest.raises(ConfigurationError, match="choose a writable --home"):
            SqliteLedger(disk / "home" / "quota.sqlite3", clock)


def test_a_disk_that_fills_up_denies_a_booking(tmp_path: Path, clock: ManualClock) -> None:
    with (
        filesystem(tmp_path / "disk", "1m") as disk,
        closing(SqliteLedger(disk / "home" / "quota.sqlite3", clock)) as ledger,
    ):
        ledger.reserve(1, FREE)
        full = fill(disk)
        with pytest.raises(DiskError, match=r"cannot be written .*no request was sent for it"):
            for _ in range(99):
                ledger.reserve(1, FREE)
        full.unlink()
        assert ledger.reserve(2, FREE).allowed


# -- reading ----------------------------------------------------------------------------------------


def test_whoever_only_asks_leaves_no_account_behind(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        ledger.usage(2, FREE)
        with closing(sqlite3.connect(path)) as other:
            found = other.execute("SELECT account FROM oa_sync_quota_account").fetchall()
    assert found == [(1,)]


def test_whoever_only_reads_sees_what_a_closed_ledger_holds(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE, 2)
    with closing(SqliteLedger(path, clock, only_reading=True)) as reader:
        assert reader.usage(1, FREE).used_day == 2


def test_whoever_only_reads_needs_no_note(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    SqliteLedger(path, clock).close()
    path.with_name("quota.sqlite3.lock").unlink()
    with closing(SqliteLedger(path, clock, only_reading=True)) as reader:
        assert reader.usage(1, FREE).left_today == 500
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_whoever_only_reads_holds_the_lock_while_the_file_is_copied(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Nobody opens the file meanwhile: without a log it is read as one that never changes."""
    path = tmp_path / "quota.sqlite3"
    SqliteLedger(path, clock).close()
    others_wait: list[bool] = []

    class Watched(SqliteLedger):
        def _look_at_files(self) -> None:
            others_wait.append(is_locked(self._lock_file))
            super()._look_at_files()

    Watched(path, clock, only_reading=True).close()
    assert others_wait == [True]


@pytest.mark.parametrize("is_damaged", [False, True])
def test_whoever_only_reads_may_be_any_thread_and_is_told_of_a_damage(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture, is_damaged: bool
) -> None:
    path = tmp_path / "quota.sqlite3"
    SqliteLedger(path, clock).close()
    if is_damaged:
        path.write_bytes(path.read_bytes()[:100])
    with (
        closing(SqliteLedger(path, clock, only_reading=True)) as reader,
        ThreadPoolExecutor(1) as pool,
    ):
        assert pool.submit(reader.usage, 1, FREE).result().left_today == (0 if is_damaged else 500)
    assert ("is damaged" in caplog.text) is is_damaged


def test_what_cannot_be_opened_is_no_damage_to_whoever_only_reads(
    tmp_path: Path, clock: ManualClock
) -> None:
    (tmp_path / "quota.sqlite3").mkdir()
    with pytest.raises(ConfigurationError, match="choose a writable --home"):
        SqliteLedger(tmp_path / "quota.sqlite3", clock, only_reading=True)
