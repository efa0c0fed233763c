"""What an answer says about the quota: `X-RateLimit-*` and `Retry-After`, read with suspicion.

The API document names `X-RateLimit-Limit`, `-Remaining` and `-Reset` (epoch seconds) for one of the
two dialects and does not say which window they describe: that is inferred here. Whatever is not a
plausible number is taken as absent. Other APIs say the same as `X-Rate-Limit-*`, or as the IETF's drafts
"RateLimit header fields for HTTP" have it: `RateLimit-*`, later one `RateLimit` with `remaining=` and `reset=`, or
`r=` and `t=`.

**What is a rate limit** (`is_rate_limit`), whatever its number: 429 (RFC 6585, section 4); 420, "Enhance your calm", of
Twitter's first API and of those who took it over; and a 403 that names a time (`Retry-After`) or says that none
remain (`X-RateLimit-Remaining: 0`), as GitHub answers (its "Rate limits for the REST API"). A 403 without
either is about the key. A 503 with `Retry-After` is a busy server (RFC 9110, section 15.6.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from oa_sync.errors import BudgetExhausted, OaSyncError, RateLimitedError
from oa_sync.quota.limits import DAY_SECONDS, Limits

SHORT_WAIT = 120.0
"""Seconds. What frees within them is taken for the minute's limit, what frees later for the day's."""
_LONGEST_RESET = 2.0 * DAY_SECONDS
_LATEST_DELTA = 10_000_000
"""A `Reset` below this is seconds from now (other vendors' habit), not an instant of 1970."""
_EARLIEST_INSTANT = 1_500_000_000
"""A `Retry-After` from this on is an epoch instant, which the RFC does not know: no wait is 47 years."""
_MILLISECONDS = 1_000_000_000_000
_LATEST_INSTANT = 366 * DAY_SECONDS
"""Seconds. An instant further ahead than a year is no answer to "when"."""
_OTHER_NAME = re.compile(r"(?:x-)?rate-?limit-(limit|remaining|reset)")
_WORDS = {
    "limit": "limit",
    "remaining": "remaining",
    "r": "remaining",
    "reset": "reset",
    "t": "reset",
}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})=([0-9]+)")
_ALWAYS_LIMITED = (420, 429)
_FORBIDDEN = 403


@dataclass(frozen=True)
class Reading:
    """The server's own count in one answer: `remaining` requests in `window`, which frees in
    `reset_in` seconds (None: not said)."""

    window: Literal["minute", "day"]
    remaining: int
    reset_in: float | None


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` by lower-case name; what they say of a rate limit by other names is there as `x-ratelimit-…` too."""
    found = {name.lower(): value for name, value in headers.items()}
    for name, value in list(found.items()):
        if other := _OTHER_NAME.fullmatch(name):
            found.setdefault(f"x-ratelimit-{other[1]}", value)
    words = _WORD.findall(found.get("ratelimit", ""))
    if len({_WORDS[word] for word, _ in words}) == len(words):  # else it tells of several windows
        for word, number in words:
            found.setdefault(f"x-ratelimit-{_WORDS[word]}", number)
    return found


def read_rate_limit(headers: Mapping[str, str], limits: Limits, now: datetime) -> Reading | None:
    """The reading in `headers` (lower-case names), or None when there is none to rely on.

    A reset more than two minutes away is the day's. A nearer one is the day's too when `Limit` is
    the day's limit and not the minute's.
    """
    remaining = _number(headers.get("x-ratelimit-remaining"))
    if remaining is None:
        return None
    reset_in = _reset_in(headers, now)
    limit = _number(headers.get("x-ratelimit-limit"))
    says_day = limit is not None and limit == limits.per_day != limits.per_minute
    says_minute = limit is not None and limit == limits.per_minute != limits.per_day
    if reset_in is not None:
        day = reset_in > SHORT_WAIT or says_day
    elif says_day or says_minute:
        day = says_day
    else:
        return None
    return Reading("day" if day else "minute", max(0, remaining), reset_in)


def is_unlimited(headers: Mapping[str, str]) -> bool:
    """Whether an answer that refuses nothing says that there is no limit (`headers` by lower-case name): by a limit of
    0, or by -1. What remains of such a limit tells nothing."""
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    return remaining == -1 or (limit is not None and limit <= 0)


def is_rate_limit(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer says "too many requests" (`headers` by lower-case name)."""
    if status in _ALWAYS_LIMITED:
        return True
    if status != _FORBIDDEN:
        return False
    return "retry-after" in headers or _number(headers.get("x-ratelimit-remaining")) == 0


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by `Retry-After`, from 0 to a day; None when absent or unreadable.

    RFC 9110, section 10.2.3, knows seconds and an HTTP date. Servers also send fractions, dates of ISO 8601, and
    epoch instants in seconds or milliseconds. An instant that has passed is 0.
    """
    text = headers.get("retry-after")
    number = _number(text)
    if number is not None and number < _EARLIEST_INSTANT:
        return float(min(max(0, number), DAY_SECONDS))
    server_time = _server_time(headers, now)
    if number is not None:
        epoch = number / 1_000 if number >= _MILLISECONDS else number
        seconds = epoch - server_time.timestamp()
    elif (instant := _date(text)) is not None:
        seconds = (instant - server_time).total_seconds()
    else:
        return None
    return None if seconds > _LATEST_INSTANT else min(max(0.0, seconds), DAY_SECONDS)


def _reset_in(headers: Mapping[str, str], now: datetime) -> float | None:
    reset = _number(headers.get("x-ratelimit-reset"))
    if reset is None or reset < 0:
        return None
    seconds = (
        float(reset) if reset < _LATEST_DELTA else reset - _server_time(headers, now).timestamp()
    )
    return max(0.0, seconds) if -SHORT_WAIT <= seconds <= _LONGEST_RESET else None


def _server_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """The server's own clock by `Date`, so that a wrong clock here does not matter."""
    return _date(headers.get("date")) or now


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        iso = text[:1].isdigit()
        instant = datetime.fromisoformat(text) if iso else parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _number(text: str | None) -> int | None:
    """A whole number of at most 15 digits; a fraction is rounded up. It may be there twice, as a proxy repeats it."""
    if text is None or len(text) > 24 or not text.isascii():
        return None
    first, *others = {part.strip() for part in text.split(",")}
    if others:
        return None
    whole, _, fraction = first.partition(".")
    digits = whole.removeprefix("-")
    if not digits.isdigit() or len(digits) > 15 or (fraction and not fraction.isdigit()):
        return None
    return int(whole) + (1 if fraction.strip("0") and not whole.startswith("-") else 0)


def as_exhausted(error: OaSyncError | None, now: datetime) -> BudgetExhausted | None:
    """`error` as the end of the budget: itself, or a 429 with a longer wait than a command makes
    (`SHORT_WAIT`), which is how a server says that the day is spent. None: it means something else."""
    if isinstance(error, BudgetExhausted):
        return error
    if isinstance(error, RateLimitedError) and (error.retry_after or 0.0) > SHORT_WAIT:
        return BudgetExhausted(str(error), now + timedelta(seconds=error.retry_after or 0.0))
    return None
