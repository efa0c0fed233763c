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
    hides: bool = True
    """Whether drawn nights go on after its alarm while it stands. A rare one does not: others of its kind count."""


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
        None,
        "complete, with an old field: where the cursor field is a date, a detail that changed again on the day of its"
        " version was not asked for, though the list row showed the change",
        _WITHOUT_STORMS,
    ),
    Kept(
        5007,
        20,
        None,
        "complete, and not by the definition: a detail or a child list that was declared after rows were loaded was"
        " not fetched before they changed",
        _WITHOUT_STORMS,
    ),
    Kept(
        4000042,
        20,
        None,
        "complete, with a row of a parent that is gone: its absence was proven by its detail, after the lists, and the"
        " list of another parent, which had a new row, was not read again to prove anything",
        _WITHOUT_STORMS,
    ),
    Kept(
        6118244,
        20,
        None,
        "a detail is paid for twice: a sync that went on with a note of what was left to fetch came to its end before"
        " the lists, and the next one asked again for what was loaded since in a later version than noted",
        _WITHOUT_STORMS,
    ),
    Kept(
        51071,
        12,
        None,
        "a version of no length in another: when all rows of a history were gone, it was begun once more, and each row"
        " became a version from its deletion to its deletion",
        _WITHOUT_STORMS,
    ),
    Kept(
        20000135,
        20,
        None,
        "living rows marked as deleted: a row came in front of a list in pages of one row, so that a page came twice,"
        " which was taken for the end of the list; the rows were kept, and let go in the next night, in which it"
        " happened again",
        Kinds(lies=True),
    ),
    Kept(
        2000074,
        20,
        None,
        "a living row marked as deleted: an answer in pages of one row lost its paging, and its row was taken for all",
        Kinds(lies=True),
    ),
    Kept(
        1734947,
        20,
        None,
        "complete, with a row of a parent that is gone: of eight parents that went, six had been kept before and were"
        " allowed, and the absence of the other two stayed unproven, so the rows of all of them rightly stayed; the"
        " oracle looked at the source alone",
        Kinds(),
    ),
    Kept(
        30000039,
        20,
        None,
        "complete, with other children: a run changed again in the second in which it had ended and was read, which"
        " none does; the source did",
        Kinds(),
    ),
    Kept(
        88038,
        20,
        None,
        "over the limit of a day: a request that was on its way when the machine fell asleep was counted as sent when"
        " it woke, hours later",
        Kinds(),
    ),
    Kept(
        40000567,
        20,
        None,
        "kept out by an odd value: another list failed, whose total counts a row that it never shows",
        Kinds(lies=True),
    ),
    Kept(
        40001056,
        20,
        None,
        "kept out by an odd value: other lists and their details waited for the next day's requests",
        Kinds(lies=True),
    ),
    Kept(
        40001228,
        20,
        None,
        "a living row is deleted: the rows of a parent that had gone the night before explained why others were absent"
        " from lists that were empty by fault",
        Kinds(lies=True),
    ),
    Kept(
        40001029,
        20,
        None,
        "versions overlap: home was an older copy, and what it held was loaded once more, over what came later",
        Kinds(lies=True),
    ),
    Kept(
        50000094,
        20,
        None,
        "other children: a load was killed between children and their row, home was lost, and the list of children is"
        " empty now",
        Kinds(),
    ),
    Kept(
        30001105,
        20,
        None,
        "an old field: the simulated server dated its answers when they arrived, not when it made them",
        Kinds(),
    ),
    Kept(
        30001526,
        20,
        None,
        "a row of a parent that is gone, while its list has news and proves no absence; this is told now ('undecided')",
        Kinds(),
    ),
    Kept(
        40001627,
        20,
        None,
        "as 50000094",
        Kinds(lies=True),
    ),
    Kept(
        40001851,
        20,
        None,
        "paid for twice by the oracle alone: asked for by its key, from a list with days as versions that is read in"
        " parts",
        Kinds(lies=True),
    ),
    Kept(
        40001496,
        20,
        None,
        "kept out by the oracle alone: rows of a parent without a key",
        Kinds(lies=True),
    ),
    Kept(
        30001601,
        20,
        None,
        "as 30001526, in the night in which parents that had been kept were let go",
        Kinds(),
    ),
    Kept(7990965, 20, None, "as 30001526", Kinds()),
    Kept(
        7991049,
        20,
        None,
        "paid for twice by the oracle alone: it took the segment of the other workspace for one of this",
        Kinds(),
    ),
    Kept(
        700045,
        20,
        None,
        "an old field: an empty list, in the sync that let go what an earlier one had kept, left all other rows as they"
        " were, and complete",
        Kinds(lies=True),
    ),
    Kept(
        730070,
        20,
        None,
        "a detail for nothing by the oracle alone: the list of a parent without an id was read late",
        Kinds(lies=True),
    ),
    Kept(
        80000115,
        20,
        None,
        "a quiet night failed by the oracle alone: all rows were gone that were left beside those that had been kept",
        Kinds(lies=True),
    ),
    Kept(
        80001259,
        20,
        None,
        "paid for twice by the oracle alone: as 40001851, with an instant that is midnight",
        Kinds(lies=True),
    ),
    Kept(
        80002075,
        20,
        None,
        "a living row is deleted: a person waved through what a moving list had missed, twice; nobody would",
        Kinds(lies=True),
    ),
    Kept(
        81002553,
        20,
        "a quiet night failed",
        "details that were refused while the list showed their rows, which left since; the list is read in parts"
        " (docs/scans.md)",
        Kinds(lies=True),
        hides=False,
    ),
    Kept(
        600109,
        20,
        None,
        "paid for twice in one sync: the power was cut after a complete sync, which brought an old note back",
        Kinds(lies=True),
    ),
    Kept(
        500075,
        20,
        None,
        "kept out by the oracle alone: a row that had been given the detail of another the night before, which is"
        " refused now",
        Kinds(lies=True),
    ),
)

KNOWN = frozenset(kept.alarm for kept in KEPT if kept.alarm and kept.hides)
"""Alarms of faults that stand: nights that are drawn go on after them."""
