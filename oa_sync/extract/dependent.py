"""Lists that are asked for once for each row of another list (`params` of type resolve).

As in dlt `rest_api`: a resolved value fills the placeholder of its name in the path, or goes into the query
string; `include_from_parent` copies fields of the parent's row into each of its rows, as
`_<parent>_<field>`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import select
from oa_sync.definitions.templates import fill_path, placeholders
from oa_sync.errors import InvalidResponseError, NotFoundError
from oa_sync.extract.scan import ListPage

OpenList = Callable[[Resource, str | None, Mapping[str, Any]], AsyncIterator[ListPage]]


@dataclass(frozen=True, slots=True)
class _PageOfParent:
    """A page with the parent's fields in every row; its total is that of one parent only."""

    page: ListPage
    inherited: dict[str, Any]
    total: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [{**row, **self.inherited} for row in self.page.rows]

    def raw_rows(self) -> list[bytes]:
        if not self.inherited:
            return self.page.raw_rows()
        tail = orjson.dumps(self.inherited)[1:]
        return [_with_members(raw, tail) for raw in self.page.raw_rows()]


def _with_members(raw: bytes, tail: bytes) -> bytes:
    inside = raw.rstrip()[:-1].rstrip()
    return inside + (tail if inside == b"{" else b"," + tail)


async def dependent_pages(
    open_list: OpenList, resource: Resource, parents: Sequence[dict[str, Any]]
) -> AsyncIterator[ListPage]:
    """The pages of `resource` for every row of `parents`; a parent whose list answers 404 has none.

    Raises:
        InvalidResponseError: a parent's row lacks a field that the definition resolves.
        BudgetExhausted, ApiError: as reading any list.
    """
    for parent in parents:
        path, params = _bound(resource, parent)
        inherited = {
            f"_{resource.parent}_{name}": select(parent, name, None)
            for name in resource.include_from_parent
        }
        try:
            async for page in open_list(resource, path, params):
                yield _PageOfParent(page, inherited)
        except NotFoundError:
            continue


def _bound(resource: Resource, parent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path and the query parameters for one parent."""
    values: dict[str, Any] = {}
    for name, resolve in resource.endpoint.resolved.items():
        values[name] = select(parent, resolve.field, None)
        if values[name] is None or isinstance(values[name], dict | list):
            raise InvalidResponseError(
                f"{resource.name}: a row of {resolve.resource} has no {resolve.field!r}, which the"
                f" parameter {name!r} resolves"
            )
    in_path = set(placeholders(resource.endpoint.path))
    try:
        path = fill_path(resource.endpoint.path, values)
    except ValueError as error:
        raise InvalidResponseError(f"{resource.name}: {error}") from None
    return path, {name: value for name, value in values.items() if name not in in_path}
