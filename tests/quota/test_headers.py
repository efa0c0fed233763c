from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.errors import BudgetExhausted, OaSyncError, RateLimitedError
from oa_sync.quota.headers import (
    Reading,
    as_exhausted,
    is_rate_limit,
    lowered,
    read_rate_limit,
    read_retry_after,
)
from oa_sync.quota.limits import Limits
from tests.support.clock import START

FREE = Limits(30, 500)
EPOCH = int(START.timestamp())


def reading(limit: object, remaining: object, reset: object, limits: Limits = FREE) -> object:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    headers = {
        f"x-ratelimit-{name}": str(value) for name, value in values.items() if value is not None
    }
    return read_rate_limit(headers, limits, START)


@pytest.mark.parametrize(
    ("limit", "reset", "window"),
    [
        (30, EPOCH + 40, "minute"),
        (500, EPOCH + 40, "day"),
        (500, EPOCH + 40_000, "day"),
        (30, EPOCH + 40_000, "day"),
        (1_000, EPOCH + 120, "minute"),
        (1_000, EPOCH + 121, "day"),
        (None, EPOCH + 40, "minute"),
        (500, None, "day"),
        (30, None, "minute"),
        (30, "banana", "minute"),
        (30, 40, "minute"),
        (1_000, EPOCH + 2 * 86_400, "day"),
    ],
)
def test_the_window_is_inferred(limit: object, reset: object, window: str) -> None:
    found = reading(limit, 7, reset)
    assert isinstance(found, Reading)
    assert (found.window, found.remaining) == (window, 7)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset"),
    [
        (30, None, EPOCH + 40),
        (30, "banana", EPOCH + 40),
        (30, "", EPOCH + 40),
        (30, "1" * 30, EPOCH + 40),
        (None, 7, None),
        (1_000, 7, EPOCH + 10 * 86_400),
        (1_000, 7, EPOCH - 10 * 86_400),
        (1_000, 7, EPOCH * 1_000),
        (1_000, 7, EPOCH - 121),
        (1_000, 7, EPOCH + 2 * 86_400 + 1),
        (1_000, 7, -5),
        (1_000, 7, -1),
    ],
)
def test_what_is_not_plausible_is_not_believed(
    limit: object, remaining: object, reset: object
) -> None:
    assert reading(limit, remaining, reset) is None


@pytest.mark.parametrize(
    ("reset", "seconds"), [(0, 0.0), (1, 1.0), (40, 40.0), (EPOCH + 40, 40.0), (EPOCH - 120, 0.0)]
)
def test_a_reset_is_an_instant_or_seconds_from_now(reset: int, seconds: float) -> None:
    assert reading(30, 7, reset) == Reading("minute", 7, seconds)


@pytest.mark.parametrize(
    ("limits", "reset", "expected"),
    [
        (Limits(30, None), EPOCH + 40, Reading("minute", 7, 40.0)),
        (Limits(30, None), None, None),
        (Limits(None, 500), None, None),
    ],
)
def test_a_limit_that_is_not_told_is_not_taken_for_one_that_the_plan_lacks(
    limits: Limits, reset: int | None, expected: Reading | None
) -> None:
    assert reading(None, 7, reset, limits) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Rate-Limit-Limit": "500", "X-Rate-Limit-Remaining": "7", "X-Rate-Limit-Reset": "40"},
        {"RateLimit-Limit": "500", "RateLimit-Remaining": "7", "RateLimit-Reset": "40"},
        {"Rate-Limit-Limit": "500", "Rate-Limit-Remaining": "7", "Rate-Limit-Reset": "40"},
        {"RateLimit": "limit=500, remaining=7, reset=40"},
        {"RateLimit": "limit=500;remaining=7;reset=40", "RateLimit-Policy": "500;w=86400"},
        {"RateLimit-Limit": "500", "RateLimit": '"default";r=7;t=40'},
    ],
)
def test_the_names_of_other_apis_say_the_same(headers: dict[str, str]) -> None:
    assert read_rate_limit(lowered(headers), FREE, START) == Reading("day", 7, 40.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Remaining-Day": "7", "X-RateLimit-Reset-Day": "40"},
        {"RateLimit": '"minute";r=7;t=40, "day";r=300;t=4000'},
        {"RateLimit": "banana"},
        {"RateLimit-Policy": '"default";q=500;w=60'},
    ],
)
def test_what_says_it_of_several_windows_or_of_none_is_not_believed(
    headers: dict[str, str],
) -> None:
    assert read_rate_limit(lowered(headers), FREE, START) is None


def test_the_documented_name_wins() -> None:
    headers = {"RateLimit-Remaining": "3", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "40"}
    assert read_rate_limit(lowered(headers), FREE, START) == Reading("minute", 7, 40.0)


def test_less_than_nothing_remaining_is_nothing() -> None:
    assert reading(30, -4, EPOCH + 40) == Reading("minute", 0, 40.0)


