"""Syncs of which only the deletions run, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.client.scripted import Script, api
from tests.deletions.deciding import Case, Remembered
from tests.extract.fetching import found
from tests.support.clock import ManualClock

Begin = Callable[..., Case]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def facts() -> Remembered:
    return Remembered()


@pytest.fixture
def begin(clock: ManualClock, facts: Remembered) -> Iterator[Begin]:
    """Begins a sync, whose API answers by `script`; with the facts of those before."""
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()

        def case(script: Script = found, *, allow: bool = False, **options: Any) -> Case:
            opening = opened.enter_async_context(api(script, clock=clock, **options))
            server, client = runner.run(opening)
            return Case(runner, server, client, clock, facts, allow=allow)

        yield case
        runner.run(opened.aclose())
