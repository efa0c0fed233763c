"""One list `things`, with details where wanted, that may give a faulty answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oa_sync.commands.sync import sync, sync_async
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.destinations.places import Place
from tests.support.clock import ManualClock
from tests.support.json_api import Server, Told, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for

Body = dict[str, Any]
Fault = Callable[[Body, dict[str, str]], Any]

BY_PAGE: Body = {
    "type": "page_number",
    "base_page": 1,
    "size_param": "size",
    "size": 10,
    "total_path": None,
    "total_rows_path": "meta.total",
}
BY_OFFSET: Body = {"type": "offset", "limit": 10, "total_path": "meta.total"}
BY_CURSOR: Body = {
    "type": "cursor",
    "cursor_path": "meta.next",
    "cursor_param": "after",
    "size_param": "size",
    "size": 10,
    "total_path": "meta.total",
}
BY_LINK: Body = {"type": "json_link", "next_url_path": "meta.next"}
PAGERS: dict[str, Body] = {
    "page": BY_PAGE,
    "offset": BY_OFFSET,
    "cursor": BY_CURSOR,
    "link": BY_LINK,
}


def things(count: int, first: int = 0) -> list[Body]:
    """Rows that never change."""
    return [
        {"id": f"t{n:04d}", "name": f"thing {n}", "changed": "2026-01-02T03:04:05.678Z"}
        for n in range(first, first + count)
    ]


@dataclass
class FaultyList:
    """`rows` are true. They are loaded into memory, or into `place`. `fault` may make anything of a page (its body, its query); `detail` of the answer to
    a request for one row (None: 404)."""

    rows: list[Body]
    pager: Mapping[str, Any] = field(default_factory=lambda: BY_PAGE)
    has_detail: bool = False
    fault: Fault | None = None
    detail: Callable[[Body | None], Any] = lambda row: row
    definition: Mapping[str, Any] = field(default_factory=dict)
    """What the definition says of the resource beside the usual."""
    largest: int = 10
    """The most rows that a page has."""
    place: Place | None = None
    has_clock: bool = False
    """Whether the header `Date` has the time of `clock`, not that of this machine."""
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: Settings = field(init=False)
    server: Server = field(init=False)

    def sync(self, **options: Any) -> SyncReport:
        """One sync; it may fail."""
        if self.place is not None:
            return sync(self.settings, clock=self.clock, **options)
        target = MemoryTarget(self.settings, self.store)
        around = Surroundings(self.clock)
        return asyncio.run(sync_async(self.settings, around=around, target=target, **options))

    def loaded(self, table: str = "things") -> list[Body]:
        """The loaded rows."""
        return self.store.rows(table) if self.place is None else self.place.read(table)

    def living(self, table: str = "things") -> set[str]:
        """The ids of the loaded rows that are not marked deleted."""
        return {str(row["id"]) for row in self.loaded(table) if row["_oa_deleted_at"] is None}

    @property
    def ids(self) -> set[str]:
        """The ids that the list truly has."""
        return {row["id"] for row in self.rows}

    def page(self, query: dict[str, str]) -> Any:
        """The answer to a request for a page."""
        size = min(int(query.get("size", query.get("limit", 10))), self.largest)
        if "page" in query:
            start = (int(query["page"]) - 1) * size
        else:
            start = int(query.get("offset", query.get("after", "0")))
        end = start + size
        following: str | None = None
        if end < len(self.rows):
            following = f"/things?after={end}" if self.pager["type"] == "json_link" else str(end)
        body = {
            "data": self.rows[max(0, start) : end],
            "meta": {"total": len(self.rows), "next": following},
        }
        return self.fault(body, query) if self.fault else body

    def answer(self, key: str) -> Any:
        """The answer to a request for one row."""
        row = next((row for row in self.rows if row["id"] == key), None)
        return self.detail({**row, "more": f"of {key}"} if row else None)

    def asked(self, what: str = "") -> list[str]:
        """The paths that were asked for, below the list (`what` "/") or all."""
        return [path for path, _ in self.server.asked if path.startswith(f"/things{what}")]


@contextmanager
def faulty_list(folder: Path, source: FaultyList, **settings: Any) -> Iterator[FaultyList]:
    """Serve `source` for the block, with settings for syncs of it."""

    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            if path == "/things":
                return source.page
            key = path.removeprefix("/things/")
            return (lambda _: source.answer(key)) if key != path else default

    resource: Body = {
        "name": "things",
        "primary_key": "id",
        "endpoint": {
            "path": "things",
            "data_selector": "data",
            "paginator": dict(source.pager),
            "incremental": {"cursor_path": "changed"},
        },
        **({"detail": {"path": "things/{id}"}} if source.has_detail else {}),
        **source.definition,
    }
    folder.mkdir(exist_ok=True)
    definition = folder / "things.yaml"
    definition.write_text(json.dumps({"name": "faulty", "resources": [resource]}))
    with json_api(Routes(), source.clock.now if source.has_clock else None) as server:
        source.server = server
        settings |= {"source": str(definition), "api_key": None}
        if source.place is None:
            source.settings = settings_for(server.base_url, folder, **settings)
        else:
            source.settings = source.place.settings(server.base_url, **settings)
        yield source


__all__ = ["BY_CURSOR", "BY_LINK", "BY_OFFSET", "BY_PAGE", "FaultyList", "Told", "faulty_list"]
