"""The PostgreSQL that all tests share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.postgres import Postgres, shared_postgres, sharing


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # not a worker of xdist: it outlives them all
        shared = ExitStack()
        shared.enter_context(sharing())
        config.add_cleanup(shared.close)


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The server of this run; a test makes itself a database."""
    return shared_postgres()
