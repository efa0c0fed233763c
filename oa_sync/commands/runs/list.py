"""`oa-sync runs list`: the runs that are loaded, and those that the next sync will hear of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from oa_sync.clock import Clock, isoformat
from oa_sync.definitions.model import Resource
from oa_sync.errors import ConfigurationError
from oa_sync.extract.runs.known import Announcement, is_usable_id, runs_resource
from oa_sync.extract.runs.schedule import State, ask_again_at, state_of
from oa_sync.load.opening import open_for_reading
from oa_sync.settings import Settings
from oa_sync.tables.agent_runs import loaded_runs, typed_key
from oa_sync.tables.keys import KeyColumns
from oa_sync.tables.target import Target
from oa_sync.workspace.access import definition_of
from oa_sync.workspace.announced import waiting
from oa_sync.workspace.lock import sync_lock

REGISTERED = "registered"
"""The state of a run that no sync has heard of yet."""


@dataclass(frozen=True)
class RunLine:
    """One run. `state` is a `State` or `registered`; `due_at`: when a followed run is asked for again."""

    run_id: str
    status: str | None
    state: str
    first_seen_at: datetime
    first_seen_by: str
    observed_at: datetime | None
    due_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Its object in `runs list --json`."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "state": self.state,
            "first_seen_at": isoformat(self.first_seen_at),
            "first_seen_by": self.first_seen_by,
            "observed_at": isoformat(self.observed_at) if self.observed_at else None,
            "due_at": isoformat(self.due_at) if self.due_at else None,
        }


def list_runs(settings: Settings, clock: Clock | None = None) -> list[RunLine]:
    """All runs known here, the latest first seen at the top. Sends no request.

    Raises:
        ConfigurationError: the definition has no runs.
        LockHeldError: a sync is writing just now.
        DestinationError: the destination cannot be read.
    """
    clock = clock or Clock()
    resource = _resource(settings)
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), what, clock),
        open_for_reading(settings) as target,
    ):
        lines = {} if target is None else _loaded(target, resource)
    loaded = set(lines)
    for heard in sorted(waiting(settings, clock), key=lambda one: one.at):
        if heard.run_id not in loaded:
            lines[heard.run_id] = _registered(heard, lines.get(heard.run_id))
    return sorted(lines.values(), key=lambda line: line.first_seen_at, reverse=True)


def ids_of_query(settings: Settings, sql: str) -> list[str]:
    """The values in the first column of `sql`, asked of the destination; nulls are left out.

    Raises:
        ConfigurationError: there is no database yet.
        DestinationError: the query failed.
    """
    with open_for_reading(settings) as target:
        if target is None:
            raise ConfigurationError(
                f"{settings.database}: no such database; name one with --database or --destination"
            )
        return [str(row[0]) for row in target.query(sql) if row[0] is not None]


def checked_ids(ids: Iterable[str]) -> list[str]:
    """`ids` without blanks around them, each once, in their order.

    Raises:
        ConfigurationError: one cannot be the id of a run.
    """
    found = list(dict.fromkeys(text.strip() for text in ids if text.strip()))
    for text in found:
        if not is_usable_id(text) or " " in text:
            raise ConfigurationError(
                f"{text[:80]!r} cannot be the id of a run; give ids as the API writes them, each as a"
                " word or a line of its own"
            )
    return found


def _resource(settings: Settings) -> Resource:
    resource = runs_resource(definition_of(settings))
    if resource is None:
        raise ConfigurationError("the definition has no resource with a status and a detail")
    return resource


def _loaded(target: Target, resource: Resource) -> dict[str, RunLine]:
    columns = KeyColumns(target, resource.name, typed_key(target, resource))
    known = columns.known(target, resource.name)
    lines = {}
    for key, run in loaded_runs(target, resource).items():
        state = state_of(resource, run, known[key])
        due = ask_again_at(run) if state is State.FOLLOWED else None
        lines[key] = RunLine(
            key, run.status, state, run.first_seen.at, run.first_seen.how, run.observed_at, due
        )
    return lines


def _registered(heard: Announcement, before: RunLine | None) -> RunLine:
    """A run that was heard of; `before` is what was heard of it earlier."""
    if before is not None:
        return replace(before, status=heard.status or before.status)
    at = heard.at.astimezone(UTC)
    return RunLine(heard.run_id, heard.status, REGISTERED, at, heard.how, None, None)
