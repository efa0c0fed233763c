"""Records and collections: what the emulated workspace holds, read from NDJSON files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oa_sync.emulator.encoding import decode, encode

# The field that only a detail has; dashboards are whole in their list.
HEAVY = {"datasets": "columns", "reports": "data", "agent_runs": "steps"}
RESOURCES = ("datasets", "reports", "dashboards", "agent_runs")
SAMPLE = Path(__file__).parent / "sample"


class DataFileError(ValueError):
    """A workspace file has a line that is not a record; the message starts with `file:line:`."""


@dataclass(slots=True, eq=False)
class Record:
    """What the source holds of one row: light fields, and the heavy field as JSON text or its maker.

    `raw` is the whole record as it is in its file, until something changes it. `rank` is its place in
    the stored order. `row` and `body` keep served text until the record changes.
    """

    id: str
    light: dict[str, Any]
    heavy: bytes | Callable[[Record], bytes] | None = None
    heavy_count: int = 0
    raw: bytes | None = None
    rank: int = 0
    revision: int = 0
    row: bytes | None = None
    body: bytes | None = None

    def heavy_text(self, key: str) -> bytes | None:
        """The heavy field (named `key`) as JSON, None where the record has no such field."""
        if self.heavy is None and self.raw is not None:
            whole = decode(self.raw)
            return encode(whole[key]) if key in whole else None
        return self.heavy(self) if callable(self.heavy) else self.heavy

    def changed(self) -> None:
        """Forget every text that was made from the record."""
        self.raw = self.row = self.body = None
        self.revision += 1


@dataclass(slots=True)
class Collection:
    """The records of one resource by id. `generation` grows with every change of a record."""

    resource: str
    records: dict[str, Record] = field(default_factory=dict)
    generation: int = 0
    first: int = 0
    last: int = -1

    def add(self, record: Record, *, front: bool = False) -> None:
        """Take `record` in at one end of the stored order. ValueError if its id exists."""
        if record.id in self.records:
            raise ValueError(f"{self.resource}: id {record.id!r} exists already")
        if front:
            self.first -= 1
            record.rank = self.first
        else:
            self.last += 1
            record.rank = self.last
        self.records[record.id] = record
        self.generation += 1

    def remove(self, record_id: str) -> Record:
        """Take a record out. KeyError if there is none."""
        self.generation += 1
        return self.records.pop(record_id)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records.values())

    def __len__(self) -> int:
        return len(self.records)


@dataclass(slots=True)
class Workspace:
    """The four collections of a workspace."""

    collections: dict[str, Collection] = field(
        default_factory=lambda: {name: Collection(name) for name in RESOURCES}
    )

    def __getitem__(self, resource: str) -> Collection:
        return self.collections[resource]


def record_of(resource: str, fields: Any, raw: bytes | None = None) -> Record:
    """A record from all its fields. ValueError if they are no object with a string `id`."""
    record_id = fields.get("id") if isinstance(fields, dict) else fields
    if not isinstance(record_id, str) or not record_id:
        raise ValueError(f"{resource}: a record needs a string id, not {record_id!r}")
    key = HEAVY.get(resource)
    light = {name: value for name, value in fields.items() if name != key}
    record = Record(record_id, light, raw=raw)
    if key is not None and key in fields:
        heavy = fields[key]
        record.heavy = None if raw is not None else encode(heavy)
        record.heavy_count = len(heavy) if isinstance(heavy, list) else 0
    return record


def load_workspace(folder: Path) -> Workspace:
    """Read `datasets`, `reports`, `dashboards` and `agent_runs` `.ndjson` from `folder`.

    A missing file is an empty collection. DataFileError names file and line of what is wrong.
    """
    workspace = Workspace()
    for resource in RESOURCES:
        path = folder / f"{resource}.ndjson"
        if path.is_file():
            _load_file(path, workspace[resource])
    return workspace


def _load_file(path: Path, collection: Collection) -> None:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text:
                continue
            try:
                fields = decode(text)
                collection.add(record_of(collection.resource, fields, text))
            except (ValueError, RecursionError) as error:
                raise DataFileError(f"{path}:{number}: {error}") from error
