"""What a definition declares, in one line for each resource: for `oa-sync resources` and `validate`."""

from __future__ import annotations

from dataclasses import dataclass

from oa_sync.definitions.model import (
    CursorPaginator,
    Definition,
    OffsetPaginator,
    PageNumberPaginator,
    Resource,
    SinglePagePaginator,
)


@dataclass(frozen=True)
class ResourceSummary:
    """One resource as a reader wants to see it. `cost` counts requests of one sync."""

    name: str
    list_path: str
    detail_path: str | None
    primary_key: tuple[str, ...]
    cursor: str | None
    children: tuple[str, ...]
    write_disposition: str
    paginator: str
    optional: bool
    cost: str


def summarise(definition: Definition) -> tuple[ResourceSummary, ...]:
    """Every resource of `definition`, in its order."""
    return tuple(_summary(definition, resource) for resource in definition.resources)


def _summary(definition: Definition, resource: Resource) -> ResourceSummary:
    endpoint = resource.endpoint
    return ResourceSummary(
        name=resource.name,
        list_path=endpoint.path if endpoint.method == "GET" else f"POST {endpoint.path}",
        detail_path=resource.detail.path if resource.detail else None,
        primary_key=resource.primary_key,
        cursor=resource.cursor_path,
        children=tuple(resource.tables())[1:],
        write_disposition=resource.write_disposition,
        paginator=definition.paginator_for(resource).type,
        optional=endpoint.optional,
        cost=_cost(definition, resource),
    )


def _cost(definition: Definition, resource: Resource) -> str:
    paginator = definition.paginator_for(resource)
    size = None
    if isinstance(paginator, OffsetPaginator):
        size = paginator.limit
    elif isinstance(paginator, PageNumberPaginator | CursorPaginator):
        size = paginator.size
    if isinstance(paginator, SinglePagePaginator):
        cost = "1 request"
    else:
        cost = f"1 request per {size} rows" if size else "1 request per page"
    if resource.parent is not None:
        cost += f", for each row of {resource.parent}"
    return f"{cost}; 1 per new or changed row" if resource.detail else cost
