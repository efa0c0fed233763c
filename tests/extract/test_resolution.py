"""How long a version that names a day or a minute may stay the same while its row changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from oa_sync.extract.lists.resolution import (
    latest_writing,
    may_name_another_zone,
    period_end,
)

EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("version", "end"),
    [
        ("2026-03-02T00:00:00Z", datetime(2026, 3, 3, tzinfo=UTC)),
        ("2026-03-02 00:00:00.000+02:00", datetime(2026, 3, 3, tzinfo=EAST)),
        ("2026-03-02T00:00Z", datetime(2026, 3, 3, tzinfo=UTC)),
        ("2026-12-31T10:59+0200", datetime(2026, 12, 31, 11, tzinfo=EAST)),
        # Without a zone: where it ends last.
        ("2026-03-02", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("2026-03-02T10:59", datetime(2026, 3, 2, 23, tzinfo=UTC)),
    ],
)
def test_a_day_and_a_minute_end(version: str, end: datetime) -> None:
    assert period_end(version) == end


@pytest.mark.parametrize(
    "version",
    [
        "2026-03-02T00:00:01Z",
        "2026-03-02T00:00:00.1Z",
        "2026-03-02T10:59:00Z",
        "2026-03-02Z",
        "2026-02-30",
        "2026-03-02T24:59",
        "20260302",
        "3",
        "",
    ],
)
def test_a_finer_version_and_what_names_no_time_have_no_end(version: str) -> None:
    assert period_end(version) is None


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
A_DAY_ANYWHERE = timedelta(hours=36)


@pytest.mark.parametrize(
    ("version", "latest"),
    [
        ("2026-03-02T11:59:01Z", timedelta(seconds=-59)),
        ("2026-03-02T12:00:00.1Z", timedelta(seconds=0.1)),
        # A minute is over when the next one begins.
        ("2026-03-02T11:59:00Z", timedelta(0)),
        ("2026-03-02T11:59Z", timedelta(0)),
        # An hour, or a day of some time zone.
        ("2026-03-02T12:00:00Z", A_DAY_ANYWHERE),
        ("2026-03-02T17:30:00.000+05:30", A_DAY_ANYWHERE),
        ("2026-03-02T12:45:00Z", A_DAY_ANYWHERE + timedelta(minutes=45)),
    ],
)
def test_a_coarse_version_may_be_written_until_its_period_is_over(
    version: str, latest: timedelta
) -> None:
    assert latest_writing(version) == NOON + latest


@pytest.mark.parametrize("version", ["2026-03-02", "2026-03-02T12:00:00", "7", ""])
def test_what_names_no_instant_may_be_written_at_any_time(version: str) -> None:
    assert latest_writing(version) is None
    assert not may_name_another_zone(version, NOON, NOON)


@pytest.mark.parametrize(
    ("version", "is_hit"),
    [
        ("2026-03-02T07:00:03Z", True),
        ("2026-03-02T08:30:20Z", True),
        ("2026-03-01T22:00:05Z", True),
        # Farther than any zone, and by no half hour.
        ("2026-03-01T21:30:05Z", False),
        ("2026-03-02T06:59:59Z", False),
        ("2026-03-02T07:00:21Z", False),
        ("2026-03-02T11:59:59Z", False),
        # A minute that reaches into the time in between.
        ("2026-03-02T06:59:00Z", True),
        ("2026-03-02T06:58:00Z", False),
    ],
)
def test_a_time_is_that_of_another_zone_where_half_hours_lead_into_the_reading(
    version: str, is_hit: bool
) -> None:
    assert may_name_another_zone(version, NOON, NOON + timedelta(seconds=20)) is is_hit
