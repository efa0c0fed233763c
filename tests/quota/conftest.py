from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oa_sync.quota.ledger import Ledger
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import ManualClock
from tests.support.postgres import Postgres


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    store = SqliteLedger(tmp_path / "quota.sqlite3", clock)
    yield store
    store.close()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database of its own for each test."""
    url = postgres.create_database("quota")
    yield url
    postgres.drop_database(url)  # `make mutants` runs these tests a thousand times on one server
