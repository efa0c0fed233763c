"""How long a version that names a day or a minute may stay the same while its row changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from oa_sync.extract.lists.resolution import period_end

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
