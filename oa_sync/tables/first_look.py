"""Whether a destination can take what a sync will fetch, found out before a request is spent on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from oa_sync.definitions.model import Query, Resource
from oa_sync.tables.agent_runs import events_table
from oa_sync.tables.syncs import TABLE as SYNCS
from oa_sync.tables.target import Target


def look_first(target: Target, tables: Collection[str]) -> None:
    """Make sure that `target` can take rows of `tables`. Into a place without tables of ours, all that a load
    needs is tried; later the rights are only read.

    Raises:
        DestinationError: it cannot, and why.
    """
    target.require(tables)
    if not target.columns():
        target.probe()


def tables_of(resources: Iterable[Resource], queries: Iterable[Query] = ()) -> Iterator[str]:
    """The names of all tables that a sync of these may make, as far as they are known before it."""
    for resource in resources:
        yield from resource.tables()
        if resource.status is not None:
            yield events_table(resource)
    for query in queries:
        yield query.table
    yield SYNCS
