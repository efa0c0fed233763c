"""The parts of an emulated workspace: all that an endpoint may use."""

from __future__ import annotations

from oa_sync.clock import Clock
from oa_sync.emulator.background import Background
from oa_sync.emulator.data import Workspace
from oa_sync.emulator.downloads import Exports
from oa_sync.emulator.faults import FaultInjector
from oa_sync.emulator.limits import Limits
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.sandbox import Stored
from oa_sync.emulator.started_runs import StartedRuns
from oa_sync.emulator.state import EmulatorState
from oa_sync.emulator.webhooks import Webhooks


class Parts:
    """The parts of one emulated workspace. `state` is for tests too."""

    def __init__(self, workspace: Workspace, options: EmulatorOptions, clock: Clock) -> None:
        self.options, self.clock = options, clock
        self.state = EmulatorState(workspace, options, clock)
        self.limits = Limits(options)
        self.faults = FaultInjector()
        self.background = Background()
        self.webhooks = Webhooks(options, clock, self.background)
        self.runs = StartedRuns(self.state, options, clock, self.background, self.webhooks)
        self.exports = Exports()
        self.results: dict[str, Stored] = {}

    def reset(self) -> None:
        """Start counters and limits again; what the workspace holds stays."""
        self.state.counters.reset()
        self.limits.reset()
        self.faults.injected.clear()
