"""When to look again at something that may change: soon at first, then less and less often."""

from __future__ import annotations

from datetime import datetime, timedelta

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(hours=20)
"""Less than a day, so that a nightly sync also asks if it begins a little earlier than the night before."""


def next_look(first: datetime, last: datetime, longest: timedelta = LONGEST) -> datetime:
    """When to look again at what was looked at first and last at these times: at twice its age, after `longest` at
    the latest."""
    return last + min(longest, max(SHORTEST, last - first))
