"""Seeds that found something. They are played always, and never taken out.

Those that were kept before worlds became wide are played as they were (`Kinds.wide`).

`alarm` is what the seed must raise for as long as the fault stands; the change that mends it turns it to None,
and writes what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.nights import Kinds

_WITHOUT_STORMS = Kinds(storms=False)
"""Nights as they were drawn before lists could move faster than they are read."""


@dataclass(frozen=True)
class Kept:
    """A seed, how many nights of it to play, and what it raises (None: nothing, any more)."""

    seed: int
    nights: int
    alarm: str | None
    why: str
    kinds: Kinds = field(default_factory=lambda: Kinds(wide=False))


KEPT: tuple[Kept, ...] = (
    Kept(
        1035,
        20,
        None,
        "a history that missed a version: the only row of a segment was left out when its history was refused"
        " once, after its own table was loaded",
    ),
    Kept(
        2023,
        20,
        None,
        "a history that missed a version: a load was killed between a table and its history, and the home"
        " folder was lost before it was repeated; now the history is loaded first",
    ),
    Kept(
        8000000,
        20,
        None,
        "every later sync failed: a sync was killed after a column was widened in a table and before it was in"
        " its history; now the history is widened first",
    ),
    Kept(
        31000016,
        18,
        None,
        "complete, with other children: the simulated source changed a row twice in one microsecond, before and"
        " after its detail was read, so that the version told nothing",
    ),
    Kept(
        3386562,
        20,
        None,
        "complete, with a row that is gone: the rows that were new to a sync came while the one before read its"
        " lists, and the oracle looked at the edits before the sync alone",
    ),
    Kept(
        8457334,
        20,
        None,
        "a detail for nothing: a power cut brought back the note of what was left to fetch, which the oracle did"
        " not allow",
    ),
    Kept(
        2070,
        20,
        None,
        "complete, with a row of a parent that is gone: its rows stayed one sync longer, where the parent's"
        " absence was proven by its detail and not by the list; now its rows are decided after the details",
    ),
    Kept(
        162,
        20,
        None,
        "a detail that changed twice in one second was not asked for again, where the cursor field is in seconds"
        " since 1970",
        _WITHOUT_STORMS,
    ),
    Kept(
        209,
        20,
        None,
        "a callback of a run whose id is a number made a second row of the run, with a text for an id",
        _WITHOUT_STORMS,
    ),
    Kept(
        220,
        20,
        "complete, with the detail of an earlier change that day",
        "where the cursor field is a date, a detail that changes again on the day of its version is not asked for,"
        " though the list row shows the change",
        _WITHOUT_STORMS,
    ),
    Kept(
        5007,
        20,
        "complete, and not by the definition",
        "a detail or a child list that is declared after rows were loaded is not fetched before they change",
        _WITHOUT_STORMS,
    ),
    Kept(
        4000042,
        20,
        "complete, with a row of a parent that is gone",
        "a parent went while its list changed under the sync: its rows stay, and the sync says complete",
        _WITHOUT_STORMS,
    ),
    Kept(
        6118244,
        20,
        "a detail is paid for twice",
        "a note of what was left to fetch asks for a detail that is loaded since, before the lists are read",
        _WITHOUT_STORMS,
    ),
    Kept(
        51071,
        12,
        "a version of no length in another",
        "an older copy of the home folder has a segment that was loaded since: its row makes a version of no length"
        " within the one that was loaded",
        _WITHOUT_STORMS,
    ),
)

KNOWN = frozenset(kept.alarm for kept in KEPT if kept.alarm)
"""Alarms of faults that stand: nights that are drawn go on after them."""
