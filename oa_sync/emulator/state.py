"""The emulated workspace while it runs: what is in it, how it changes, what was asked of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from oa_sync.clock import Clock, isoformat
from oa_sync.emulator.counters import Counters
from oa_sync.emulator.data import HEAVY, Record, Workspace, record_of
from oa_sync.emulator.encoding import decode, encode
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.order import Ordering, digest
from oa_sync.emulator.views import Views

PREFIX = {"datasets": "ds", "reports": "rpt", "dashboards": "dash", "agent_runs": "run"}


class Change(NamedTuple):
    """One change at the source."""

    op: Literal["insert", "update", "delete"]
    resource: str
    id: str


class EmulatorState:
    """All that can change in an emulator. Every method may be called from any thread.

    `lock` guards the collections; `counters`, `changes` (in order) are for reading.
    """

    def __init__(self, workspace: Workspace, options: EmulatorOptions, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.counters = Counters()
        self.changes: list[Change] = []
        self.views = Views(options)
        self._workspace = workspace
        self._seed = options.seed
        self._clock = clock
        self._random = random.Random(options.seed)
        self._orderings = {
            name: Ordering(options, collection)
            for name, collection in workspace.collections.items()
        }
        self._inserted = 0

    def ordering(self, resource: str) -> Ordering:
        """The list of `resource`; hold `lock` while using it."""
        return self._orderings[resource]

    def record(self, resource: str, record_id: str) -> Record | None:
        """A record by id; hold `lock` while using it."""
        return self._workspace[resource].records.get(record_id)

    def ids(self, resource: str) -> list[str]:
        """All ids of `resource` in the order its list shows them."""
        with self.lock:
            return [record.id for record in self._orderings[resource].records()]

    def count(self, resource: str) -> int:
        """The number of records of `resource`."""
        return len(self._workspace[resource])

    def get(self, resource: str, record_id: str) -> dict[str, Any]:
        """All fields of a record as they are stored. KeyError if there is none."""
        with self.lock:
            record = self._workspace[resource].records[record_id]
            if record.raw is not None:
                whole: dict[str, Any] = decode(record.raw)
                return whole
            heavy = record.heavy_text(HEAVY.get(resource, ""))
            extra = {} if heavy is None else {HEAVY[resource]: decode(heavy)}
            return {**record.light, **extra}

    def rows(self, resource: str) -> list[dict[str, Any]]:
        """All records of `resource` with all their fields, in the order of the list."""
        with self.lock:
            return [self.get(resource, record_id) for record_id in self.ids(resource)]

    def insert(
        self,
        resource: str,
        fields: Mapping[str, Any] | None = None,
        *,
        position: Literal["front", "back"] = "back",
    ) -> str:
        """Add a record and return its id. Fields that `fields` leaves out are made up.

        `created_at` and `updated_at` are the clock's unless given. ValueError if the id exists.
        """
        with self.lock:
            self._inserted += 1
            made_up = self._made_up(resource, self._inserted)
            record = record_of(resource, {**made_up, **(fields or {})})
            self._workspace[resource].add(record, front=position == "front")
            self.changes.append(Change("insert", resource, record.id))
            return record.id

    def update(self, resource: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields of a record; a field that is `...` is removed. KeyError if there is none.

        `updated_at` becomes the clock's unless `fields` has it.
        """
        with self.lock:
            collection = self._workspace[resource]
            record = collection.records[record_id]
            key = HEAVY.get(resource, "")
            changed = {"updated_at": isoformat(self._clock.now()), **fields}
            if key in changed:
                value = changed.pop(key)
                record.heavy = None if value is ... else encode(value)
                record.heavy_count = len(value) if isinstance(value, list) else 0
            elif record.heavy is None:
                record.heavy = record.heavy_text(key)
            light = {**record.light, **changed}
            record.light = {name: value for name, value in light.items() if value is not ...}
            record.changed()
            collection.generation += 1
            self.changes.append(Change("update", resource, record_id))

    def delete(self, resource: str, record_id: str) -> None:
        """Remove a record. KeyError if there is none."""
        with self.lock:
            self._workspace[resource].remove(record_id)
            self.changes.append(Change("delete", resource, record_id))

    def touch(self, count: int, resource: str = "reports") -> list[str]:
        """Change `count` records that the seed picks, and return their ids.

        Each gets a new `description` and `updated_at`; a synthetic one also new rows.
        """
        with self.lock:
            chosen = self._random.sample(sorted(self._workspace[resource].records), count)
            for record_id in chosen:
                revision = self._workspace[resource].records[record_id].revision + 1
                self.update(resource, record_id, {"description": f"Revision {revision}"})
            return chosen

    def new_id(self, kind: str) -> str:
        """A fresh id, `kind` and twelve hexadecimal digits, the same for the same seed."""
        with self.lock:
            return f"{kind}_{self._random.getrandbits(48):012x}"

    def _made_up(self, resource: str, number: int) -> dict[str, Any]:
        now = isoformat(self._clock.now())
        prefix = PREFIX[resource]
        made: dict[str, Any] = {
            "id": f"{prefix}_{digest(self._seed, f'inserted:{resource}:{number}')}",
            "name": f"Inserted {number}",
            "status": "completed",
            "description": None,
            "created_at": now,
            "updated_at": now,
        }
        match resource:
            case "datasets":
                made |= {"type": "csv", "columns": [{"name": "value", "type": "integer"}]}
            case "reports":
                rows = [{"value": number * 10 + row, "label": f"row {row}"} for row in range(3)]
                made |= {"dataset_id": None, "format": "table", "row_count": 3, "data": rows}
            case "dashboards":
                made |= {"panels": [{"id": "panel-1", "type": "CHART", "title": made["name"]}]}
            case "agent_runs":
                made |= {"agent_id": "agent_1", "task": made.pop("name"), "steps": []}
        return made
