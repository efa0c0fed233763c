"""How fine a version tells the time.

A version in whole seconds is waited for (`oa_sync.extract.details.tasks.second_ends`). Nobody can wait for the end
of a day, so for what is coarser the content of the list row is asked as well
(`oa_sync.extract.lists.changes.may_hide_a_change`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_COARSE = re.compile(
    r"""(?P<day>\d{4}-\d\d-\d\d)
        (?: [T ] (?: (?P<minute>\d\d:\d\d) | (?P<midnight>00:00:00(?:\.0+)?) )
            (?P<zone> Z | [+-]\d\d:?\d\d )? )?""",
    re.VERBOSE,
)

ANY_ZONE = timedelta(hours=12)
"""A day without a time zone ends at most so much later than in UTC."""


def period_end(version: str) -> datetime | None:
    """When the day or the minute that `version` names is over wherever the server is; None for a version that is
    finer, or no time.

    Midnight counts as a day: so servers spell a day that is stored as an instant.
    """
    found = _COARSE.fullmatch(version)
    if found is None:
        return None
    minute = found["minute"] if found["minute"] != "00:00" else None
    length = timedelta(minutes=1) if minute else timedelta(days=1)
    try:
        start = datetime.fromisoformat(f"{found['day']}T{minute or '00:00'}{found['zone'] or ''}")
    except ValueError:
        return None
    if start.tzinfo is None:
        return start.replace(tzinfo=UTC) + ANY_ZONE + length
    return start + length
