from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.quota.limits import Limits
from oa_sync.quota.postgres_ledger import PostgresLedger
from tests.support.clock import START, ManualClock

FREE = Limits(30, 500)


def test_several_machines_set_up_one_empty_database_at_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(PostgresLedger, [postgres_url] * 4))
    assert len({ledger.account("oa_live_key", "") for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()


def test_a_clock_may_take_the_place_of_the_servers(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url, ManualClock())
    ledger.reserve(1, FREE)
    assert ledger.usage(1, FREE).resets_at == START + timedelta(days=1, seconds=2)
    ledger.close()


def test_whoever_only_reads_makes_no_tables(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url, only_reading=True)
    assert ledger.usage(1, FREE).left_today == 500
    ledger.close()
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT to_regclass('oa_sync_quota_meta')").fetchone()
    assert row == (None,)


def test_the_servers_clock_decides(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url)
    ledger.reserve(1, FREE)
    usage = ledger.usage(1, FREE)
    ledger.close()
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT now() + interval '1 day'").fetchone()
    assert row is not None
    assert usage.resets_at is not None
    assert abs((usage.resets_at - row[0]).total_seconds()) < 60


def test_a_lost_connection_is_made_again(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url)
    ledger.reserve(1, FREE)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'oa-sync quota' AND datname = current_database()"
        )
    ledger.reserve(1, FREE)
    assert ledger.usage(1, FREE).used_day == 2
    ledger.close()


def test_an_account_is_locked_while_it_is_booked_and_free_after_a_booking_that_failed(
    postgres_url: str,
) -> None:
    ledger = PostgresLedger(postgres_url)
    ledger.reserve(1, FREE)
    with psycopg.connect(postgres_url, autocommit=True) as other:

        def lock() -> None:
            other.execute("SELECT 1 FROM oa_sync_quota_account WHERE account = 1 FOR UPDATE NOWAIT")

        with ledger._transaction(1, 30), pytest.raises(psycopg.errors.LockNotAvailable):
            lock()
        other.execute(
            "ALTER TABLE oa_sync_quota_day ADD CONSTRAINT full_up CHECK (sent < 0)NOT VALID"
        )
        with pytest.raises(OaSyncError, match="full_up"):
            ledger.reserve(1, FREE)
        lock()
        other.execute("ALTER TABLE oa_sync_quota_day DROP CONSTRAINT full_up")
    assert ledger.usage(1, FREE).used_minute == 1
    ledger.close()


def test_a_machine_that_vanishes_holds_no_account_for_long(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url)
    waits = ("idle_in_transaction_session_timeout", "lock_timeout")
    assert [ledger._execute(f"SHOW {name}", ()) for name in waits] == [[("30s",)]] * 2
    ledger.close()


def test_a_closed_ledger_has_no_connection(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url, patience=ManualClock())
    ledger.reserve(1, FREE)
    ledger.close()
    server, name = postgres_url.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as other:
        # Refused while anybody is connected, after the server has waited 5 s for them to go.
        other.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    with pytest.raises(OaSyncError, match="does not exist"):
        ledger.reserve(1, FREE)


def test_tables_that_somebody_made_by_hand_get_a_salt(postgres_url: str) -> None:
    PostgresLedger(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DELETE FROM oa_sync_quota_meta")
    one, two = PostgresLedger(postgres_url), PostgresLedger(postgres_url)
    assert len(one.salt()) == 16
    assert one.salt() == two.salt()
    one.close()
    two.close()


def test_a_failing_store_is_named_without_its_password(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP TABLE oa_sync_quota_minute")
    with pytest.raises(OaSyncError, match=r"127\.0\.0\.1/.*oa_sync_quota_minute") as caught:
        ledger.reserve(1, FREE)
    assert "unused" not in str(caught.value)
    ledger.close()


def test_a_role_without_the_right_to_create_uses_the_tables_that_are_there(
    postgres_url: str,
) -> None:
    PostgresLedger(postgres_url).close()
    role = postgres_url.rsplit("/", 1)[
        1
    ]  # as nobody else's as the database: roles are the server's
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
    ledger = PostgresLedger(postgres_url.replace("postgres:unused", f"{role}:unused"))
    assert ledger.reserve(1, FREE).allowed
    ledger.close()


def test_an_address_that_does_not_work_is_a_configuration_error(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="no_such_database") as caught:
        PostgresLedger(postgres_url.rsplit("/", 1)[0] + "/no_such_database")
    assert "unused" not in str(caught.value)


def test_a_malformed_address_does_not_show_its_password() -> None:
    with pytest.raises(ConfigurationError, match=r"--quota-url .*: .*check the address") as caught:
        PostgresLedger("postgresql://me:hunter2@host:notaport/db?sslmode=hunter2=1")
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"oa-sync\[postgres\]"):
        PostgresLedger(postgres_url)
