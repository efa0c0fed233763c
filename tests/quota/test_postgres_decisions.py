"""What the ledger in PostgreSQL decides when a statement or a commit fails, one decision a test."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from oa_sync.errors import OaSyncError
from oa_sync.quota.limits import Limits
from oa_sync.quota.postgres_ledger import PostgresLedger
from oa_sync.quota.restarts import ConnectionLostError
from tests.support.clock import ManualClock

FREE = Limits(30, 500)


def test_a_statement_that_the_server_refuses_is_told_at_once(postgres_url: str) -> None:
    """Waiting is for a server that went away."""
    clock = ManualClock()
    with closing(PostgresLedger(postgres_url, patience=clock)) as ledger:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("DROP TABLE oa_sync_quota_minute")
        with pytest.raises(OaSyncError, match="oa_sync_quota_minute"):
            ledger.reserve(1, FREE)
    assert clock.sleeps == []


def test_whoever_only_asks_leaves_no_account_behind(postgres_url: str) -> None:
    with closing(PostgresLedger(postgres_url)) as ledger:
        ledger.reserve(1, FREE)
        ledger.usage(2, FREE)
    with psycopg.connect(postgres_url) as other:
        found = other.execute("SELECT account FROM oa_sync_quota_account").fetchall()
    assert found == [(1,)]


def test_whoever_only_reads_sees_what_is_there(postgres_url: str) -> None:
    with closing(PostgresLedger(postgres_url, only_reading=True)) as reader:
        assert reader.salt() == b"", "nobody has booked, so any account is as good"
    with closing(PostgresLedger(postgres_url)) as ledger:
        ledger.reserve(1, FREE)
        with closing(PostgresLedger(postgres_url, only_reading=True)) as reader:
            assert reader.usage(1, FREE).used_day == 1
            assert reader.salt() == ledger.salt()


@pytest.mark.parametrize(("end", "is_committed"), [("COMMIT", True), ("ROLLBACK", False)])
def test_what_became_of_a_transaction_is_asked_until_it_has_ended(
    postgres_url: str, end: str, is_committed: bool
) -> None:
    with (
        closing(PostgresLedger(postgres_url)) as ledger,
        psycopg.connect(postgres_url, autocommit=True) as other,
    ):
        other.execute("BEGIN")
        row = other.execute("SELECT txid_current()").fetchone()
        assert row is not None
        with pytest.raises(ConnectionLostError, match="has not ended"):
            ledger._is_committed(row[0])
        other.execute(end)
        assert ledger._is_committed(row[0]) is is_committed


def test_a_connection_that_is_lost_while_the_server_is_asked_is_made_again(
    postgres_url: str,
) -> None:
    with (
        closing(PostgresLedger(postgres_url)) as ledger,
        psycopg.connect(postgres_url, autocommit=True) as other,
    ):
        row = other.execute("SELECT txid_current()").fetchone()
        assert row is not None
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'oa-sync quota' AND datname = current_database()"
        )
        with pytest.raises(ConnectionLostError, match="terminating connection"):
            ledger._is_committed(row[0])
        assert ledger._is_committed(row[0])
