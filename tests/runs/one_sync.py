"""The agent runs of one sync, decided about in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from oa_sync.definitions.model import Resource
from oa_sync.extract.details.tasks import DetailTask, detail_item
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.runs.known import Announcement, LoadedRun
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting
from oa_sync.shape.document import read_document
from tests.extract.moving_list import PageRead
from tests.support.clock import ManualClock

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
SOON, LATE = BEGIN + timedelta(seconds=10), BEGIN + timedelta(days=2)
DEFINED: dict[str, Any] = {
    "name": "runs",
    "endpoint": {"path": "runs", "incremental": {"cursor_path": "at"}},
    "primary_key": ["id"],
    "detail": {"path": "runs/{id}"},
    "status": {"path": "status", "terminal": ["done", "failed"]},
}
RUNS = Resource.model_validate(DEFINED)
REPORTS = Resource.model_validate(
    {
        "name": "reports",
        "endpoint": {"path": "reports"},
        "primary_key": ["id"],
        "detail": {"path": "reports/{id}"},
        "references": {"made_by": "runs", "config.run": "runs"},
    }
)
V1, V2, V3 = "2026-03-01T00:00:01Z", "2026-03-01T00:00:02Z", "2026-03-01T00:00:03Z"


def known(version: str | None = V1, detail: str | None = V1, *, deleted: bool = False) -> Known:
    return Known(version, None, detail, deleted)


def loaded(
    status: str | None = "running", at: datetime = BEGIN, *, stalled: bool = False
) -> LoadedRun:
    return LoadedRun(("r",), status, at, Sighting(BEGIN, "add"), stalled)


@dataclass
class Runs:
    """One sync of `runs` at `now`. `listed` are the rows of its list; None: no list was there."""

    known: Mapping[str, Known] = field(default_factory=dict)
    loaded: Mapping[str, LoadedRun] = field(default_factory=dict)
    heard: Sequence[Announcement] = ()
    listed: Sequence[dict[str, Any]] | None = None
    now: datetime = SOON
    resource: Resource = RUNS
    cut: bool = False
    items: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tally = Tally(missing=self.listed is None)
        self.scan = Scan(self.resource, self.known)
        self.runs = FollowedRuns(
            [self.resource, REPORTS],
            {"runs": self.loaded},
            {"runs": self.heard},
            ManualClock(self.now),
        )

    def read(self) -> Runs:
        """Read the list, and decide."""
        if self.listed is not None:
            self.scan.add(PageRead(list(self.listed), None, 0, True, self.now, True))
            self.scan.finished = not self.cut
        self.items = self.runs.after_list(self.scan, self.tally)
        return self

    @property
    def asked(self) -> list[str]:
        return [key for key, row in self.scan.pending.items() if row.wants_detail]

    @property
    def counted(self) -> tuple[int, int, int]:
        return self.tally.new, self.tally.changed, self.tally.unchanged

    def detail(self, key: str, **fields: Any) -> list[Item]:
        """The items of an answer."""
        body = orjson.dumps({"id": key, **fields})
        document = read_document(self.resource, body)
        task = DetailTask(self.resource, self.scan.pending[key], ())
        item = detail_item(task, body, document, document.fields, self.now)
        return self.runs.completed(item)


def events(items: Sequence[Item]) -> list[tuple[str, str]]:
    """Status and how of each event."""
    rows = [row for item in items if item.kind is Kind.EVENTS for row in orjson.loads(item.row)]
    return [(row["status"], row["how"]) for row in rows]


def heard(how: str, status: str | None = None, at: datetime = SOON, **said: Any) -> Announcement:
    return Announcement("r", at, how, status, **said)
