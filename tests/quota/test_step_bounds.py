"""Each bound of the rule for the ledger's clock, at the value at which it decides (microseconds)."""

from __future__ import annotations

import pytest

from oa_sync.quota.limits import SECOND
from oa_sync.quota.steps import EARLIEST, Behind, Step, step
from tests.support.clock import START

NOW = int(START.timestamp()) * SECOND
SLACK = 50_000
LOST = NOW - SECOND
"""The ledger's clock when the machine's was first found not to be set."""


@pytest.mark.parametrize(
    ("clock", "shown", "expected"),
    [
        # A new ledger has no stamp that could move; one that an earlier version wrote in 1970 has.
        (0, NOW, Step(NOW, None, None)),
        (1, NOW, Step(NOW, None, 0)),
        (EARLIEST - 1, NOW, Step(NOW, None, 0)),
        (EARLIEST, NOW, Step(NOW, None, None)),
        # The first instant at which a clock counts as set. Until then nothing moves.
        (1, EARLIEST, Step(EARLIEST, None, 0)),
        (1, EARLIEST - 1, Step(EARLIEST, None, None)),
        (1, 5, Step(EARLIEST, Behind(5, 5, 0), None)),
        # What is sent from now on gets a second of its own.
        (NOW + 7, 5, Step(NOW + SECOND, Behind(5, 5, NOW + SECOND), None)),
        # A twentieth of a second back is no step.
        (NOW, NOW, Step(NOW, None, None)),
        (NOW, NOW - SLACK, Step(NOW, None, None)),
        (NOW, NOW - SLACK - 1, Step(NOW, Behind(NOW - SLACK - 1, NOW - SLACK - 1), None)),
    ],
)
def test_where_the_first_look_at_a_clock_leads(clock: int, shown: int, expected: Step) -> None:
    assert step(clock, None, shown) == expected


@pytest.mark.parametrize(
    ("behind", "shown", "expected"),
    [
        # Time passes between two looks at a clock that is set, from the first microsecond on.
        (
            Behind(EARLIEST, EARLIEST),
            EARLIEST + 1,
            Step(NOW + 1, Behind(EARLIEST + 1, EARLIEST), None),
        ),
        # From one that was not set to one that is, nobody knows how much.
        (
            Behind(EARLIEST - SECOND, EARLIEST - SECOND, LOST),
            EARLIEST,
            Step(NOW, Behind(EARLIEST, EARLIEST - SECOND), LOST),
        ),
        (
            Behind(EARLIEST - SECOND, EARLIEST - SECOND, LOST),
            EARLIEST - 1,
            Step(NOW + SECOND - 1, Behind(EARLIEST - 1, EARLIEST - SECOND, LOST), None),
        ),
    ],
)
def test_where_the_next_look_at_a_clock_that_is_behind_leads(
    behind: Behind, shown: int, expected: Step
) -> None:
    assert step(NOW, behind, shown) == expected
