from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.quota.limits import PLANS, Limits, kept, limits_of


def test_the_plans_are_those_of_the_main_reference() -> None:
    assert {name: (plan.per_minute, plan.per_day) for name, plan in PLANS.items()} == {
        "free": (30, 500),
        "basic": (120, 5_000),
        "pro": (600, 50_000),
        "max": (1_200, 200_000),
        "starter": (60, 10_000),
        "enterprise": (None, None),
    }


def test_flags_replace_the_plans_limits_and_zero_is_unlimited() -> None:
    assert limits_of("free") == Limits(30, 500)
    assert limits_of("free", rpm=7) == Limits(7, 500)
    assert limits_of("free", rpm=0, rpd=150) == Limits(None, 150)
    assert limits_of("free", rpd=0) == Limits(30, None)
    assert limits_of("enterprise", rpd=9, day="UTC") == Limits(None, 9, "UTC")


@pytest.mark.parametrize("wrong", [{"plan": "gold"}, {"plan": "free", "day": "Mars/Olympus"}])
def test_a_wrong_setting_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"gold|Mars/Olympus"):
        limits_of(**wrong)


@pytest.mark.parametrize(("per_minute", "per_day"), [(0, None), (None, -1)])
def test_a_limit_is_a_positive_number(per_minute: int | None, per_day: int | None) -> None:
    with pytest.raises(ConfigurationError, match="not a positive number"):
        Limits(per_minute, per_day)


@pytest.mark.parametrize(
    ("per_day", "reserve", "others"),
    [(500, 0.1, 50), (150, 0.1, 15), (5, 0.1, 0), (100, 0.29, 29), (None, 0.5, 0), (1, 0.9, 0)],
)
def test_the_share_kept_for_others(per_day: int | None, reserve: float, others: int) -> None:
    assert kept(per_day, reserve) == others
    usable = Limits(None, per_day).usable_per_day(reserve)
    assert usable == (None if per_day is None else per_day - others)


@pytest.mark.parametrize(
    ("evening", "hours"),
    [
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), 23),
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), 25),
    ],
)
def test_the_day_of_a_time_zone_may_have_23_or_25_hours(evening: datetime, hours: int) -> None:
    berlin = Limits(None, 5, "Europe/Berlin")
    now = int(evening.timestamp()) * 1_000_000
    begins = berlin.day_floor(now) + 1 + 60
    ends = berlin.counts_until(begins, now) - 60
    assert ends - begins == hours * 3600


@pytest.mark.parametrize("name", ["UTC", "utc"])
def test_the_day_of_utc_does_not_depend_on_the_time_zone_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        now = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()) * 1_000_000
        begins = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
        assert Limits(None, 5, name).day_floor(now) == begins - 60 - 1
    finally:
        monkeypatch.undo()
        time.tzset()
