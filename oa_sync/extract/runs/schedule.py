"""When an agent run that no list shows is asked for.

The first time at once. If it has not ended, again when it is twice as old as at the last look: soon at
first, then less and less often, but at least once a night. No schedule has to be kept: it follows from
two times that are loaded with the row. A run that has ended never changes again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from oa_sync.definitions.model import Resource
from oa_sync.extract.intervals import next_look
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.runs.known import LoadedRun
from oa_sync.extract.statuses import is_terminal

GIVE_UP_AFTER = timedelta(days=30)
"""A run that is at least this old at a look, and has not ended, is flagged and no longer asked for."""


class State(StrEnum):
    """What is to be done about a loaded run."""

    GONE = "gone"
    """The API no longer has it."""

    WAITING = "waiting"
    """Its detail, or the newest version of it, is not loaded."""

    FOLLOWED = "followed"
    """It has not ended, and will be asked for again."""

    STALLED = "stalled"
    """It has not ended for so long that it is no longer asked for."""

    ENDED = "ended"
    """Its status is terminal, and all of it is loaded."""


def state_of(resource: Resource, run: LoadedRun, known: Known) -> State:
    """What is to be done about a run, judged by what is loaded of it."""
    if known.deleted:
        return State.GONE
    ended = is_terminal(resource, run.status)
    if known.detail_version is None or (ended and known.detail_version != known.version):
        return State.WAITING
    if ended:
        return State.ENDED
    if run.stalled or run.observed_at - run.first_seen.at >= GIVE_UP_AFTER:
        return State.STALLED
    return State.WAITING if known.detail_version != known.version else State.FOLLOWED


def ask_again_at(run: LoadedRun) -> datetime:
    """When a run that has not ended is due."""
    return next_look(run.first_seen.at, run.observed_at)
