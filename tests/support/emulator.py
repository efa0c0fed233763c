"""An emulator in a thread of the test process, on a free port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from oa_sync.clock import Clock
from oa_sync.emulator.data import Workspace, record_of
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.server import RunningEmulator, running

KEY = "oa_test_emulator"
HEADERS = {"Authorization": f"Bearer {KEY}"}
# One client for the plain requests of tests: making one for each costs 20 ms.
HTTP = httpx.Client(trust_env=False)


@contextmanager
def emulator(
    workspace: Workspace | None = None, *, clock: Clock | None = None, **options: Any
) -> Iterator[RunningEmulator]:
    """Run an emulator with `EmulatorOptions(**options)`; the bundled sample unless told otherwise.

    The yielded object has `.base_url` (ends in /v1), `.state` and `.emulator`.
    """
    with running(workspace, EmulatorOptions(**options), clock) as server:
        yield server


def workspace_of(**resources: Iterable[Mapping[str, Any]]) -> Workspace:
    """A workspace from plain records: `workspace_of(reports=[{"id": "r1", "data": []}])`."""
    workspace = Workspace()
    for resource, records in resources.items():
        for fields in records:
            workspace[resource].add(record_of(resource, dict(fields)))
    return workspace
