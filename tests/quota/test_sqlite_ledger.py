from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.quota import open_ledger, sqlite_ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import START, ManualClock
from tests.support.filesystems import is_locked

FREE = Limits(30, 500)
DAY = 86_400.0


def test_only_its_owner_can_read_the_file(tmp_path: Path, clock: ManualClock) -> None:
    ledger = open_ledger(tmp_path / "new" / "home", None, clock)
    ledger.reserve(1, FREE)
    files = list((tmp_path / "new" / "home").iterdir())
    assert (tmp_path / "new" / "home").stat().st_mode & 0o777 == 0o700
    assert {file.name for file in files} >= {"quota.sqlite3", "quota.sqlite3-wal"}
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    ledger.close()


def test_the_key_is_nowhere_in_the_file(tmp_path: Path, clock: ManualClock) -> None:
    ledger = open_ledger(tmp_path, None, clock)
    ledger.reserve(ledger.account("oa_live_secret", ""), FREE)
    ledger.close()
    held = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert "quota.sqlite3" in held
    assert not [name for name, content in held.items() if b"oa_live_secret" in content]


def test_two_stores_hash_the_same_key_differently(tmp_path: Path, clock: ManualClock) -> None:
    one, two = (SqliteLedger(tmp_path / name, clock) for name in ("one", "two"))
    assert one.account("oa_live_secret", "") != two.account("oa_live_secret", "")
    one.close()
    two.close()


@pytest.mark.parametrize(
    "damage", ["overwritten", "truncated", "page_overwritten", "table_dropped", "salt_deleted"]
)
def test_a_damaged_file_is_kept_aside_and_counts_as_a_spent_day(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "quota.sqlite3"
    ledger = SqliteLedger(path, clock)
    for _ in range(3):
        ledger.reserve(1, FREE)
    ledger.close()
    _break(path, damage)
    four_hours_ago = START.timestamp() - 4 * 3600
    os.utime(path, (four_hours_ago, four_hours_ago))

    with caplog.at_level(logging.WARNING):
        ledger = SqliteLedger(path, clock)
        denied = ledger.reserve(1, FREE)
        again = ledger.reserve(2, FREE)
    assert "moved aside" in caplog.text
    assert "2026-03-03T05:00:00Z" in caplog.text
    assert len(list(tmp_path.glob("quota.sqlite3.damaged-*"))) >= 1
    assert not denied.allowed
    assert not again.allowed
    # Whatever was sent was sent before the file last changed, four hours ago.
    assert denied.wait_seconds == pytest.approx(20 * 3600, abs=2)
    assert ledger.reserve(3, Limits(30, None)).allowed
    ledger.close()
    clock.advance(20 * 3600 + 1)
    reopened = SqliteLedger(path, clock)
    assert reopened.reserve(1, FREE).allowed
    assert reopened.reserve(4, FREE).allowed
    reopened.close()


def test_what_a_damaged_file_had_counted_is_spent_for_whoever_opens_the_new_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    path.write_bytes(b"this is no database" * 500)
    os.utime(path, (START.timestamp(), START.timestamp()))
    SqliteLedger(path, clock).close()
    with closing(SqliteLedger(path, clock)) as another:
        assert not another.reserve(1, FREE).allowed
        # Even where no day counts, the last minute does.
        assert another.reserve(2, Limits(30, None)).slots[0].wait > 60


def test_a_damaged_file_is_as_young_as_its_log(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    for file, hours in ((path, 4), (path.with_name("quota.sqlite3-wal"), 1)):
        file.write_bytes(b"this is no database" * 500)
        os.utime(file, (START.timestamp() - 3600 * hours,) * 2)
    with closing(SqliteLedger(path, clock)) as ledger:
        assert ledger.reserve(1, FREE).wait_seconds == pytest.approx(23 * 3600, abs=2)


def test_a_damaged_file_is_replaced_by_one_process_only(tmp_path: Path) -> None:
    path = tmp_path / "quota.sqlite3"
    path.write_bytes(b"this is no database" * 500)
    others_wait: list[bool] = []

    class Watched(ManualClock):
        """Asked while the file is looked at and replaced."""

        def now(self) -> datetime:
            others_wait.append(is_locked(path.with_name("quota.sqlite3.lock")))
            return super().now()

    SqliteLedger(path, Watched()).close()
    assert others_wait
    assert all(others_wait)


def test_a_file_that_another_program_holds_is_not_taken_for_a_damaged_one(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_ledger, "_BUSY_SECONDS", 0.01)
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OaSyncError, match="no request was sent"):
                ledger.reserve(1, FREE)
        assert ledger.usage(1, FREE).used_day == 1
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigurationError, match="locked"):
            SqliteLedger(path, clock)
    with closing(SqliteLedger(path, clock)) as ledger:
        assert ledger.usage(1, FREE).used_day == 1


