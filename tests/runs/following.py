"""An emulated API and a destination that share one clock, so that nights pass at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from oa_sync.emulator.data import Workspace
from oa_sync.emulator.server import RunningEmulator
from oa_sync.extract.runs.known import Announcement
from oa_sync.settings import Settings
from oa_sync.workspace.announced import register
from oa_sync.workspace.report import SyncReport
from tests.support.clock import ManualClock
from tests.support.emulator import emulator
from tests.support.syncing import query, rows_of, run_sync, settings_for

HOUR = 3600
DAY = 24 * HOUR


@dataclass
class Site:
    """`sync` syncs the runs only and gives the report; `asked` are the requests of the last one."""

    server: RunningEmulator
    settings: Settings
    clock: ManualClock
    asked: dict[str, int] = field(default_factory=dict)

    def start(self) -> str:
        """A run that somebody started at the API, in status `queued`; polls do not move it."""
        fields = {"status": "queued", "agent_id": "agent_1", "task": "count rows"}
        return self.server.state.insert("agent_runs", fields)

    def move(self, run_id: str, status: str) -> None:
        """The API moves a run on."""
        step = {"thought": status, "observation": "ok", "tool_calls": [{"name": "query"}]}
        self.server.state.update("agent_runs", run_id, {"status": status, "steps": [step]})

    def hear(self, run_id: str, how: str = "add", **said: Any) -> None:
        """Register a run, as `runs add` does."""
        register(self.settings, self.clock, [Announcement(run_id, self.clock.now(), how, **said)])

    def sync(self, *resources: str, **options: Any) -> SyncReport:
        self.server.state.counters.reset()
        report = run_sync(
            self.settings, *(resources or ["agent_runs"]), clock=self.clock, **options
        )
        counters = self.server.state.counters
        assert report.requests.made == counters.total
        self.asked = dict(counters.details)
        return report

    def row(self, run_id: str) -> dict[str, Any]:
        [row] = [row for row in rows_of(self.settings, "agent_runs") if row["id"] == run_id]
        return row

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = rows_of(self.settings, "agent_runs")
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: row for row in rows}

    def events(self, run_id: str) -> list[tuple[str, str]]:
        """Status and how, oldest first."""
        return query(
            self.settings,
            "SELECT status, how FROM agent_run_events WHERE run_id = ? ORDER BY observed_at",
            run_id,
        )

    def event_times(self, run_id: str) -> list[datetime]:
        rows = query(
            self.settings,
            "SELECT observed_at FROM agent_run_events WHERE run_id = ? ORDER BY observed_at",
            run_id,
        )
        return [row[0] for row in rows]


@contextmanager
def site(
    folder: Path, workspace: Workspace | None = None, *, changes: Any = None, **options: Any
) -> Iterator[Site]:
    """An API of the page dialect, whose runs move when `Site.move` says so, and an empty destination.

    `changes` go into the settings, `options` into the emulator.
    """
    clock = ManualClock()
    with emulator(workspace or Workspace(), clock=clock, **options) as server:
        dialect = options.get("dialect", "page")
        settings = settings_for(server.base_url, folder, dialect=dialect, **(changes or {}))
        yield Site(server, settings, clock)
