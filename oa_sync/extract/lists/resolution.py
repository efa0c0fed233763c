"""How fine a version tells the time.

A version in whole seconds is waited for (`oa_sync.extract.details.tasks.second_ends`). Nobody can wait for the end
of a day, so for what is coarser the content of the list row is asked as well
(`oa_sync.extract.lists.changes.may_hide_a_change`). And a version that names a period proves that a row was there
only from the end of that period on (`latest_writing`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from oa_sync.clock import instant_of

_COARSE = re.compile(
    r"""(?P<day>\d{4}-\d\d-\d\d)
        (?: [T ] (?: (?P<minute>\d\d:\d\d) | (?P<midnight>00:00:00(?:\.0+)?) )
            (?P<zone> Z | [+-]\d\d:?\d\d )? )?""",
    re.VERBOSE,
)

ANY_ZONE = timedelta(hours=12)
"""A day without a time zone ends at most so much later than in UTC."""

_QUARTER = 15
"""Minutes. Every time zone is so many of them, or a multiple, away from UTC, so every day begins at such a time."""

_ZONES_APART = timedelta(minutes=30)
_FARTHEST_ZONE = timedelta(hours=14)


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


def latest_writing(version: str) -> datetime | None:
    """The latest instant at which a row with this version may have been written, by the clock of who wrote it; None
    for what is no time with a zone.

    A time at a quarter of an hour sharp may name an hour, or a day that began there in some zone, and was stored as
    an instant, with that zone or with a wrong one. Exact times are so one time in 900, and lose only a proof then.
    """
    instant = instant_of(version)
    if instant is None or instant.second or instant.microsecond:
        return instant
    if instant.minute % _QUARTER:
        return instant + timedelta(minutes=1)
    return instant + timedelta(days=1) + ANY_ZONE


def may_name_another_zone(version: str, since: datetime, until: datetime) -> bool:
    """Whether a row with this version, a time before `since`, was written between `since` and `until` if its server
    writes the time of another zone than it says, as local time with a `Z`.

    Such times are slow by a number of half hours. So an exact time is hit by chance as seldom as `until` is soon
    after `since`.
    """
    instant, latest = instant_of(version), latest_writing(version)
    if instant is None or latest is None:
        return False
    slow = min((until - instant) // _ZONES_APART * _ZONES_APART, _FARTHEST_ZONE)
    return slow > timedelta(0) and latest + slow >= since
