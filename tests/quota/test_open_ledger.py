"""Which ledger an address means: the SQLite file in home, a database of PostgreSQL, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.quota import open_ledger
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.sqlite_ledger import FILE_NAME, SqliteLedger
from tests.support.clock import ManualClock

ME, LIMITS = 7, Limits(30, 500)


def used(ledger: Ledger) -> int:
    try:
        return ledger.usage(ME, LIMITS).used_day
    finally:
        ledger.close()


def test_without_an_address_requests_are_counted_in_home_by_the_clock_that_is_given(
    tmp_path: Path, clock: ManualClock
) -> None:
    ledger = open_ledger(tmp_path, None, clock)
    assert isinstance(ledger, SqliteLedger)
    ledger.reserve(ME, LIMITS)
    clock.advance(86_402)
    assert used(ledger) == 0
    assert (tmp_path / FILE_NAME).exists()


def test_whoever_only_reads_makes_no_file(tmp_path: Path, clock: ManualClock) -> None:
    assert used(open_ledger(tmp_path, None, clock, only_reading=True)) == 0
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"], ids=["long", "short"])
def test_the_server_at_an_address_is_asked_for(
    tmp_path: Path, clock: ManualClock, scheme: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^--quota-url .*127\.0\.0\.1.*check the address"):
        open_ledger(tmp_path, f"{scheme}://me@127.0.0.1:1/quota", clock)
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("address", "scheme"), [("mysql://me:secret@db/quota", "mysql"), ("me:secret@db", "(none)")]
)
def test_another_address_is_refused_by_its_scheme_alone(
    tmp_path: Path, clock: ManualClock, address: str, scheme: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_ledger(tmp_path, address, clock)
    assert f"--quota-url with scheme {scheme!r} is not supported" in str(refused.value)
    assert "secret" not in str(refused.value)
