"""Items in, Arrow batches out: what each item means for the tables of its resource.

A row with its detail (or a full list row) is written as it is, with all its child rows. A list row
without (new) detail is written over the loaded row: columns that only a detail brings keep their values,
child rows stay. A row that is gone is written with its loaded values and `_oa_deleted_at`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from oa_sync.definitions.model import Definition, Resource
from oa_sync.errors import InvalidResponseError, SchemaContractError
from oa_sync.extract.lists.changes import Known, identity
from oa_sync.journal.items import Item, Kind
from oa_sync.settings import Settings
from oa_sync.shape.document import (
    Document,
    has_long_list,
    read_document,
    read_row,
    with_list_fields,
)
from oa_sync.tables.agent_runs import STALLED_AT, events_batch
from oa_sync.tables.batches import DELETED_AT, Batch, Break, Output
from oa_sync.tables.contract import Contract
from oa_sync.tables.drift import SchemaChanges
from oa_sync.tables.readings import Readings
from oa_sync.tables.resource_tables import ResourceTables
from oa_sync.tables.target import Target

logger = logging.getLogger(__name__)

BATCH_BYTES = 4 * 1024 * 1024
BATCH_ITEMS = 5_000


class Assembler:
    """Shapes the items of one definition for one target. Used by the loading thread only.

    `history`: every version of the rows of all resources is kept. Without it, that is so for resources
    whose definition asks for it, and for those that have a history already.
    """

    def __init__(
        self, definition: Definition, target: Target, settings: Settings, *, history: bool = False
    ) -> None:
        self._changes, self._workspace = SchemaChanges(target), settings.workspace
        self._target = target
        declared = {table for resource in definition.resources for table in resource.tables()}

        def open_tables() -> dict[str, ResourceTables]:
            return {
                resource.name: ResourceTables(
                    resource,
                    target,
                    settings,
                    self._changes.under(Contract(target, resource)),
                    declared,
                    history=history,
                )
                for resource in definition.resources
            }

        self._open_tables = open_tables
        self._tables = open_tables()
        self._resources = {resource.name: resource for resource in definition.resources}
        self._groups: dict[tuple[str, Kind, bool, tuple[str, ...]], _Group] = {}
        self.frozen: dict[str, SchemaContractError] = {}
        """Why a resource is not loaded any further in this sync, by its name."""
        self.left_out: Counter[str] = Counter()
        """How many items were not loaded for that reason, by resource."""

    @property
    def drift(self) -> list[dict[str, Any]]:
        """Changes of shape seen so far, for the report."""
        return self._changes.seen

    def mended(self) -> Iterator[tuple[str, list[str]]]:
        """The resources in whose rows something could not be kept and was replaced, with the rows' keys."""
        for name, tables in self._tables.items():
            if tables.mended:
                yield name, sorted(tables.mended)

    def known(self, resource: Resource) -> dict[str, Known]:
        """What is loaded of `resource`, by key."""
        return self._tables[resource.name].known()

    def unloaded(self, resources: Iterable[Resource]) -> Iterator[Batch]:
        """The declared tables of `resources` into which nothing was loaded yet, without a row."""
        for resource in resources:
            yield from self._tables[resource.name].unloaded()

    def start_history(self) -> Iterator[Batch]:
        """The loaded rows, for histories that begin only now; load them before anything else."""
        for tables in self._tables.values():
            yield from tables.start_history()

    def readings(self) -> Readings:
        """What loaded rows were read with, and what the definition reads now."""
        return Readings(self._resources.values(), self._target, self._workspace)

    def restart(self) -> None:
        """Forget what was learned from rows that were not loaded."""
        self._tables = self._open_tables()

    def packages(
        self, items: Iterable[Item], tail: Callable[[], list[Batch]]
    ) -> Iterator[Iterator[Batch]]:
        """The batches of `items` and of `tail()`, in packages to be loaded one after the other.

        Each package must be read to its end before the next one is asked for.
        """
        outputs = self._outputs(items, tail)
        more = True

        def package() -> Iterator[Batch]:
            nonlocal more
            for output in outputs:
                if isinstance(output, Break):
                    return
                yield output
            more = False

        while more:
            yield package()

    def _outputs(self, items: Iterable[Item], tail: Callable[[], list[Batch]]) -> Iterator[Output]:
        for output in self._batches(items):
            if isinstance(output, Break):
                # A parent's child rows are replaced together, so none may be held back over a break.
                yield from self._flush_long_lists()
                self._start_package()
            yield output
        yield from tail()

    def _batches(self, items: Iterable[Item]) -> Iterator[Output]:
        self._groups.clear()
        self._start_package()
        for item in items:
            if item.resource not in self._resources:
                logger.warning(
                    "%s is not in the definition: a fetched row is left out", item.resource
                )
                continue
            if item.resource in self.frozen:
                self.left_out[item.resource] += 1
                continue
            yield from self._unless_frozen(item.resource, self._take(item))
        for group in list(self._groups.values()):
            yield from self._flush(group)
        yield from self._flush_long_lists()

    def _start_package(self) -> None:
        self._changes.start_package()
        for tables in self._tables.values():
            tables.start_package()

    def _flush_long_lists(self) -> Iterator[Output]:
        for name, tables in self._tables.items():
            if name not in self.frozen:
                yield from self._unless_frozen(name, tables.flush())

    def _unless_frozen(self, resource: str, outputs: Iterator[Output]) -> Iterator[Output]:
        """`outputs` of `resource`, up to the first change that its contract freezes."""
        try:
            yield from outputs
        except SchemaContractError as error:
            logger.error("%s", error)
            self.frozen[resource] = error

    def _take(self, item: Item) -> Iterator[Output]:
        full = item.full or item.kind is Kind.DETAIL
        # List rows with different keys keep different columns of the loaded rows.
        key = (item.resource, item.kind, full, () if full else item.list_keys)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self._resources[item.resource], *key[1:3])
        try:
            document = _document(group.resource, item)
        except InvalidResponseError as error:  # unlikely: extraction has read it before
            logger.warning("a fetched row is left out: %s", error)
            return
        if document is None:
            group.add(item, item.row)
        else:
            is_detail = item.kind is Kind.DETAIL
            text = document.text
            if is_detail:
                text = with_list_fields(item.row, document, identity(group.resource))
            group.add(item, text)
            yield from self._tables[item.resource].add_long_lists(item, document)
        if group.nbytes >= BATCH_BYTES or len(group.items) >= BATCH_ITEMS:
            yield from self._flush(group)

    def _flush(self, group: _Group) -> Iterator[Output]:
        items, texts = group.take()
        name = group.resource.name
        if name in self.frozen:
            self.left_out[name] += len(items)
            return
        if items:
            yield from self._unless_frozen(name, self._shaped(group, items, texts))
            self.left_out[name] += len(items) if name in self.frozen else 0

    def _shaped(
        self, group: _Group, items: Sequence[Item], texts: Sequence[bytes]
    ) -> Iterator[Output]:
        tables = self._tables[group.resource.name]
        if group.kind is Kind.EVENTS:
            yield events_batch(group.resource, texts, self._workspace)
        elif group.kind is Kind.GONE:
            yield from tables.marked(items, DELETED_AT)
        elif group.kind is Kind.STALLED:
            yield from tables.marked(items, STALLED_AT)
        else:
            yield from tables.rows(items, texts, full=group.full)


def _document(resource: Resource, item: Item) -> Document | None:
    """The item's row with long lists cut out; None if it cannot have any."""
    if item.kind is Kind.DETAIL:
        if isinstance(item.document, Document):
            return item.document
        return read_document(resource, item.body or b"")
    if item.kind is Kind.ROW and item.full and has_long_list(resource):
        return read_row(resource, item.row)
    return None


class _Group:
    """Items of one resource that are shaped alike, until there are enough of them."""

    def __init__(self, resource: Resource, kind: Kind, full: bool) -> None:
        self.resource, self.kind, self.full = resource, kind, full
        self.items: list[Item] = []
        self._texts: list[bytes] = []
        self.nbytes = 0

    def add(self, item: Item, text: bytes) -> None:
        # Without the body: it may be large, and the group waits for thousands of items.
        bare = text is item.row and item.body is None
        self.items.append(item if bare else replace(item, row=b"", body=None, document=None))
        self._texts.append(text)
        self.nbytes += len(text)

    def take(self) -> tuple[Sequence[Item], Sequence[bytes]]:
        taken = self.items, self._texts
        self.items, self._texts, self.nbytes = [], [], 0
        return taken
