"""Lists that are asked for once for each row of another list (`params` of type resolve).

As in dlt `rest_api`: a resolved value fills the placeholder of its name in the path, or goes into the query
string; `include_from_parent` copies fields of the parent's row into each of its rows, as
`_<parent>_<field>`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from oa_sync.client.paging import Place
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import select
from oa_sync.definitions.templates import fill_path, placeholders
from oa_sync.errors import InvalidResponseError, NotFoundError
from oa_sync.extract.lists.listing import ListPage, OpenList
from oa_sync.shape.json_text import encode

Opener = Callable[[Resource, str | None, Mapping[str, Any]], OpenList]


class UnaskedListError(InvalidResponseError):
    """A parent does not say how to ask for its list, so no request was sent."""


@dataclass(frozen=True, slots=True)
class _PageOfParent:
    """A page with the parent's fields in every row."""

    page: ListPage
    inherited: dict[str, Any]

    @property
    def rows(self) -> list[Any]:
        inherited = self.inherited
        return [{**row, **inherited} if type(row) is dict else row for row in self.page.rows]

    @property
    def total(self) -> int | None:
        return self.page.total

    @property
    def place(self) -> Place:
        return self.page.place

    def raw_rows(self) -> list[bytes]:
        if not self.inherited:
            return self.page.raw_rows()
        tail = encode(self.inherited)[1:]
        raws = self.page.raw_rows()
        return [_with_members(raw, tail) if raw.lstrip()[:1] == b"{" else raw for raw in raws]


@dataclass(slots=True)
class ListOfParent:
    """The list of one parent. An answer of 404 counts as an empty list, and is noted in `is_missing`. `shown`: the rows
    of its newest reading, whether or not other parents have them too."""

    opened: OpenList
    inherited: dict[str, Any]
    is_missing: bool = False
    shown: int = 0

    @property
    def without_total(self) -> str:
        """As `OpenList.without_total`."""
        return self.opened.without_total

    async def pages(self, *, ahead: bool) -> AsyncGenerator[ListPage, None]:
        """As `OpenList.pages`."""
        self.shown = 0
        try:
            async with aclosing(self.opened.pages(ahead=ahead)) as pages:
                async for page in pages:
                    self.shown += page.place.count
                    yield _PageOfParent(page, self.inherited)
        except NotFoundError:
            self.is_missing = True

    async def across(self, left: Place, right: Place | None) -> list[ListPage]:
        """As `OpenList.across`."""
        pages = await self.opened.across(left, right)
        return [_PageOfParent(page, self.inherited) for page in pages]


@dataclass(frozen=True, slots=True)
class _Unasked:
    """The list of a parent that does not say how to ask for it: reading it raises `error`."""

    error: UnaskedListError
    without_total: str = ""

    async def pages(self, *, ahead: bool) -> AsyncGenerator[ListPage, None]:
        for page in await self.across(None, None):
            yield page

    async def across(self, left: Place | None, right: Place | None) -> list[ListPage]:
        raise self.error


def _with_members(raw: bytes, tail: bytes) -> bytes:
    inside = raw.rstrip()[:-1].rstrip()
    return inside + (tail if inside == b"{" else b"," + tail)


async def dependent_lists(
    open_list: Opener, resource: Resource, parents: Iterable[dict[str, Any]]
) -> AsyncIterator[ListOfParent]:
    """The list of `resource` for every row of `parents`. Where a row lacks a field that the definition resolves,
    reading its list raises UnaskedListError."""
    for parent in parents:
        try:
            path, params = _bound(resource, parent)
        except UnaskedListError as error:
            yield ListOfParent(_Unasked(error), {})
            continue
        inherited = {
            f"_{resource.parent}_{name}": select(parent, name, None)
            for name in resource.include_from_parent
        }
        yield ListOfParent(open_list(resource, path, params), inherited)


def _bound(resource: Resource, parent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path and the query parameters for one parent."""
    values: dict[str, Any] = {}
    for name, resolve in resource.endpoint.resolved.items():
        values[name] = select(parent, resolve.field, None)
        if values[name] is None or isinstance(values[name], dict | list):
            raise UnaskedListError(
                f"{resource.name}: a row of {resolve.resource} has no {resolve.field!r}, which the"
                f" parameter {name!r} resolves"
            )
    in_path = set(placeholders(resource.endpoint.path))
    try:
        path = fill_path(resource.endpoint.path, values)
    except ValueError as error:
        raise UnaskedListError(f"{resource.name}: {error}") from None
    return path, {name: value for name, value in values.items() if name not in in_path}
