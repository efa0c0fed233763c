"""A served workspace, the settings to mirror it, and what a killed sync left of it on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.state import EmulatorState
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.journal.items import Kind
from oa_sync.journal.journal import Journal
from oa_sync.settings import Settings
from tests.faults.changing import Changes
from tests.faults.mirror import assert_mirrors
from tests.support.emulator import emulator
from tests.support.syncing import run_sync, settings_for

SIZE = "reports=30,datasets=5,dashboards=2,runs=0,rows=4,columns=3,panels=2"


@dataclass(frozen=True)
class Place:
    server: RunningEmulator
    settings: Settings
    changes: Changes

    @property
    def state(self) -> EmulatorState:
        return self.server.state

    @property
    def folder(self) -> Path:
        """Where the journal of `settings` is."""
        return self.settings.home / "journal" / self.settings.fingerprint()

    def journaled(self) -> set[str]:
        """The ids whose details stand in the journal."""
        journal = Journal(self.folder)
        return {
            item.key
            for segment in journal.segments()
            for item in journal.read(segment)
            if item.kind is Kind.DETAIL
        }

    def recovers(self) -> None:
        """One clean run mends everything, and asks for no detail that was journaled."""
        kept = self.journaled()
        self.state.counters.reset()
        run_sync(self.settings)
        again = kept & self.state.counters.details.keys()
        assert not again, f"asked for again although journaled: {sorted(again)}"
        assert_mirrors(self.settings, self.state)
        assert not list(self.folder.rglob("*.oaj"))


@contextmanager
def place(
    folder: Path,
    size: str = SIZE,
    *,
    seed: int = 4,
    dialect: str = "page",
    latency_ms: float = 0,
    **options: Any,
) -> Iterator[Place]:
    """A synthetic workspace of `size`; `options` are settings. The ledger counts and never waits."""
    with emulator(synthetic_workspace(size), dialect=dialect, latency_ms=latency_ms) as server:
        limits = {"rpm": 60_000, "rpd": 1_000_000, "reserve": 0.0}
        settings = settings_for(server.base_url, folder, **{**limits, **options})
        yield Place(server, settings, Changes(server.state, seed))
