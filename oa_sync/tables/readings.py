"""The table `_oa_readings`: what each resource's rows were read with, besides their list.

A detail or a child list may be declared when rows are loaded already. Nothing in these rows says that more has
to be read of them: their versions are current. So for each resource this table holds what the loaded rows were
read with. Where the definition reads more now, the rows are written once without `_oa_detail_version`: they are
backlog from then on, whatever budget, kill or lost home folder comes between. Only then is written here what they
are read with now, so a sync that is killed in between does both once more.

A database of an earlier version has no such row. Its rows count as read by the present definition: nothing
there tells a child list that was never read from one that was always empty, and no request is to be wasted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.definitions.model import Child, Resource
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, Batch, TableHints
from oa_sync.tables.target import Target

TABLE = "_oa_readings"

_DETAIL_VERSION = "_oa_detail_version"
_DETAIL = "detail"


def reading_of(resource: Resource) -> frozenset[str]:
    """What the definition reads of a row besides its own fields in the list: its detail, and each child list
    with the table that it becomes."""
    lists = (f"{path}: {table}" for path, table in _lists(resource.children))
    return frozenset([*lists, *([_DETAIL] if resource.detail is not None else [])])


def _lists(children: Mapping[str, Child], above: str = "") -> Iterator[tuple[str, str]]:
    for path, child in children.items():
        yield f"{above}{path}", child.table
        yield from _lists(child.children, f"{above}{path}.")


class Readings:
    """What is to be done for `resources` before anything else is loaded of them."""

    def __init__(self, resources: Iterable[Resource], target: Target, workspace: str) -> None:
        self._target, self._workspace = target, workspace
        self._now = {resource.name: reading_of(resource) for resource in resources}
        loaded = target.select(TABLE, ["resource", "reads"])
        self._before = {name: frozenset(orjson.loads(reads)) for name, reads in loaded}

    @property
    def read_with_less(self) -> list[str]:
        """The resources whose loaded rows were read with less than now."""
        return [name for name, now in self._now.items() if now - self._before.get(name, now)]

    def to_read_again(self) -> Iterator[Batch]:
        """The rows that were read with less than now, as backlog; load them before `changed`."""
        for name in self.read_with_less:
            if self._target.has_table(name):
                yield from self._as_backlog(name)

    def changed(self) -> Iterator[Batch]:
        """What the rows of each resource are read with from now on, where that is not what is loaded."""
        rows = {name: now for name, now in self._now.items() if self._before.get(name) != now}
        if rows:
            reads = [orjson.dumps(sorted(one)).decode() for one in rows.values()]
            columns = {
                WORKSPACE: pa.array([self._workspace] * len(rows), pa.string()),
                "resource": pa.array(list(rows), pa.string()),
                "reads": pa.array(reads, pa.string()),
            }
            yield Batch(
                TableHints(
                    TABLE,
                    primary_key=(WORKSPACE, "resource"),
                    columns={"reads": {"data_type": "json"}},
                ),
                pa.table(columns),
            )

    def _as_backlog(self, name: str) -> Iterator[Batch]:
        """The living rows of the table `name` as they are loaded, without the version of their detail."""
        hints = self._target.hints(name)
        for batch in self._target.batches(name):
            rows = pa.Table.from_batches([batch])
            own = pc.equal(rows[WORKSPACE], self._workspace)
            rows = rows.filter(pc.and_(own, pc.is_null(rows[DELETED_AT])))
            place = rows.schema.get_field_index(_DETAIL_VERSION)
            nulls = pa.nulls(rows.num_rows, pa.string())
            rows = rows.set_column(place, rows.schema.field(place), nulls)
            if rows.num_rows:
                yield Batch(hints, rows)
