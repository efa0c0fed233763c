"""The one door to a deletion: what proves that a row has left the API, and when a proof is not believed.

A row is marked as deleted only if something says so that is not the answer in doubt:

- *A complete list* (`oa_sync.extract.lists.evidence`) that does not show the row. It is one answer, or one
  chain of answers, so it counts for a few rows at a time. All rows at once, or more than a fifth of a list of
  more than 20 (`oa_sync.extract.lists.mass`), are likelier a fault: a filter, a key with fewer rights, a
  server that restores itself. Then the list is *in doubt*, and see below.
  A list that was cut ends with a full page. So where rows are absent from a list that does, and they have details,
  it is in doubt as well, and the details of three absent rows decide.
- *A 404 of the detail* of a row that no list showed in this sync. List and detail agree then. It does not
  count where details of rows that the list does show answered 404 as well and none answered 200: that route
  is broken. A 404 of a row that the list shows in the same sync is a contradiction, so it is a failure. But a row
  may be deleted between the two requests. So where up to `MOST_LOOKED_AT` rows of a list answer so, and another
  one's detail answers, the list is asked once more around each of them (`oa_sync.extract.lists.second_look`): if the
  row has left its place there, list and detail agree.
- *A 404 of an agent run* that no list tells of, first and last seen at least `RUN_GONE_AFTER` apart. Until
  then the run is asked for again, each time later.

A list in doubt is looked into with at most four requests: the details of three absent rows, and of one row
that the list does show, if none was asked for anyway. An answer for an absent row disproves the list: it has
failed. 404 for all of them, beside an answer for the other one, confirm it. Otherwise the rows are *kept*:
the sync ends with exit code 1, names them, and remembers them. What was kept goes

- with `--allow-mass-delete`, if it is still absent: just these rows, because that flag is left in somebody's
  cron line, where it must not let through the next fault;
- or if a complete list does not show them `CONFIRMED_AFTER` later or more, and that list is not empty and has
  as many rows as its total says. A fault of a night is over by then. An empty list never confirms itself.

A parent that was missed hides the rows of its list. So rows of a list that is asked for by parent go only when
every absent parent is gone. Where parents went in this sync, as many rows go with them as their lists showed
when they were read last, which is remembered. What is absent beside these is judged as in any other list. A row may
stand below several parents, or move: so by as many rows as the lists of parents that stayed became shorter, fewer
rows count as gone with those that went.

A parent that its list shows, and whose own list answers 404, is a contradiction, unless that list is known to have
been empty, or the parent is new. No row of the resource, nor of those below it, is taken for deleted then, and the
sync fails, unless it was so `CONFIRMED_AFTER` before and ever since: some servers answer 404 for an empty list.

What this assumes: a server does not for a day show the same part of a list, with a total of that part; and it
does not answer 404 for living rows that its list leaves out while it answers for others.

What this does not see: children of a detail that became fewer (they are the detail's own content), and rows
of `write_disposition: append`, which never go.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from oa_sync.client import ApiClient
from oa_sync.client.wording import named
from oa_sync.clock import Clock, instant_of
from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    IncompleteListError,
    MassDeletionError,
    NotFoundError,
)
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.intervals import next_look
from oa_sync.extract.lists.absent import may_be_asked, to_confirm, unseen
from oa_sync.extract.lists.changes import Change
from oa_sync.extract.lists.mass import is_mass
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.extract.lists.second_look import has_left
from oa_sync.extract.tally import Tally, Warned
from oa_sync.journal.items import Item, Kind

CONFIRMED_AFTER = timedelta(hours=20)
"""Less than a day, so that the next night counts even if it begins a little earlier."""

RUN_GONE_AFTER = timedelta(days=3)

MOST_LOOKED_AT = 3
"""Rows of one list in one sync, of which the list is asked again. More of them are a fault of the detail route."""

_KEPT, _RUNS = "kept", "missing_runs"
_OF_PARENT, _LISTS_MISSING = "rows_of_parent", "missing_lists_of_parent"


class Facts(Protocol):
    """Where facts are kept (see `oa_sync.workspace.connection.Connection`). They may get lost: then rows are
    kept for longer."""

    def fact(self, kind: str, resource: Resource) -> Any:
        """The fact of this kind for `resource` with this destination, a JSON value; None: there is none."""

    def set_fact(self, kind: str, resource: Resource, value: Any) -> None:
        """Keep `value`; None forgets."""


class Verdict(StrEnum):
    """What a 404 of a detail means."""

    GONE = "gone"
    """The row has left the API."""
    HELD = "held"
    """It is decided when all details are fetched, or by a later sync."""
    UNKNOWN = "unknown"
    """The row was never loaded, and no list shows it: nothing is there to mark."""
    UNDECIDED = "undecided"
    """Its list was read in part: a later sync decides."""
    FAILED = "failed"
    """The list shows the row: one of both is wrong."""


class Deletions:
    """All deletions of one sync. `allow`: let through what an earlier sync kept and named."""

    def __init__(
        self,
        client: ApiClient,
        clock: Clock,
        facts: Facts,
        tallies: Mapping[str, Tally],
        *,
        allow: bool = False,
    ) -> None:
        self._client, self._clock, self._facts = client, clock, facts
        self._tallies, self._allow = tallies, allow
        self._scans: dict[str, Scan] = {}
        self._answers: set[str] = set()
        """Resources whose details answer for rows that their list shows."""
        self._refuses: defaultdict[str, set[str]] = defaultdict(set)
        """The rows of each resource whose detail answered 404 though the list shows them."""
        self._alive: defaultdict[str, set[str]] = defaultdict(set)
        self._not_found: defaultdict[str, set[str]] = defaultdict(set)
        self._gone: defaultdict[str, set[str]] = defaultdict(set)
        self._believed: set[str] = set()
        """Lists that were in doubt and are confirmed."""
        self._contradicted: set[str] = set()
        """Resources of which the list of a listed parent answers 404."""
        self._settled: set[str] = set()
        """Lists of which no absent row is left undecided."""

    # -- what the lists say ---------------------------------------------------------------------

    def listed(self, scan: Scan) -> list[Item]:
        """Take in a list that was read, and return the rows that it proves gone on its own."""
        self._scans[scan.resource.name] = scan
        self._look_at_missing_lists(scan)
        self._forget_missing(scan.resource, scan.seen)
        if scan.is_in_doubt or self._is_contradicted(scan):
            return []
        return self._marks(scan, scan.gone())

    def _marks(self, scan: Scan, keys: Iterable[str]) -> list[Item]:
        """The marks for rows of `scan` that are gone, each once."""
        name, now = scan.resource.name, self._clock.now()
        new = [key for key in keys if key not in self._gone[name]]
        self._gone[name].update(new)
        self._tallies[name].deleted += len(new)
        return [Item(Kind.GONE, name, key, now, replaces=True) for key in new]

    # -- what the details say -------------------------------------------------------------------

    def answered(self, task: DetailTask) -> None:
        """The detail of `task` is there."""
        name, key = task.row
        scan = self._scans.get(name)
        if scan is None:
            return
        if key in scan.seen:
            self._answers.add(name)
            return
        self._alive[name].add(key)
        self._forget_missing(task.resource, {key})

    def not_found(self, task: DetailTask) -> tuple[Verdict, list[Item]]:
        """The detail of `task` answers 404: what that means, and what is to be written at once."""
        name, key = task.row
        scan, known, tally = self._scans.get(name), task.pending.known, self._tallies[name]
        if scan is None or key in scan.seen:
            self._refuses[name].add(key)
            return Verdict.FAILED, []
        if known is None or known.deleted:
            if task.pending.change is Change.NEW:
                tally.new -= 1
            return Verdict.UNKNOWN, []
        if task.resource.status is not None and not scan.finished:
            if not self._is_run_gone(task.resource, key):
                return Verdict.HELD, []
            return Verdict.GONE, self._marks(scan, [key])
        if not scan.finished:
            return Verdict.UNDECIDED, []
        self._not_found[name].add(key)
        if name in self._answers and not self._is_in_doubt(scan):
            return Verdict.GONE, self._marks(scan, [key])
        return Verdict.HELD, []

    async def left_meanwhile(self, task: DetailTask) -> list[Item] | None:
        """What is to be written of a row whose detail answered 404 though the list showed it, if it has left the
        list since; None: it has not, or that is not clear. Call it when all details were asked for."""
        name, key = task.row
        scan = self._scans.get(name)
        if scan is None or task.resource.status is not None or name not in self._answers:
            return None
        if len(self._refuses[name]) > MOST_LOOKED_AT:
            return None
        try:
            if not await has_left(task.resource, scan.pages_shown, key):
                return None
        except (ApiError, BudgetExhausted):
            return None
        if not scan.is_loaded(key):
            self._tallies[name].new -= 1
            return []
        return self._marks(scan, [key])

    def _is_in_doubt(self, scan: Scan) -> bool:
        return scan.is_in_doubt and scan.resource.name not in self._believed

    # -- the decision ---------------------------------------------------------------------------

    async def decide(self, scan: Scan, *, cut: bool) -> list[Item]:
        """Decide about the absent rows of `scan` when details are fetched; parents come before children.
        `cut`: the budget ended before all was asked for. What stays undecided is told."""
        marks = await self._decide(scan, cut)
        name, tally = scan.resource.name, self._tallies[scan.resource.name]
        decided = self._gone[name] | self._alive[name]
        undecided = [key for key in scan.absent() if key not in decided]
        if undecided and _looks_for_absent(scan) and not tally.errors and not cut:
            tally.warnings.append(Warned("undecided", _undecided(undecided)))
        return marks

    async def _decide(self, scan: Scan, cut: bool) -> list[Item]:
        name, parent = scan.resource.name, scan.resource.parent
        if not _looks_for_absent(scan):
            return []
        if parent is not None:
            if parent not in self._settled:
                return []
            scan.parents_proven = True
            self._judge_by_parents(scan, self._scans[parent])
        if self._is_contradicted(scan):
            return []
        absent = scan.absent()
        if self._is_in_doubt(scan):
            gone = await self._decide_in_doubt(scan, absent, cut)
        else:
            if not scan.is_mass_absent:
                self._facts.set_fact(_KEPT, scan.resource, None)
            gone = self._proven(scan, absent)
        marks = self._marks(scan, gone)
        if self._gone[name].issuperset(absent):
            self._settled.add(name)
        return marks

    def marked(self, scan: Scan) -> None:
        """The marks for `scan` are on disk: rows that parents took along are no reason for further ones."""
        name, parent = scan.resource.name, scan.resource.parent
        if parent is not None and name in self._settled:
            living, rows = self._living_parents(self._scans[parent]), self._rows_of_parent(scan)
            left = {key: count for key, count in rows.items() if key in living}
            self._facts.set_fact(_OF_PARENT, scan.resource, left or None)

    def left_out(self, scan: Scan) -> list[str]:
        """The loaded rows that a list left out, and that answer when they are asked for. None where the list is in
        doubt: then it has failed."""
        if not scan.finished or self._is_in_doubt(scan):
            return []
        return [key for key in scan.absent() if key in self._alive[scan.resource.name]]

    def to_ask(self, scan: Scan) -> dict[str, Pending]:
        """The absent rows of a list that was in doubt, is confirmed, and proves nothing on its own."""
        name = scan.resource.name
        if name not in self._believed:
            return {}
        decided = self._not_found[name] | self._alive[name]
        return {key: row for key, row in to_confirm(scan).items() if key not in decided}

    def _proven(self, scan: Scan, absent: list[str]) -> list[str]:
        name = scan.resource.name
        if scan.is_complete:
            return [key for key in absent if key not in self._alive[name]]
        if self._refuses[name] and name not in self._answers:
            return []
        return [key for key in absent if key in self._not_found[name]]

    def _judge_by_parents(self, scan: Scan, parents: Scan) -> None:
        """Take `scan` out of doubt if the parents that went explain enough of what is absent: as many rows as
        their lists showed when they were read last, but none that the lists of others lost."""
        loaded = _loaded_or_seen(parents)
        living, rows = self._living_parents(parents), self._rows_of_parent(scan)
        went = sum(count for key, count in rows.items() if key not in living)
        # Rows that went from lists of other parents went with none. Some of them may still be seen elsewhere.
        lost = sum(
            max(0, rows.get(_digest(key), 0) - count)
            for key, count in scan.of_parent.items()
            if _digest(key) in living
        )
        absent = len(scan.absent())
        explained = min(went, absent - lost)
        if explained > 0 and not is_mass(absent - explained, scan.living - explained):
            self._believed.add(scan.resource.name)
        if not self._is_in_doubt(scan):
            # The number of a parent that goes now stays until the marks of its rows are on disk.
            read = {k: n for k, n in scan.of_parent.items() if k not in scan.lists_missing}
            now = {key: read.get(key, rows.get(_digest(key))) for key in loaded}
            fact = {_digest(key): count for key, count in now.items() if count is not None}
            self._facts.set_fact(_OF_PARENT, scan.resource, fact or None)

    def _living_parents(self, parents: Scan) -> set[str]:
        """The digests of the parents that are there, by what is known now."""
        return {
            _digest(key) for key in _loaded_or_seen(parents) - self._gone[parents.resource.name]
        }

    def _rows_of_parent(self, scan: Scan) -> dict[str, int]:
        """How many rows the list of each parent showed when it was read last, by the parent's digest. Without an
        entry it is not known."""
        fact = self._facts.fact(_OF_PARENT, scan.resource)
        counts = fact.items() if isinstance(fact, dict) else ()
        return {key: count for key, count in counts if type(count) is int}

    def _look_at_missing_lists(self, scan: Scan) -> None:
        """Fail `scan` if lists of parents that are listed answer 404 for the first time, and may have had rows: all
        but those that were empty before, and those of parents that were never loaded."""
        resource, parents = scan.resource, self._scans.get(scan.resource.parent or "")
        if parents is None or resource.write_disposition == "append":
            return
        rows = self._rows_of_parent(scan)
        # Rows are loaded while lists are read, so this sync may end before it decides, and keep no number of them.
        rows |= {d: n for k, n in scan.of_parent.items() if n and not rows.get(d := _digest(k))}
        self._facts.set_fact(_OF_PARENT, resource, rows or None)
        first = self._first_missing(
            scan, [k for k in scan.lists_missing if rows.get(_digest(k)) != 0]
        )
        fresh = [
            key
            for key, at in first.items()
            if key in parents.known and self._clock.now() - at < CONFIRMED_AFTER
        ]
        if resource.parent in self._contradicted:
            self._contradicted.add(resource.name)
        elif fresh and scan.finished and scan.absent():
            self._contradicted.add(resource.name)
            self._tallies[resource.name].errors.append(IncompleteListError(_missing(scan, fresh)))

    def _first_missing(self, scan: Scan, missing: list[str]) -> dict[str, datetime]:
        """Since when the list of each parent in `missing` answers 404, without another answer in between."""
        before, now = _times(self._facts.fact(_LISTS_MISSING, scan.resource)), self._clock.now()
        first = {key: before.get(_digest(key), now) for key in missing}
        answered = {_digest(key) for key in scan.of_parent.keys() - scan.lists_missing}
        unasked = {} if scan.finished else before
        times = {key: at for key, at in unasked.items() if key not in answered}
        times |= {_digest(key): at for key, at in first.items()}
        fact = {key: at.isoformat() for key, at in times.items()}
        self._facts.set_fact(_LISTS_MISSING, scan.resource, fact or None)
        return first

    def _is_contradicted(self, scan: Scan) -> bool:
        return scan.resource.name in self._contradicted

    async def _decide_in_doubt(self, scan: Scan, absent: list[str], cut: bool) -> list[str]:
        name, tally = scan.resource.name, self._tallies[scan.resource.name]
        if alive := [key for key in absent if key in self._alive[name]]:
            tally.errors.append(IncompleteListError(_disproved(scan, absent, alive[0])))
            return []
        is_mass = scan.is_mass_absent
        if self._not_found[name] and (not is_mass or await self._shows_rows_that_answer(scan)):
            self._believed.add(name)
            self._facts.set_fact(_KEPT, scan.resource, None)
            if is_mass:
                how = "details of some answer 404, and one of a row in the list answers"
                tally.warnings.append(_unusual(len(absent), scan.living, how))
            return self._proven(scan, absent)
        if cut and may_be_asked(scan.resource) and not self._not_found[name]:
            text = (
                f"{len(absent):,} rows are not in the list; looked into when the budget allows it"
            )
            tally.warnings.append(Warned("deletions", text))
            return []
        return self._kept_before(scan, absent)

    async def _shows_rows_that_answer(self, scan: Scan) -> bool:
        """Whether the detail of a row that the list shows answers, so that a 404 means something."""
        name = scan.resource.name
        shown = next((key for key in scan.seen if scan.is_loaded(key)), None)
        if name in self._answers or self._refuses[name] or shown is None:
            return name in self._answers
        task = DetailTask(scan.resource, unseen(scan, shown), ())
        try:
            await self._client.request("GET", task.path())
        except (ApiError, BudgetExhausted):
            return False
        self._answers.add(name)
        return True

    def _kept_before(self, scan: Scan, absent: list[str]) -> list[str]:
        """Those of the `absent` rows of a list in doubt that may go; the others are kept and named."""
        now, resource = self._clock.now(), scan.resource
        before = _times(self._facts.fact(_KEPT, resource))
        kept = {key: before.get(_digest(key)) for key in absent}
        gone = [
            key
            for key, at in kept.items()
            if at is not None and (self._allow or (_confirms(scan) and now - at >= CONFIRMED_AFTER))
        ]
        rest = [key for key in absent if key not in set(gone)]
        tally = self._tallies[resource.name]
        if gone:
            how = "--allow-mass-delete" if self._allow else "the list said so before"
            tally.warnings.append(_unusual(len(gone), scan.living, how))
        is_all_that_is_left = 0 < len(rest) == scan.living - len(gone)
        if not (is_mass(len(rest), scan.living) or is_all_that_is_left):
            self._facts.set_fact(_KEPT, resource, None)
            return [*gone, *self._proven(scan, rest)]
        times = {_digest(key): (kept[key] or now).isoformat() for key in rest}
        self._facts.set_fact(_KEPT, resource, times)
        tally.errors.append(MassDeletionError(_kept(scan, rest)))
        return gone

    # -- agent runs -----------------------------------------------------------------------------

    def leave_for_later(self, scan: Scan) -> None:
        """Take runs out of `scan` that answered 404 before, and are not to be asked for again yet."""
        for key, (first, last) in self._missing_runs(scan.resource).items():
            entry = scan.pending.get(key)
            if entry is None or key in scan.seen or entry.change is not Change.UNCHANGED:
                continue
            if self._clock.now() < next_look(first, last):
                del scan.pending[key]

    def _is_run_gone(self, resource: Resource, key: str) -> bool:
        """Take in that a run answers 404; whether it does so for long enough."""
        now, missing = self._clock.now(), self._missing_runs(resource)
        first, _ = missing.get(key, (now, now))
        if now - first >= RUN_GONE_AFTER:
            self._forget_missing(resource, {key})
            return True
        self._set_missing_runs(resource, {**missing, key: (first, now)})
        counts = (first + RUN_GONE_AFTER).date()
        text = (
            f"run {key} answers 404; it is asked for again, and counts as deleted from {counts} on"
        )
        self._tallies[resource.name].warnings.append(Warned("run_missing", text))
        return False

    def _forget_missing(self, resource: Resource, keys: set[str]) -> None:
        """The runs `keys` are there."""
        if resource.status is None:
            return
        missing = self._missing_runs(resource)
        left = {key: times for key, times in missing.items() if key not in keys}
        if left != missing:
            self._set_missing_runs(resource, left)

    def _missing_runs(self, resource: Resource) -> dict[str, tuple[datetime, datetime]]:
        """The first and the newest 404 of each run."""
        fact = self._facts.fact(_RUNS, resource)
        runs = fact.items() if isinstance(fact, dict) else ()
        times = {key: tuple(map(instant_of, value)) for key, value in runs}
        return {key: (one[0], one[1]) for key, one in times.items() if one[0] and one[1]}

    def _set_missing_runs(
        self, resource: Resource, missing: Mapping[str, tuple[datetime, datetime]]
    ) -> None:
        fact = {
            key: [first.isoformat(), last.isoformat()] for key, (first, last) in missing.items()
        }
        self._facts.set_fact(_RUNS, resource, fact or None)


def shown_but_missing(task: DetailTask, error: NotFoundError) -> NotFoundError:
    """The failure of a detail that answers 404 though the list shows its row."""
    return NotFoundError(
        f"{error}, though the list shows {named([task.pending.listed.key], 1)}; the row is kept as the list has it, and the"
        " next sync asks again",
        status=error.status,
        api_code=error.api_code,
        request_id=error.request_id,
    )


def _missing(scan: Scan, parents: list[str]) -> str:
    return (
        f"{scan.resource.name}: the lists of {len(parents):,} rows of {scan.resource.parent} answer 404"
        f" ({_some(parents)}), though these are listed and had rows before. No row is taken for deleted. Run again; if"
        " they say the same in a day, they count as empty"
    )


def _looks_for_absent(scan: Scan) -> bool:
    """Whether a row that `scan` did not show may have left the API."""
    return scan.finished and not scan.rest_known and scan.resource.write_disposition != "append"


def _confirms(scan: Scan) -> bool:
    """Whether `scan` may confirm an earlier one."""
    return scan.is_complete and bool(scan.seen) and scan.fits_total


def _loaded_or_seen(scan: Scan) -> set[str]:
    return {key for key in scan.known if scan.is_loaded(key)} | scan.seen


def _digest(key: str) -> str:
    """What is remembered of a kept key: ids are not to be found in the files of home."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _times(fact: Any) -> dict[str, datetime]:
    """When each kept row was first kept, by its digest."""
    kept = fact.items() if isinstance(fact, dict) else ()
    times = {key: instant_of(value) for key, value in kept if isinstance(value, str)}
    return {key: at for key, at in times.items() if at is not None}