def test_a_booking_that_failed_counts_nothing_and_holds_no_lock(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        with closing(sqlite3.connect(path, timeout=0.01)) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON oa_sync_quota_day"
                " BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
            )
            with pytest.raises(OaSyncError, match="disk is full"):
                ledger.reserve(1, FREE)
            other.execute("DROP TRIGGER full")
        assert ledger.usage(1, FREE).used_minute == 1
        assert ledger.reserve(1, FREE).allowed


def test_a_closed_ledger_books_nothing(tmp_path: Path, clock: ManualClock) -> None:
    ledger = SqliteLedger(tmp_path / "quota.sqlite3", clock)
    ledger.close()
    with pytest.raises(OaSyncError, match="no request was sent"):
        ledger.reserve(1, FREE)


def test_any_thread_may_book(tmp_path: Path, clock: ManualClock) -> None:
    with closing(SqliteLedger(tmp_path / "quota.sqlite3", clock)) as ledger:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(ledger.reserve, 1, FREE).result().allowed
        assert ledger.usage(1, FREE).used_day == 1


def test_each_booking_is_flushed_to_the_disk_up_to_120_requests_a_minute(
    tmp_path: Path, clock: ManualClock
) -> None:
    with closing(SqliteLedger(tmp_path / "quota.sqlite3", clock)) as ledger:

        def is_flushed(per_minute: int | None) -> bool:
            ledger.reserve(1, Limits(per_minute, None))
            (level,) = ledger._connection.execute("PRAGMA synchronous").fetchone()
            return {1: False, 2: True}[level]  # NORMAL, FULL

        limits = [120, 121, 120, None, 1]
        assert [is_flushed(limit) for limit in limits] == [True, False, True, False, True]
        for file in tmp_path.iterdir():
            file.unlink()
        assert not is_flushed(None), "a new file is no different"
        assert is_flushed(120)