def test_the_servers_own_clock_measures_its_reset() -> None:
    headers = {
        "x-ratelimit-remaining": "7",
        "x-ratelimit-reset": str(EPOCH + 7_200 + 40),
        "date": format_datetime(START + timedelta(hours=2)),
    }
    assert read_rate_limit(headers, FREE, START) == Reading("minute", 7, 40.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        (" 17 ", 17.0),
        ("1.5", 2.0),
        ("86400", 86_400.0),
        ("999999999", 86_400.0),
        ("-5", 0.0),
        ("-0.5", 0.0),
        ("1" * 15, None),
        ("1" * 16, None),
        ("1.5x", None),
        ("2".rjust(24), 2.0),
        ("2".rjust(25), None),
        ("Mon, 02 Mar 2026 09:01:30 -0000", 90.0),
        ("Mon, 02 Mar 2026 10:01:30 +0100", 90.0),
        (format_datetime(START + timedelta(seconds=90)), 90.0),
        (format_datetime(START - timedelta(seconds=90)), 0.0),
        ("banana", None),
        ("", None),
        ("٣", None),
        # An epoch instant is no number of seconds, whatever its unit.
        (str(EPOCH + 3), 3.0),
        (str(EPOCH), 0.0),
        (str(EPOCH - 90), 0.0),
        (str(EPOCH - 900_000), 0.0),
        (f"{EPOCH + 3}.25", 4.0),
        (str((EPOCH + 3) * 1_000), 3.0),
        (str((EPOCH + 3) * 1_000 + 500), 3.5),
        (str(EPOCH + 7_200), 7_200.0),
        (str(EPOCH + 20 * 86_400), 86_400.0),
        (str(EPOCH + 400 * 86_400), None),
        ("9" * 15, None),
        ("9" * 16, None),
        ("1499999999", 86_400.0),
        ("1e3", None),
        ("3 s", None),
        ("-1.5", 0.0),
        ("0.2", 1.0),
        (format_datetime(START - timedelta(days=9_000)), 0.0),
        (format_datetime(START + timedelta(days=20)), 86_400.0),
        (format_datetime(START + timedelta(days=400)), None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        # No RFC says so, and servers do: an instant of RFC 3339, and a header that a proxy repeated.
        ((START + timedelta(seconds=90)).isoformat(), 90.0),
        ("2026-03-02T09:01:30Z", 90.0),
        ("2026-03-02T09:01:30", 90.0),
        ("2026-03-02T99:01:30Z", None),
        ("17, 17", 17.0),
        ("17, 18", None),
        (",", None),
    ],
)
def test_retry_after_in_every_form(text: str, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": text}, START) == seconds


@pytest.mark.parametrize("hours", [-50, 2, 24 * 20_000])
def test_an_epoch_instant_is_measured_by_the_servers_clock(hours: int) -> None:
    """Ours may be wrong."""
    here = START - timedelta(hours=hours)
    headers = {"retry-after": str(EPOCH + 3), "date": format_datetime(START)}
    assert read_retry_after(headers, here) == 3.0


@pytest.mark.parametrize(
    ("status", "headers", "limited"),
    [
        (429, {}, True),
        (420, {}, True),
        (403, {}, False),
        (403, {"retry-after": "60"}, True),
        (403, {"retry-after": "soon"}, True),
        (403, {"x-ratelimit-remaining": "0"}, True),
        (403, lowered({"RateLimit-Remaining": "0"}), True),
        (403, lowered({"RateLimit": '"default";r=0;t=40'}), True),
        (403, {"x-ratelimit-remaining": "41"}, False),
        (403, {"x-ratelimit-remaining": "none"}, False),
        (401, {"retry-after": "60", "x-ratelimit-remaining": "0"}, False),
        (503, {"retry-after": "60"}, False),
        (200, {"x-ratelimit-remaining": "0"}, False),
    ],
)
def test_what_is_a_rate_limit(status: int, headers: dict[str, str], limited: bool) -> None:
    assert is_rate_limit(status, headers) is limited


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "Retry-After",
                "X-RateLimit-Limit",
                "X-RateLimit-Remaining",
                "X-RateLimit-Reset",
                "RateLimit-Remaining",
                "X-Rate-Limit-Reset",
                "RateLimit",
                "Date",
            ]
        ),
        st.one_of(st.text(), st.integers().map(str), st.floats().map(str)),
    )
)
@example({"Retry-After": "-7", "X-RateLimit-Remaining": "-7", "X-RateLimit-Limit": "30"})
@example({"Retry-After": "1e9", "X-RateLimit-Remaining": "7", "Date": "Mon, 99 Foo 2026"})
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    wait = read_retry_after(lowered(headers), START)
    assert wait is None or 0 <= wait <= 86_400
    found = read_rate_limit(lowered(headers), FREE, START)
    assert found is None or found.remaining >= 0


def test_a_refusal_for_longer_than_two_minutes_is_the_end_of_the_budget() -> None:
    ended = as_exhausted(RateLimitedError("full", retry_after=120.5), START)
    assert ended is not None
    assert (str(ended), ended.resets_at) == ("full", START + timedelta(seconds=120.5))


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("full", retry_after=120.0),
        RateLimitedError("full"),
        OaSyncError("another"),
        None,
    ],
)
def test_a_shorter_refusal_and_another_error_are_not_the_end_of_the_budget(
    error: OaSyncError | None,
) -> None:
    assert as_exhausted(error, START) is None


def test_the_end_of_the_budget_stays_itself() -> None:
    ended = BudgetExhausted("spent", START)
    assert as_exhausted(ended, START + timedelta(hours=1)) is ended
