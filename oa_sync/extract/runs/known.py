"""What is known of one agent run, and what is heard of it outside of lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oa_sync.definitions.model import Definition, Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.extract.lists.changes import identity
from oa_sync.extract.statuses import is_followed
from oa_sync.journal.items import Sighting

RUNS = "agent_runs"
LONGEST_ID = 512
"""Characters; a longer text is never taken for an id, whoever sent it."""


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """An agent run as it is loaded. `observed_at`: when its row was last written; `stalled`: given up."""

    key_values: tuple[Any, ...]
    status: str | None
    observed_at: datetime
    first_seen: Sighting
    stalled: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """A run heard of at `at`, in the way `how` (see `Sighting`; also `poll`: asked for by `runs start`).

    `status` and `payload` are what was said of it. `body`: the body of the answer to a request for the
    ended run, so that it need not be asked for again.
    """

    run_id: str
    at: datetime
    how: str
    status: str | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)


def runs_resource(definition: Definition) -> Resource | None:
    """The resource whose ids `runs add`, `runs start` and webhooks name: the one called `agent_runs`,
    else the first that has a status, one key column and a detail; None where there is none."""
    fitting = [
        resource
        for resource in definition.resources
        if is_followed(resource) and resource.detail and len(resource.primary_key) == 1
    ]
    return next((one for one in fitting if one.name == RUNS), fitting[0] if fitting else None)


def is_usable_id(text: str) -> bool:
    """Whether `text` can be an id in the path of a request: printable, not too long, no dot segment."""
    return len(text) <= LONGEST_ID and text.strip() not in ("", ".", "..") and text.isprintable()


def row_of_key(resource: Resource, key_values: tuple[Any, ...]) -> dict[str, Any]:
    """A row that holds its key and nothing else."""
    row: dict[str, Any] = {}
    for path, value in zip(identity(resource), key_values, strict=True):
        inside = row
        *outer, last = parse_path(path)
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = value
    return row


def ids_at(data: Any, path: tuple[str, ...]) -> Iterator[str]:
    """The ids at `path` in a decoded row; lists on the way are searched element by element."""
    if isinstance(data, list):
        for element in data:
            yield from ids_at(element, path)
    elif path:
        if isinstance(data, dict) and path[0] in data:
            yield from ids_at(data[path[0]], path[1:])
    elif (isinstance(data, str) and is_usable_id(data)) or type(data) is int:
        yield str(data)