def test_a_file_damaged_while_it_is_open_is_replaced(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    ledger = SqliteLedger(path, clock)
    ledger.reserve(1, FREE)
    _execute(path, "DROP TABLE oa_sync_quota_account")
    assert not ledger.reserve(1, FREE).allowed
    ledger.close()


def test_a_file_deleted_while_it_is_open_starts_from_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    ledger = SqliteLedger(path, clock)
    for _ in range(3):
        ledger.reserve(1, FREE)
    for file in tmp_path.iterdir():
        file.unlink()
    ledger.reserve(1, FREE)
    assert ledger.usage(1, FREE).used_day == 1
    assert path.exists()
    ledger.close()


def test_a_file_put_in_place_of_the_open_one_counts(tmp_path: Path, clock: ManualClock) -> None:
    path, backup = tmp_path / "quota.sqlite3", tmp_path / "backup.sqlite3"
    with closing(SqliteLedger(backup, clock)) as older:
        for _ in range(3):
            older.reserve(1, FREE)
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink()
        backup.replace(path)
        ledger.reserve(1, FREE)
        assert ledger.usage(1, FREE).used_day == 4


def test_a_file_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    _execute(path, "PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer oa-sync"):
        SqliteLedger(path, clock)
    assert path.exists()


def test_a_home_that_cannot_be_written_is_a_configuration_error(
    tmp_path: Path, clock: ManualClock
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--home"):
        SqliteLedger(tmp_path / "file" / "quota.sqlite3", clock)


def test_an_unknown_kind_of_store_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(ConfigurationError, match="'mysql'") as caught:
        open_ledger(tmp_path, "mysql://me:secret@db/quota", clock)
    assert "secret" not in str(caught.value)


# -- what is no whole ledger ------------------------------------------------------------------------


def _execute(path: Path, *statements: str) -> None:
    """What another program does to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _another_database(path: Path) -> None:
    path.unlink()
    _execute(path, "PRAGMA user_version = 0", "VACUUM")


def _another_program(path: Path) -> None:
    path.unlink()
    _execute(path, "CREATE TABLE bookmarks (title TEXT)", "PRAGMA user_version = 1")


def _cut_to_its_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _no_salt(path: Path) -> None:
    _execute(path, "UPDATE oa_sync_quota_meta SET value = 'no hex' WHERE name = 'salt'")


def _no_number(path: Path) -> None:
    _execute(path, "UPDATE oa_sync_quota_account SET day_total = 'many'")


def _without_layout(path: Path) -> None:
    _execute(path, "PRAGMA user_version = 0")


def _without_a_table(path: Path) -> None:
    _execute(path, "DROP TABLE oa_sync_quota_minute")


DAMAGES = [
    _without_layout,
    _without_a_table,
    _empty,
    _another_database,
    _another_program,
    _cut_to_its_header,
    _no_salt,
    _no_number,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("clock_is", ["right", "two days behind"])
def test_a_file_that_is_no_whole_ledger_gives_no_second_day(
    tmp_path: Path, damage: Callable[[Path], None], clock_is: str
) -> None:
    clock = ManualClock(datetime.now(UTC))  # the file's own time is the system's
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
    damage(path)
    content = path.read_bytes()
    behind = ManualClock(clock.now() - timedelta(days=2)) if clock_is != "right" else clock
    with closing(SqliteLedger(path, behind, only_reading=True)) as ledger:
        assert ledger.usage(1, FREE).left_today == 0
    assert path.read_bytes() == content, "who only reads moves nothing aside"
    assert {file.name for file in tmp_path.iterdir()} == {path.name, f"{path.name}.lock"}
    for now in (behind, clock):
        with closing(SqliteLedger(path, now)) as ledger:
            assert not ledger.reserve(1, FREE).allowed
            assert not ledger.reserve(2, FREE).allowed
    clock.advance(DAY + 60)
    with closing(SqliteLedger(path, clock)) as ledger:
        assert ledger.reserve(1, FREE).allowed


@pytest.mark.parametrize("damage", [_empty, _another_database])
def test_a_file_that_is_emptied_or_replaced_while_it_is_open_gives_no_second_day(
    tmp_path: Path, clock: ManualClock, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        damage(path)
        os.utime(path, (START.timestamp(), START.timestamp()))
        assert not ledger.reserve(1, FREE).allowed


def test_a_log_that_is_gone_is_a_damage(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "killed" / "quota.sqlite3"
    ledger = SqliteLedger(tmp_path / "quota.sqlite3", clock)
    ledger.reserve(1, FREE)
    path.parent.mkdir()
    for part in ("", "-shm"):  # as a killed process leaves them
        copy = tmp_path / f"killed/quota.sqlite3{part}"
        copy.write_bytes((tmp_path / f"quota.sqlite3{part}").read_bytes())
        os.utime(copy, (START.timestamp(), START.timestamp()))
    ledger.close()
    with closing(SqliteLedger(path, clock, only_reading=True)) as reader:
        assert reader.usage(1, FREE).left_today == 0
    with closing(SqliteLedger(path, clock)) as damaged:
        assert not damaged.reserve(1, FREE).allowed


def test_an_older_copy_counts_as_spent_from_the_last_booking_that_is_known(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
    backup = path.read_bytes()
    clock.advance(7_200)
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
    path.write_bytes(backup)
    os.utime(path, (START.timestamp(), START.timestamp()))
    clock.advance(3_600)
    with closing(SqliteLedger(path, clock, only_reading=True)) as ledger:
        usage = ledger.usage(1, FREE)
        assert usage.left_today == 0
        assert usage.blocked_until == START + timedelta(seconds=7_200 + DAY)
    with closing(SqliteLedger(path, clock)) as ledger:
        denied = ledger.reserve(1, FREE)
    assert denied.wait_seconds == pytest.approx(DAY - 3_600, abs=2)


def test_a_deleted_file_means_that_nothing_was_spent(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    for _ in range(3):
        with closing(SqliteLedger(path, clock)) as ledger:
            ledger.reserve(1, FREE)
            assert ledger.usage(1, FREE).used_day == 1
        path.unlink()


def test_a_process_that_dies_while_it_makes_the_file_leaves_no_damage(
    tmp_path: Path, clock: ManualClock
) -> None:
    (tmp_path / "quota.sqlite3.new").write_bytes(b"half")
    with closing(SqliteLedger(tmp_path / "quota.sqlite3", clock)) as ledger:
        assert ledger.reserve(1, FREE).allowed


def test_a_row_spoilt_while_the_file_is_open_is_a_damage(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with closing(SqliteLedger(path, clock)) as ledger:
        ledger.reserve(1, FREE)
        _no_number(path)
        os.utime(path, (START.timestamp(), START.timestamp()))
        assert not ledger.reserve(1, FREE).allowed


def test_whoever_only_reads_creates_and_changes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    home = tmp_path / "home"
    with closing(open_ledger(home, None, clock, only_reading=True)) as nothing:
        assert nothing.usage(1, FREE).left_today == 500
    assert not home.exists()
    with closing(open_ledger(home, None, clock)) as ledger:
        ledger.reserve(1, FREE)
        # With its log beside it, as while a sync runs.
        before = {
            part.name: (part.read_bytes(), part.stat().st_mtime_ns) for part in home.iterdir()
        }
        with closing(open_ledger(home, None, clock, only_reading=True)) as reader:
            assert reader.usage(1, FREE).used_day == 1
            assert reader.account("key", "") == ledger.account("key", "")
        del before["quota.sqlite3-shm"]  # holds the locks of readers
        for name, was in before.items():
            assert ((home / name).read_bytes(), (home / name).stat().st_mtime_ns) == was


def _break(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage == "overwritten":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "truncated":
        path.write_bytes(content[:6000])
    elif damage == "page_overwritten":
        with closing(sqlite3.connect(path)) as connection:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            (page,) = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'oa_sync_quota_day'"
            ).fetchone()
        path.write_bytes(content[: (page - 1) * size] + b"\xff" * size + content[page * size :])
    elif damage == "table_dropped":
        _execute(path, "DROP TABLE oa_sync_quota_meta")
    else:
        _execute(path, "DELETE FROM oa_sync_quota_meta WHERE name = 'salt'")
