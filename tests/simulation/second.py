"""Syncs beside the one that a night is about: of another workspace, and a rival for the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from oa_sync.commands.sync import sync_async
from oa_sync.errors import LockHeldError, OaSyncError
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.simulation.oracles import Alarm
from tests.simulation.server import Server
from tests.simulation.source import Key
from tests.support.memory_target import MemoryStore, MemoryTarget

SECOND = "second"
"""The other workspace. It has the key and the ledger of the first, and tables of its own."""
Work = Callable[[Surroundings], Coroutine[Any, Any, Any]]


@dataclass
class SecondWorkspace:
    """What became of the other workspace."""

    store: MemoryStore = field(default_factory=MemoryStore)
    report: SyncReport | None = None
    """Of its last sync; None when that was killed."""
    error: Exception | None = None
    changed: set[tuple[str, Key]] = field(default_factory=set)
    """(list, key) of what changed since its last complete sync."""

    def syncs(
        self, settings: Settings, server: Server, step: Callable[[str], None], after: float
    ) -> Work:
        """Its sync, which begins `after` seconds and gives its outcome to `report` or `error`."""
        self.report = self.error = None
        own = replace(settings, workspace=SECOND)
        target = MemoryTarget(own, self.store, step=lambda what: step(f"load {what}"))

        async def work(around: Surroundings) -> None:
            await asyncio.sleep(after)
            try:
                around = replace(around, transport=server)
                self.report = await sync_async(own, around=around, target=target)
            except Exception as error:
                self.error = error

        return work


def rival_alarms(settings: Settings, around: Surroundings, target: MemoryTarget) -> Iterator[Alarm]:
    """A second sync of the same workspace, while the first goes on: it must be turned away at once."""
    sync = sync_async(settings, around=around, target=target)
    try:
        sync.send(None)
    except LockHeldError as error:
        if error.exit_code != 4:
            yield Alarm("a rival with another exit code", str(error.exit_code))
    except (OaSyncError, StopIteration) as error:
        yield Alarm("a rival was not turned away", repr(error))
    else:
        sync.close()
        yield Alarm("a rival was not turned away", "it went on beside the first")
