"""What must be true after each night, whatever happened in it. Each oracle gives alarms, none gives an all-clear."""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oa_sync.errors import IncompleteListError, MassDeletionError
from oa_sync.extract.lists.mass import is_mass
from oa_sync.workspace.report import SyncReport
from tests.simulation.nights import Night
from tests.simulation.server import KEY, Asked
from tests.simulation.source import Source
from tests.simulation.worlds import TERMINAL, ListPlan, World

Row = Mapping[str, Any]
Key = tuple[Any, ...]
State = dict[str, dict[Key, dict[str, Any]]]


@dataclass(frozen=True)
class Alarm:
    """Something that must never be. `kind` is its name, the same for the same fault."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass
class Seen:
    """One night as the oracles see it. `before` and `after` are the source around the sync; `touched` holds
    (list, key) of what changed while it went on; `rows` gives the rows of a loaded table; `last_good` says whether
    the sync before was complete and everything since happened on purpose."""

    world: World
    night: Night
    before: State
    after: State
    touched: set[tuple[str, Key]]
    report: SyncReport | None
    rows: dict[str, list[dict[str, Any]]]
    asked: Sequence[Asked]
    all_asked: Sequence[Asked]
    foreign: Sequence[float]
    settled: bool
    """Every list was complete after the sync before, and no home, clock or definition changed since."""
    changed: set[tuple[str, Key]]
    """(list, key) of what changed since the last complete sync."""
    log: str
    home: Path
    outdated: set[tuple[str, Key]] = field(default_factory=set)
    """(list, key) of rows that were loaded by another definition, and have not changed since."""
    is_stale: bool = False
    """A list was as it had been two nights before, which nobody can see: it need not be equal tonight."""
    odd_rows: set[tuple[str, Key]] | None = None
    """(list, key) of rows that had an odd value, where that is all that was wrong."""
    loaded: Mapping[str, int] = field(default_factory=dict)
    """How many living rows of each list were loaded before the sync."""
    told_of: str = ""
    """The list of which a lie was told tonight."""
    was_restored: bool = False
    """Home was an older copy, tonight or before. What it holds is loaded once more, over what came later; the list
    mends the rows, and nobody the versions of a history."""


def state_of(source: Source) -> State:
    """What the API has now."""
    return source.state()


def living(plan: ListPlan, rows: Iterable[Row]) -> set[Key]:
    """The keys of loaded rows that are not known to be deleted."""
    return {_key(plan, row) for row in rows if row.get("_oa_deleted_at") is None}


def alarms(seen: Seen) -> Iterator[Alarm]:
    """All that is wrong after the night."""
    for plan in seen.world.lists:
        if plan.key == "number" and len(kinds := _kinds_of_ids(seen, plan)) > 1:
            yield Alarm("a key is a number here and text there", f"{plan.name}: {kinds}")
            return
    seen = replace(seen, rows=_with_whole_numbers(seen))
    yield from _each_key_once(seen)
    yield from _no_living_row_is_deleted(seen)
    yield from _no_marks_that_nobody_sets(seen)
    yield from _complete_means_equal(seen)
    yield from _status_fits(seen)
    yield from _within_limits(seen)
    yield from _no_request_for_nothing(seen)
    yield from _no_secret(seen)
    yield from _none_kept_out(seen)


def _kinds_of_ids(seen: Seen, plan: ListPlan) -> set[str]:
    return {type(row["id"]).__name__ for row in seen.rows.get(plan.name, ())}


def _with_whole_numbers(seen: Seen) -> dict[str, list[Row]]:
    """The rows, with the ids of lists whose keys are numbers as numbers. A callback tells of a run by a text, and
    where one comes first, the column of the ids is one of texts."""
    rows = {name: list(found) for name, found in seen.rows.items()}
    for plan in seen.world.lists:
        if plan.key == "number" and _kinds_of_ids(seen, plan) == {"str"}:
            for table in (plan.name, f"{plan.name}_parts", f"{plan.name}_history"):
                ids = ("id", f"{plan.name}_id")
                rows[table] = [
                    {name: int(value) if name in ids else value for name, value in row.items()}
                    for row in rows.get(table, ())
                ]
    return rows


def _each_key_once(seen: Seen) -> Iterator[Alarm]:
    for plan in seen.world.lists:
        keys = Counter(_key(plan, row) for row in seen.rows.get(plan.name, ()))
        for key, count in keys.items():
            if count > 1:
                yield Alarm("a key stands twice", f"{plan.name} {key}: {count} rows")
        if plan.keeps_history and seen.report is not None and seen.report.status == "complete":
            yield from _history_is_sound(seen, plan)


def _history_is_sound(seen: Seen, plan: ListPlan) -> Iterator[Alarm]:
    versions: dict[Key, list[Row]] = {}
    for row in seen.rows.get(f"{plan.name}_history", ()):
        versions.setdefault(_key(plan, row), []).append(row)
    current = {_key(plan, row): row for row in seen.rows.get(plan.name, ())}
    for key, kept in versions.items():
        kept.sort(key=lambda row: row["_oa_valid_from"])
        still = [row for row in kept if row["_oa_valid_to"] is None]
        if len(still) > 1:
            yield Alarm("two current versions", f"{plan.name} {key}")
        for one, other in itertools.pairwise(kept):
            if one["_oa_valid_to"] is None or one["_oa_valid_to"] > other["_oa_valid_from"]:
                is_empty = other["_oa_valid_from"] == other["_oa_valid_to"]
                kind = "a version of no length in another" if is_empty else "versions overlap"
                if is_empty or not seen.was_restored:
                    yield Alarm(kind, f"{plan.name} {key}")
        row = current.get(key)
        if still and row is not None and row.get("_oa_deleted_at") is None:
            same = [name for name in ("name", "body", "status") if name in row]
            if any(row.get(name) != still[0].get(name) for name in same):
                yield Alarm("the current version is another", f"{plan.name} {key}")


def _no_living_row_is_deleted(seen: Seen) -> Iterator[Alarm]:
    for plan in seen.world.lists:
        for row in seen.rows.get(plan.name, ()):
            key = _key(plan, row)
            if row.get("_oa_deleted_at") is None or (plan.name, key) in seen.touched:
                continue
            lives = key in seen.before[plan.name] and key in seen.after[plan.name]
            # A sync that did not come so far has not yet seen that it is back.
            if lives and seen.report is not None and seen.report.status == "complete":
                yield Alarm("a living row is deleted", f"{plan.name} {key}")


def _no_marks_that_nobody_sets(seen: Seen) -> Iterator[Alarm]:
    """Only rows of resources are marked. In the tables of their lists and in histories a mark would always be NULL:
    whoever asked for rows without one would see those of deleted parents."""
    for table, rows in seen.rows.items():
        is_other = table.endswith(("_parts", "_history")) or "__" in table
        if is_other and any("_oa_deleted_at" in row for row in rows):
            yield Alarm("a table has marks that nobody sets", table)


def _complete_means_equal(seen: Seen) -> Iterator[Alarm]:
    if seen.report is None or seen.report.status != "complete" or seen.is_stale:
        return
    for plan in seen.world.lists:
        loaded = {
            _key(plan, row): row
            for row in seen.rows.get(plan.name, ())
            if row.get("_oa_deleted_at") is None
        }
        if any(name in (plan.name, plan.parent) for name, _ in seen.touched):
            # While a list moves, rows may slip through or stay unproven (docs/scans.md); the next sync
            # settles it. What must not be even then has an oracle of its own.
            continue
        parts_of = _parts_of(seen, plan)
        steady = {*seen.before[plan.name], *loaded}
        for key in sorted(steady, key=str):
            row, true = loaded.get(key), seen.before[plan.name].get(key)
            if true is None:
                # Among rows that are not loaded, absence may stay unproven (docs/scans.md). It is told then, and
                # a sync in which there are none settles it.
                is_quiet = not any(name in (plan.name, plan.parent) for name, _ in seen.changed)
                if is_quiet and not (seen.night.edits or _has_news(seen, plan)):
                    yield Alarm("complete, with a row that is gone", f"{plan.name} {key}")
                elif not _is_told(seen.report, plan):
                    yield Alarm("complete, with a row that is gone untold", f"{plan.name} {key}")
            elif row is None:
                yield Alarm("complete, without a row", f"{plan.name} {key}")
            else:
                yield from _fields_equal(seen, plan, key, row, true, parts_of)


def _has_news(seen: Seen, plan: ListPlan) -> bool:
    """Whether rows of the list came or changed since the last complete sync, which may be nights ago."""
    return any(
        name == plan.name and key in seen.before[plan.name]
        for name, key in seen.changed - seen.outdated
    )


def _is_told(report: SyncReport, plan: ListPlan) -> bool:
    """Whether the report says that rows of the list stay which may be gone."""
    tally = report.tallies.get(plan.name)
    return tally is not None and any(one.code == "undecided" for one in tally.warnings)


def _parts_of(seen: Seen, plan: ListPlan) -> dict[Key, list[Row]]:
    """The loaded child rows of each row."""
    found: dict[Key, list[Row]] = {}
    for part in seen.rows.get(f"{plan.name}_parts", ()):
        key = tuple(part.get(f"{plan.name}_{name}") for name in plan.key_fields)
        found.setdefault(key, []).append(part)
    return found


def _fields_equal(
    seen: Seen,
    plan: ListPlan,
    key: Key,
    row: Row,
    true: Row,
    parts_of: Mapping[Key, Sequence[Row]],
) -> Iterator[Alarm]:
    shown = ["name", "status", "size"] + (["body"] if plan.has_detail else [])
    # Without a field that tells a change, a change of what only the detail has is not seen.
    blind = plan.has_detail and plan.version is None
    for name in shown:
        if name not in true or (blind and name == "body"):
            continue
        if not _same(row.get(name), true[name]):
            yield Alarm(
                _old(seen, plan, key) if name == "body" else "complete, with an old field",
                f"{plan.name} {key} {name}: {row.get(name)!r}, not {true[name]!r}",
            )
    if plan.has_children and "parts" in true and not blind:
        parts = [
            (part["position"], part.get("label"), part.get("weight"))
            for part in parts_of.get(tuple(true[name] for name in plan.key_fields), ())
        ]
        wanted = [(n, part["label"], part["weight"]) for n, part in enumerate(true["parts"])]
        if sorted(parts) != wanted:
            kind = _old(seen, plan, key, "complete, with other children")
            yield Alarm(kind, f"{plan.name} {key}: {sorted(parts)}, not {wanted}")


def _old(seen: Seen, plan: ListPlan, key: Key, kind: str = "complete, with an old field") -> str:
    """The alarm for what only a detail or a declared child list brings, and is not there."""
    if (plan.name, key) in seen.outdated:
        return "complete, and not by the definition"
    return (
        "complete, with the detail of an earlier change that day"
        if plan.version == "date"
        else kind
    )


def _same(loaded: Any, true: Any) -> bool:
    if loaded is None or true is None:
        return loaded is None and true is None
    if isinstance(true, int | float) and not isinstance(loaded, str):
        return float(loaded) == float(true)
    return str(loaded) == str(true)


def _status_fits(seen: Seen) -> Iterator[Alarm]:
    report, night = seen.report, seen.night
    if report is None:
        return
    codes = {"complete": (0,), "partial": (3,), "failed": (1, 2, 4, 5)}
    if report.exit_code not in codes[report.status]:
        yield Alarm("an exit code that does not fit", f"{report.status}: {report.exit_code}")
    said = report.requests.made
    if said != len(seen.asked):
        yield Alarm("requests told wrongly", f"{said} told, {len(seen.asked)} made")
    if night.is_quiet and report.status == "failed" and not _keeps_rightly(seen):
        yield Alarm("a quiet night failed", str(report.error))
    if report.status == "partial" and not seen.world.per_day:
        yield Alarm("partial without a limit", str(report.error))


def _keeps_rightly(seen: Seen) -> bool:
    """Whether the sync failed because so many rows are gone that a person has to look, or because a total
    counts rows that its list never shows."""
    if seen.report is not None and isinstance(seen.report.error, IncompleteListError):
        return any(plan.hidden for plan in seen.world.lists)
    if seen.report is None or not isinstance(seen.report.error, MassDeletionError):
        return False
    for plan in seen.world.lists:
        loaded = living(plan, seen.rows.get(plan.name, ()))
        gone = len(loaded - seen.before[plan.name].keys())
        counted = seen.loaded.get(plan.name, 0)
        # The sync counted when what a killed one had left was loaded, and no row that is new tonight, nor those that
        # it let go first because an earlier one had kept them.
        left = counted - seen.report.tallies[plan.name].deleted if counted else 0
        if any(is_mass(gone, n) for n in _between(min(counted, left), max(counted, len(loaded)))):
            return True
    return False


def _between(one: int, other: int) -> range:
    return range(min(one, other), max(one, other) + 1)


def _within_limits(seen: Seen) -> Iterator[Alarm]:
    times = sorted([*(one.at for one in seen.all_asked), *seen.foreign])
    limits = ((60.0, seen.world.per_minute), (86_400.0, seen.world.per_day))
    for seconds, most in limits:
        if not most:
            continue
        for last, at in enumerate(times):
            first = bisect_left(times, at - seconds + 1e-6)
            ours = last - first + 1 - sum(1 for one in seen.foreign if at - seconds < one <= at)
            if ours > most:
                yield Alarm(
                    "over the limit", f"{ours} of {most} in {seconds:.0f} s, until {at:.1f}"
                )
                break


def _no_request_for_nothing(seen: Seen) -> Iterator[Alarm]:
    """After a complete sync, details are asked for only of what changed or is followed."""
    night = seen.night
    calm = not (
        night.may_be_killed
        or night.faults
        or night.full_refresh
        or night.moves
        or night.refuses_loads
        or night.full_disk is not None
    )
    if not (seen.settled and calm):
        return
    wanted = {(name, tuple(map(str, key))) for name, key in seen.changed}
    in_doubt = {a.name for a in seen.asked if a.kind == "detail" and a.status == 404}
    for one, count in Counter((a.name, a.key) for a in seen.asked if a.kind == "detail").items():
        plan = next(plan for plan in seen.world.lists if plan.name == one[0])
        if plan.has_status and not _has_ended(seen.before[plan.name], one[1]):
            continue
        if not any(tuple(map(str, key)) == one[1] for key in seen.before[plan.name]):
            continue  # a row that is gone is asked for where its list does not prove it
        if seen.told_of in (one[0], plan.parent) or one[0] in in_doubt:
            continue  # a list in doubt is looked into by details (`oa_sync.extract.deletions`)
        if one not in wanted:
            yield Alarm("a detail for nothing", f"{one[0]} {one[1]}")
        elif count > 2:
            yield Alarm("a detail again and again", f"{one[0]} {one[1]}: {count} times")
    for plan in seen.world.lists:
        lists = sum(1 for a in seen.asked if a.kind == "list" and a.name == plan.name)
        parents = 1 if plan.parent is None else len(seen.before[plan.parent])
        rows = max(len(seen.before[plan.name]), len(seen.after[plan.name]))
        # A page past the end, and, where rows are absent, once more.
        pages = parents * (2 + rows // plan.size)
        if lists > 2 * pages + 4:
            yield Alarm(
                "a list again and again", f"{plan.name}: {lists} requests for {pages} pages"
            )


def _has_ended(rows: Mapping[Key, Row], key: Sequence[str]) -> bool:
    found = (row for own, row in rows.items() if tuple(map(str, own)) == tuple(key))
    return any(row.get("status") in TERMINAL for row in found)


def _no_secret(seen: Seen) -> Iterator[Alarm]:
    if KEY in seen.log:
        yield Alarm("the key in the log", seen.log[: seen.log.index(KEY)][-80:])
    if KEY in json.dumps(seen.rows, default=str):
        yield Alarm("the key in a table", "")
    secret = KEY.encode()
    for path in _files(seen.home):
        if secret in path.read_bytes():
            yield Alarm("the key in a file", path.name)


def _none_kept_out(seen: Seen) -> Iterator[Alarm]:
    """One odd row is no reason to leave out the others."""
    night, report = seen.night, seen.report
    disturbed = (
        night.may_be_killed or night.faults or night.refuses_loads or night.full_disk is not None
    )
    if seen.odd_rows is None or report is None or report.status != "failed":
        return
    if disturbed or night.moves or report.requests.left_today == 0:
        return
    for plan in seen.world.lists:
        if plan.hidden:  # a list that says to have more rows than it shows fails for that
            continue
        loaded = {_key(plan, row): row for row in seen.rows.get(plan.name, ())}
        # Without its key, nobody can ask for the list of a parent.
        odd_parents = {str(key[0]) for name, key in seen.odd_rows if name == plan.parent}
        for key, true in seen.before[plan.name].items():
            is_old = key not in loaded or loaded[key].get("name") != true["name"]
            # What a lie of an earlier night left there is none of this one.
            is_other = (plan.name, key) in seen.odd_rows | seen.changed
            if is_old and not (is_other or str(true.get("parent")) in odd_parents):
                yield Alarm("kept out by an odd value", f"{plan.name} {key}")


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _key(plan: ListPlan, row: Row) -> Key:
    return tuple(row[name] for name in plan.key_fields)
