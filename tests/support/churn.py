"""A list that changes while it is read: rows come in front and others go, every few pages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from oa_sync.emulator.order import Ordering
from oa_sync.emulator.state import EmulatorState


@contextmanager
def churning(
    state: EmulatorState, resource: str, insert_every: int, delete_every: int, seed: int = 0
) -> Iterator[None]:
    """For the block, behind every `insert_every`th page of `resource` a row is inserted in front, and behind
    every `delete_every`th one is deleted (0: never). Both are done before the next page is served."""
    pages, choice, ordering = 0, random.Random(seed), state.ordering

    def change() -> None:
        with state.lock:
            if pages and insert_every and pages % insert_every == 0:
                state.insert(resource, position="front")
            ids = sorted(state.ids(resource))
            if pages and ids and delete_every and pages % delete_every == 0:
                state.delete(resource, choice.choice(ids))

    def served(read: str) -> Ordering:
        nonlocal pages
        if read == resource:
            change()
            pages += 1
        return ordering(read)

    state.ordering = served  # type: ignore[method-assign]
    try:
        yield
        change()
    finally:
        state.ordering = ordering  # type: ignore[method-assign]
