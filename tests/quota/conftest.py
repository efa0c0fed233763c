from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oa_sync.quota.ledger import Ledger
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    store = SqliteLedger(tmp_path / "quota.sqlite3", clock)
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from tests.support.postgres import running_postgres

    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Any, request: pytest.FixtureRequest) -> str:
    """An empty database of its own for each test."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name.lower())
    return str(postgres.create_database(name[:60]))
