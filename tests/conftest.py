"""How hard hypothesis tries, and the PostgreSQL that all tests share."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Postgres, shared_postgres, sharing

# -- hypothesis: `default` tries the same few examples each time, `thorough` many, by chance ------------

# No deadline and no judgement of slow examples: a busy machine is no fault. A failure by chance can be had
# again by the line `@reproduce_failure(...)` that it prints.
_CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("default", _CALM, max_examples=50, derandomize=True)
settings.register_profile("thorough", _CALM, max_examples=200)
settings.load_profile("default")


# -- one PostgreSQL -------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # not a worker of xdist: it outlives them all
        shared = ExitStack()
        shared.enter_context(sharing())
        config.add_cleanup(shared.close)


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The server of this run; a test makes itself a database."""
    return shared_postgres()
