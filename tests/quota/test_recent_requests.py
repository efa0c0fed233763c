"""What one process remembers of its requests by the monotonic clock, whatever the wall clock says."""

from __future__ import annotations

import pytest

from oa_sync.quota.limits import Limits
from oa_sync.quota.pacer import RecentRequests

DAY = 86_400.0


def recent(limits: Limits, *instants: float) -> RecentRequests:
    found = RecentRequests(limits)
    for each in instants:
        found.note(each)
    return found


@pytest.mark.parametrize(("now", "count"), [(30.0, 3), (59.9, 3), (60.0, 2), (90.0, 0)])
def test_a_request_counts_for_sixty_seconds(now: float, count: int) -> None:
    assert recent(Limits(30, None), 0.0, 10.0, 30.0).in_minute(now) == count


@pytest.mark.parametrize(
    ("instants", "now", "wait"),
    [
        ((), 0.0, 0.0),
        ((0.0,), 0.0, 0.0),
        ((0.0, 10.0), 10.0, 50.0),
        ((0.0, 10.0), 59.5, 0.5),
        ((0.0, 10.0), 60.0, 0.0),
        ((0.0, 10.0), 99.0, 0.0),
        ((0.0, 10.0, 61.0), 62.0, 8.0),
    ],
)
def test_the_minute_has_room_when_the_oldest_that_counts_is_sixty_seconds_old(
    instants: tuple[float, ...], now: float, wait: float
) -> None:
    assert recent(Limits(2, None), *instants).minute_wait(now) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("instants", "now", "wait"),
    [
        ((), 0.0, 0.0),
        ((0.0, 30.0), 40.0, 0.0),
        # The first minute's two count together, until the later one must be a day old.
        ((0.0, 59.0, 60.0), 100.0, DAY - 40.0),
        ((0.0, 59.0, 60.0), DAY + 59.9, 0.1),
        ((0.0, 59.0, 60.0), DAY + 60.0, 0.0),
        ((0.0, 60.0, 61.0, DAY + 70.0), DAY + 70.0, 50.0),
        ((0.0, 60.0, 61.0, DAY + 70.0), DAY + 120.0, 0.0),
        ((0.0, 0.0, 0.0), 2 * DAY, 0.0),
    ],
)
def test_the_day_has_room_when_the_oldest_minute_is_a_day_old(
    instants: tuple[float, ...], now: float, wait: float
) -> None:
    assert recent(Limits(None, 3), *instants).day_wait(now) == pytest.approx(wait)


@pytest.mark.parametrize("limits", [Limits(None, None), Limits(2, 3, "UTC")])
def test_a_day_without_a_limit_or_by_the_calendar_is_not_looked_at(limits: Limits) -> None:
    assert recent(limits, *[0.0] * 9).day_wait(1.0) == 0.0


def test_a_minute_without_a_limit_is_not_looked_at() -> None:
    assert recent(Limits(None, 3), 0.0, 0.0).minute_wait(1.0) == 0.0
