from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import START, ManualClock

FREE = Limits(30, 500)
DAY = 86_400.0


def test_only_its_owner_can_read_the_file(tmp_path: Path, clock: ManualClock) -> None:
    ledger = open_ledger(tmp_path / "home", None, clock)
    ledger.reserve(1, FREE)
    files = list((tmp_path / "home").iterdir())
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


@pytest.mark.parametrize("damage", ["overwritten", "truncated", "table_dropped"])
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


def test_a_file_damaged_while_it_is_open_is_replaced(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "quota.sqlite3"
    ledger = SqliteLedger(path, clock)
    ledger.reserve(1, FREE)
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE oa_sync_quota_account")
    other.close()
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


def test_a_file_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "quota.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
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


def _break(path: Path, damage: str) -> None:
    if damage == "overwritten":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:6000])
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE oa_sync_quota_meta")
        connection.close()
