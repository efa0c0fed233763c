"""What the conformance suite needs: every place opened once, batches made by hand, and where places differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oa_sync.errors import DestinationError
from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, Batch, TableHints
from oa_sync.tables.target import Target
from tests.destinations.places import Place, Places, Servers
from tests.support.lake_model import batch
from tests.support.memory_target import MemoryStore, MemoryTarget

Row = dict[str, Any]

MEMORY = "memory"
NAMES = (MEMORY, *Places.names)
NOBODY = "http://127.0.0.1:9/v1"
STATE = {
    "_oa_version": "text",
    "_oa_row_hash": "text",
    "_oa_detail_version": "text",
    DELETED_AT: "timestamp",
}
"""The columns that change detection compares, and their types."""


@dataclass(frozen=True)
class Differs:
    """How a place differs from the others today: why, and what is found there instead."""

    why: str
    found: Any


TESTS_PER_DATASET = 10
"""Tests that share an open target. What goes through dlt becomes slower with each table of a dataset."""


class Spot:
    """One place for the whole suite, with a target that stays open for several tests. Use it as a context
    manager, with its `environment` set."""

    def __init__(self, name: str, folder: Path, servers: Servers) -> None:
        self.name = name
        self._folder = folder
        self._numbers = itertools.count()
        self._stores: dict[str, MemoryStore] = {}
        self._opened = ExitStack()
        self._tests = 0
        self._place: Place | None = None
        if name != MEMORY:
            self._place = Places(folder / "place", servers).open(name)

    def __enter__(self) -> Spot:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def shared_dataset(self) -> str:
        """The dataset of the shared target."""
        return f"shared{self._tests // TESTS_PER_DATASET}"

    def shared_target(self) -> Target:
        """The target that is open for the next test."""
        before, self._tests = self.shared_dataset, self._tests + 1
        if self._tests == 1 or before != self.shared_dataset:
            self._opened.close()
            self._shared = self._opened.enter_context(self.target(dataset=self.shared_dataset))
        return self._shared

    @property
    def environment(self) -> dict[str, str]:
        """The credentials of the place."""
        return self._place.environment if self._place else {}

    def number(self) -> int:
        """Another number each time."""
        return next(self._numbers)

    def settings(self, workspace: str, dataset: str) -> Settings:
        """Settings for a target here."""
        if self._place is None:
            return Settings(workspace=workspace, dataset_name=dataset)
        return self._place.settings(NOBODY, workspace=workspace, dataset_name=dataset)

    def target(
        self, workspace: str = "default", dataset: str = "own", *, read_only: bool = False
    ) -> Target:
        """A target here, not opened yet."""
        settings = self.settings(workspace, dataset)
        if self._place is None:
            store = self._stores.setdefault(dataset, MemoryStore())
            return MemoryTarget(settings, store, read_only=read_only)
        workdir = self._folder / "work" / str(self.number())
        return open_target(settings, workdir, read_only=read_only)

    def make_theirs(self, table: str, dataset: str) -> None:
        """Make a `table` that is somebody else's."""
        if self._place is None:
            self._stores.setdefault(dataset, MemoryStore()).foreign.add(table)
        else:
            self._place.make(table, dataset)

    def files(self, dataset: str) -> dict[str, bytes]:
        """What is on the disk of `dataset`, where the place is on a disk."""
        root = self._folder / "place"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and dataset in str(path.relative_to(root))
        }


class At:
    """One test at one place: an open `target` and a name for a `table` that no other test has."""

    def __init__(self, spot: Spot, test: str, differs: Mapping[tuple[str, str], Differs]) -> None:
        self.spot, self.place, self.target = spot, spot.name, spot.shared_target()
        self.table = f"t{spot.number()}"
        self._test, self._differs = test, differs
        self.is_compared = False

    @property
    def dataset(self) -> str:
        """A dataset that no other test has."""
        return f"own_{self.table}"

    def expected(self, usual: Any) -> Any:
        """What this test finds here: `usual`, unless this place is known to differ."""
        self.is_compared = True
        found = self._differs.get((self._test, self.place))
        return usual if found is None else found.found

    @contextmanager
    def opened(
        self, workspace: str = "default", *, read_only: bool = False, shared: bool = False
    ) -> Iterator[Target]:
        """Another target, on this test's own dataset or (`shared`) on that of `target`."""
        dataset = self.spot.shared_dataset if shared else self.dataset
        with self.spot.target(workspace, dataset, read_only=read_only) as target:
            yield target


# -- batches ------------------------------------------------------------------------------------


def rows(
    table: str,
    *found: Row,
    key: Sequence[str] = ("id",),
    types: Mapping[str, str] | None = None,
    workspace: str = "default",
    **more: str,
) -> Batch:
    """Rows with a key of their own: `id` and the columns of `types` and `more` (dlt data types)."""
    hints = TableHints(table, primary_key=(WORKSPACE, *key))
    columns = {WORKSPACE: "text", "id": "text", **(types or {}), **more}
    return batch(hints, [{WORKSPACE: workspace, **row} for row in found], columns)


def lists(
    table: str,
    found: Mapping[Any, Sequence[str]],
    *,
    workspace: str = "default",
    parent: str = "text",
) -> Batch:
    """All rows of some parents."""
    flat: list[Row] = []
    for key, values in found.items():
        own = {WORKSPACE: workspace, "parent_id": key}
        flat += [{**own, "position": n, "value": value} for n, value in enumerate(values)]
    types = {"parent_id": parent, "position": "bigint", "value": "text"}
    hints = TableHints(table, merge_key=(WORKSPACE, "parent_id"))
    return batch(hints, flat, {**types, WORKSPACE: "text"})


def removal(table: str, *keys: Any, workspace: str = "default", **types: str) -> Batch:
    """Removes all rows with `keys`: values of `parent_id`, or of all columns of `types`."""
    columns = {WORKSPACE: "text", **(types or {"parent_id": "text"})}
    found = [key if isinstance(key, tuple) else (key,) for key in keys]
    flat = [dict(zip(columns, (workspace, *key), strict=True)) for key in found]
    hints = TableHints(table, merge_key=tuple(columns))
    return replace(batch(hints, flat, columns), removes=True)


# -- reading ------------------------------------------------------------------------------------


def read(target: Target, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """`columns` of this workspace's rows, in the order of their texts."""
    return sorted(target.select(table, columns), key=str)


def outcome(target: Target, *batches: Batch, reading: Sequence[str]) -> Any:
    """What stands in the columns `reading` after a load, or `refused`."""
    try:
        target.load(batches)
    except DestinationError:
        return "refused"
    return read(target, batches[0].hints.name, *reading)


def types_of(target: Target, table: str) -> dict[str, str]:
    """The type of each column of `table`."""
    return {column.name: column.data_type for column in target.columns() if column.table == table}
