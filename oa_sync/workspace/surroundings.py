"""What a sync meets outside of itself, as one value: a test hands in its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

import httpx

from oa_sync.clock import Clock
from oa_sync.journal.disk import Disk


def _loading_thread() -> Executor:
    return ThreadPoolExecutor(1, "load")


@dataclass(frozen=True)
class Surroundings:
    """Time, chance, disk, network and threads.

    `random` is the source of every wait before a repeated request and of every id that is made here.
    `transport` stands for the connections to the API (None: real ones). `loading_thread` makes what runs the
    loading side, one job after the other, and `condition` what it waits on for items.
    """

    clock: Clock = field(default_factory=Clock)
    random: Random = field(default_factory=Random)
    disk: Disk = field(default_factory=Disk)
    transport: httpx.AsyncBaseTransport | None = None
    loading_thread: Callable[[], Executor] = _loading_thread
    condition: Callable[[], threading.Condition] = threading.Condition
