"""How long it takes until something that may change is looked at again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oa_sync.extract.intervals import LONGEST, SHORTEST, next_look

FIRST = datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(0), SHORTEST),
        (timedelta(seconds=59), SHORTEST),
        (timedelta(seconds=61), timedelta(seconds=61)),
        (timedelta(hours=3), timedelta(hours=3)),
        (LONGEST - timedelta(seconds=1), LONGEST - timedelta(seconds=1)),
        (timedelta(days=400), LONGEST),
        (timedelta(hours=-1), SHORTEST),
    ],
)
def test_the_wait_is_the_age_at_the_last_look_within_two_bounds(
    age: timedelta, wait: timedelta
) -> None:
    """A clock that was set back makes no earlier look than the shortest wait."""
    assert next_look(FIRST, FIRST + age) == FIRST + age + wait