def _some(keys: list[str]) -> str:
    return named(keys, 3)


def _disproved(scan: Scan, absent: list[str], alive: str) -> str:
    return (
        f"{scan.resource.name}: the list is not whole: it leaves out {len(absent):,} of {scan.living:,} loaded"
        f" rows, and one of them, {alive}, answers when it is asked for. No row is taken for deleted. Run again;"
        " if it stays so, tell the vendor"
    )


def _kept(scan: Scan, rest: list[str]) -> str:
    named = f"({_some(rest)})"
    if not scan.seen:
        what = (
            f"the list is empty, and {_rows(len(rest))} of it {_are(rest)} loaded {named}. An empty list may be a"
            f" fault, so {_they(rest)} {_are(rest)} kept"
        )
    elif len(rest) == scan.living:
        what = f"none of the loaded rows is in the list any more {named}; {_they(rest)} {_are(rest)} kept"
    else:
        what = (
            f"{len(rest):,} of {scan.living:,} loaded rows are not in the list any more {named}, too many at once"
            " to be believed; they are kept"
        )
    text = (
        f"{scan.resource.name}: {what}. If {_they(rest)} {_are(rest)} gone at the source, run"
        f" `oa-sync sync --allow-mass-delete` once, which lets just {'this one' if len(rest) == 1 else 'these'} go"
    )
    if _confirms(scan):
        return f"{text}; a list that says the same in a day is believed as well"
    return text


def _undecided(rows: list[str]) -> str:
    return (
        f"{_rows(len(rows))} {_are(rows)} not in the list any more ({_some(rows)}), and nothing proves"
        f" {'it' if len(rows) == 1 else 'them'} gone, so {_they(rows)} {'stays' if len(rows) == 1 else 'stay'}. The first"
        " sync in which the list does not change settles it"
    )


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _are(rows: list[str]) -> str:
    return "is" if len(rows) == 1 else "are"


def _they(rows: list[str]) -> str:
    return "it" if len(rows) == 1 else "they"


def _unusual(gone: int, living: int, how: str) -> Warned:
    return Warned("deletions", f"{gone:,} of {living:,} rows are marked as deleted at once ({how})")
