"""Agent runs in the destination: their loaded state, and the table of all statuses seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from oa_sync.clock import Clock
from oa_sync.definitions.model import Definition, Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.extract.lists.changes import identity
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.runs.known import Announcement, LoadedRun, is_usable_id, runs_resource
from oa_sync.extract.statuses import is_followed
from oa_sync.journal.items import Sighting, key_of
from oa_sync.shape.json_text import decode
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.naming import ELEMENT, singular, snake_case
from oa_sync.tables.batches import INSTANT, WORKSPACE, Batch, TableHints, learned_of
from oa_sync.tables.keys import KeyColumns
from oa_sync.tables.target import Target

FIRST_SEEN_AT, FIRST_SEEN_BY = "_oa_first_seen_at", "_oa_first_seen_by"
STALLED_AT = "_oa_stalled_at"
_OBSERVED_AT = "_oa_synced_at"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def events_table(resource: Resource) -> str:
    """The table of the statuses of `resource`: `agent_run_events` for `agent_runs`."""
    return f"{singular(resource.name)}_events"


def event_key(resource: Resource) -> tuple[str, ...]:
    """The columns of the events table that hold the key of the run: named as in the resource's first
    child table, else `<singular>_<column>`."""
    declared = next((child.parent_key for child in resource.children.values()), ())
    names = [snake_case(parse_path(path)[-1]) for path in identity(resource)]
    one = singular(resource.name)
    return tuple(
        declared[place] if place < len(declared) else f"{one}_{name}"
        for place, name in enumerate(names)
    )


def events_batch(resource: Resource, texts: Iterable[bytes], workspace: str) -> Batch:
    """The rows of the events in `texts`, each a JSON list; an event that repeats is written once."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for text in texts:
        for event in decode(text):
            rows[(*event["key"], event["observed_at"], event["status"])] = event
    events = list(rows.values())
    names = event_key(resource)
    columns: dict[str, pa.Array] = {WORKSPACE: pa.array([workspace] * len(events), pa.string())}
    for place, name in enumerate(names):
        columns[name] = pa.array([event["key"][place] for event in events], pa.string())
    instants = [datetime.fromisoformat(event["observed_at"]) for event in events]
    columns["observed_at"] = pa.array(instants, INSTANT)
    columns["status"] = pa.array([event["status"] for event in events], pa.string())
    columns["how"] = pa.array([event["how"] for event in events], pa.string())
    key = (WORKSPACE, *names, "observed_at", "status")
    return Batch(TableHints(events_table(resource), primary_key=key), pa.table(columns))


def loaded_runs(target: Target, resource: Resource) -> dict[str, LoadedRun]:
    """What is loaded of the runs of this workspace, by key; empty for a resource without a status."""
    if resource.status is None or not is_followed(resource):
        return {}
    keys = typed_key(target, resource)
    if not keys:
        return {}
    [status] = _columns_of(target, resource.name, [parse_path(resource.status.path)])
    key_columns = KeyColumns(target, resource.name, keys)
    columns = [
        *key_columns.columns,
        status or "",
        _OBSERVED_AT,
        FIRST_SEEN_AT,
        FIRST_SEEN_BY,
        STALLED_AT,
    ]
    runs = {}
    for row in target.select(resource.name, columns):
        *values, said, observed, seen_at, seen_by, stalled = row
        key = key_columns.key(values)
        observed_at = _instant(observed) or _LONG_AGO
        first_seen = Sighting(_instant(seen_at) or observed_at, seen_by or "list")
        runs[key] = LoadedRun(
            key_columns.key_values(values),
            _text(said),
            observed_at,
            first_seen,
            stalled is not None,
        )
    return runs


def followed_runs(
    target: Target | None,
    definition: Definition,
    chosen: Sequence[Resource],
    heard: Sequence[Announcement],
    clock: Clock,
) -> FollowedRuns:
    """The runs that a sync of the `chosen` resources follows, from what is loaded (`target` None: nothing) and
    what was `heard` of runs since the last sync."""
    loaded: dict[str, dict[str, LoadedRun]] = {resource.name: {} for resource in chosen}
    announced: dict[str, list[Announcement]] = {resource.name: [] for resource in chosen}
    now = clock.now()
    for resource in chosen if target is not None else ():
        assert target is not None
        runs = loaded[resource.name] = loaded_runs(target, resource)
        announced[resource.name] += [
            Announcement(run_id, now, "reference")
            for run_id in newly_referenced(target, definition, resource.name, runs)
        ]
    followed = runs_resource(definition)
    if followed in chosen and followed is not None:
        announced[followed.name] += heard
    return FollowedRuns(chosen, loaded, announced, clock)


def typed_key(target: Target, resource: Resource) -> list[str]:
    """The columns that hold the key of `resource`; empty where nothing is loaded yet."""
    paths = [parse_path(path) for path in identity(resource)]
    names = _columns_of(target, resource.name, paths)
    return [] if None in names else [name for name in names if name]


def newly_referenced(
    target: Target, definition: Definition, name: str, runs: Mapping[str, LoadedRun]
) -> set[str]:
    """The ids of the resource `name` to which loaded rows of other resources refer, where the definition
    says so, and which are not among its loaded `runs`."""
    if not is_followed(definition.resource(name)):
        return set()
    declared = {table for resource in definition.resources for table in resource.tables()}
    found: set[str] = set()
    for other in definition.resources:
        paths = {
            parse_path(path) for path, referred in other.references.items() if referred == name
        }
        if paths:
            learned = learned_of(target.columns(), set(other.tables()), declared)
            for table, column in _places_of(paths, learned):
                found.update(str(v) for v in target.distinct(table, column) if v is not None)
    return {each for each in found if is_usable_id(each) and key_of((each,)) not in runs}


def _places_of(
    paths: Collection[tuple[str, ...]], learned: LearnedSchema
) -> Iterator[tuple[str, str]]:
    """The tables and columns with the values at `paths`; values in lists are in child tables."""
    for table in learned.tables:
        for column in learned.columns(table):
            if column.kind == "value" and _without_elements(column.path) in paths:
                yield table, column.name


def _without_elements(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in path if key != ELEMENT)


def _columns_of(target: Target, table: str, paths: Sequence[tuple[str, ...]]) -> list[str | None]:
    """The columns of `table` with the values at `paths` of the rows, whatever their names are."""
    ours = [column for column in target.columns() if column.table == table]
    learned = LearnedSchema.from_columns((c.table, c.name, c.data_type, c.path) for c in ours)
    by_path = {
        column.path: column.name
        for column in learned.columns(table)
        if column.kind in ("value", "large")
    }
    return [by_path.get(path) for path in paths]


def _instant(value: Any) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()
