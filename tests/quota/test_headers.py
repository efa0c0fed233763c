from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.quota.headers import Reading, lowered, read_rate_limit, read_retry_after
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
        (1_000, 7, -5),
    ],
)
def test_what_is_not_plausible_is_not_believed(
    limit: object, remaining: object, reset: object
) -> None:
    assert reading(limit, remaining, reset) is None


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
        (format_datetime(START + timedelta(seconds=90)), 90.0),
        (format_datetime(START - timedelta(seconds=90)), 0.0),
        ("banana", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_in_every_form(text: str, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": text}, START) == seconds


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "Retry-After",
                "X-RateLimit-Limit",
                "X-RateLimit-Remaining",
                "X-RateLimit-Reset",
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
