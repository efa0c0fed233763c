"""The lists of parents: what is asked for, and what their rows inherit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest

from oa_sync.client.paging import Place
from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError, NotFoundError, ServerError
from oa_sync.extract.lists.dependent import ListOfParent, dependent_lists
from oa_sync.extract.lists.listing import ListPage, OpenList
from tests.extract.moving_list import START, PageRead

DEFINED: dict[str, Any] = {
    "name": "notes",
    "primary_key": ["id"],
    "endpoint": {
        "path": "reports/{report}/notes",
        "params": {
            "report": {"type": "resolve", "resource": "reports", "field": "id"},
            "owner": {"type": "resolve", "resource": "reports", "field": "by.name"},
        },
    },
}
PLAIN = Resource.model_validate(DEFINED)
INHERITING = Resource.model_validate({**DEFINED, "include_from_parent": ["title", "by.name"]})
PARENT = {"id": 7, "title": 'A "title"', "by": {"name": "ann"}, "other": 1}
EMPTY = PageRead([], 0, 0, True, START, True)


class RawPage(PageRead):
    """A page of these bytes."""

    texts: Sequence[bytes] = ()

    def raw_rows(self) -> list[bytes]:
        return list(self.texts)


def page_of(*texts: bytes, total: int | None = None) -> RawPage:
    page = RawPage([json.loads(text) for text in texts], total, 0, True, START, True)
    object.__setattr__(page, "texts", texts)
    return page


class OneList:
    """Gives `pages` one after the other, or raises one of them; a seam shows the first."""

    without_total = "{type: auto}"

    def __init__(self, *pages: PageRead | Exception) -> None:
        self._pages = pages
        self.ahead: list[bool] = []
        self.crossed: list[tuple[Place, Place | None]] = []

    async def pages(self, *, ahead: bool) -> AsyncGenerator[ListPage, None]:
        self.ahead.append(ahead)
        for page in self._pages:
            if isinstance(page, Exception):
                raise page
            yield page

    async def across(self, left: Place, right: Place | None) -> Sequence[ListPage]:
        self.crossed.append((left, right))
        assert isinstance(self._pages[0], PageRead)
        return [self._pages[0]]


Asked = list[tuple[str | None, Mapping[str, Any]]]


async def lists(
    resource: Resource, parents: Sequence[dict[str, Any]], source: OneList
) -> tuple[list[OpenList], Asked]:
    asked: Asked = []

    def open_list(_: Resource, path: str | None, params: Mapping[str, Any]) -> OpenList:
        asked.append((path, params))
        return source

    return [one async for one in dependent_lists(open_list, resource, parents)], asked


def asked_for(*parents: dict[str, Any]) -> Asked:
    async def read() -> Asked:
        opened, asked = await lists(PLAIN, parents, OneList())
        for one in opened:
            assert [page async for page in one.pages(ahead=True)] == []
        return asked

    return asyncio.run(read())


def pages_of(resource: Resource, source: OneList, *, ahead: bool = True) -> list[ListPage]:
    async def read() -> list[ListPage]:
        [opened], _ = await lists(resource, [PARENT], source)
        return [page async for page in opened.pages(ahead=ahead)]

    return asyncio.run(read())


def test_each_parent_is_asked_with_its_values_in_the_path_and_the_others_in_the_query() -> None:
    assert asked_for({"id": 7, "by": {"name": "ann"}}, {"id": "a/b", "by": {"name": "bo"}}) == [
        ("reports/7/notes", {"owner": "ann"}),
        ("reports/a%2Fb/notes", {"owner": "bo"}),
    ]


@pytest.mark.parametrize(
    "parent",
    [
        {"id": 7},
        {"id": 7, "by": {"name": None}},
        {"id": 7, "by": {"name": {}}},
        {"id": 7, "by": {"name": ["ann"]}},
    ],
    ids=["absent", "null", "an object", "a list"],
)
def test_a_parent_without_a_value_that_is_resolved_is_named_with_it(parent: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        asked_for(parent)
    assert str(caught.value) == (
        "notes: a row of reports has no 'by.name', which the parameter 'owner' resolves"
    )


def test_a_value_that_cannot_stand_in_a_path_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match=r"notes: \{report\} is empty or a dot segment"):
        asked_for({"id": "..", "by": {"name": "ann"}})


def test_rows_inherit_fields_of_their_parent_decoded_and_in_their_bytes() -> None:
    """The bytes stay as they are, digits and blanks too; the inherited members come behind them."""
    texts = [b'{"id":1,"cost":1.50}', b"{}", b' { "id" : 3 }\n', b"{ }"]
    (page,) = pages_of(INHERITING, OneList(page_of(*texts, total=9)))
    inherited = {"_reports_title": 'A "title"', "_reports_by.name": "ann"}
    assert list(page.rows) == [{**json.loads(text), **inherited} for text in texts]
    raw = page.raw_rows()
    assert [json.loads(text) for text in raw] == list(page.rows)
    assert raw[0].startswith(b'{"id":1,"cost":1.50,')
    assert page.total == 9


def test_a_field_that_the_parent_does_not_have_is_inherited_as_null() -> None:
    async def read() -> list[dict[str, Any]]:
        parent = {"id": 7, "by": {"name": "ann"}}
        [opened], _ = await lists(INHERITING, [parent], OneList(page_of(b'{"id":1}')))
        return [row async for page in opened.pages(ahead=True) for row in page.rows]

    assert asyncio.run(read()) == [{"id": 1, "_reports_title": None, "_reports_by.name": "ann"}]


def test_rows_that_inherit_nothing_keep_their_exact_bytes() -> None:
    (page,) = pages_of(PLAIN, OneList(page_of(b'{"id":1}\n', b" {}")))
    assert page.raw_rows() == [b'{"id":1}\n', b" {}"]
    assert list(page.rows) == [{"id": 1}, {}]


def test_what_is_no_object_inherits_nothing_and_is_refused_later_by_what_it_is() -> None:
    texts = [b"null", b"[1]", b'"a"']
    (page,) = pages_of(INHERITING, OneList(page_of(*texts)))
    assert list(page.rows) == [None, [1], "a"]
    assert page.raw_rows() == texts


def test_a_window_across_a_seam_inherits_as_pages_do() -> None:
    source = OneList(page_of(b'{"id":1}'))
    left, right = EMPTY.place, page_of(b"{}").place

    async def cross() -> Sequence[ListPage]:
        [opened], _ = await lists(INHERITING, [PARENT], source)
        return await opened.across(left, right)

    (window,) = asyncio.run(cross())
    assert source.crossed == [(left, right)]
    assert window.rows[0]["_reports_title"] == 'A "title"'
    assert window.place == page_of(b'{"id":1}').place


@pytest.mark.parametrize("ahead", [True, False])
def test_pages_are_read_as_they_are_asked_for(ahead: bool) -> None:
    source = OneList(EMPTY, EMPTY)
    assert len(pages_of(PLAIN, source, ahead=ahead)) == 2
    assert source.ahead == [ahead]


def test_a_list_that_is_not_found_is_empty() -> None:
    """The parent was deleted since its own list was read, or has no such list."""
    assert pages_of(PLAIN, OneList(NotFoundError("no", status=404))) == []


@pytest.mark.parametrize("pages", [[NotFoundError("no", status=404)], [EMPTY]], ids=["404", "200"])
def test_a_list_that_is_not_found_is_told_from_one_that_is_empty(
    pages: list[PageRead | Exception],
) -> None:
    async def is_missing() -> list[bool]:
        opened = await lists(PLAIN, [PARENT], OneList(*pages))
        (one,) = opened[0]
        assert isinstance(one, ListOfParent)
        before = one.is_missing
        async for _ in one.pages(ahead=True):
            assert not one.is_missing
        return [before, one.is_missing]

    assert asyncio.run(is_missing()) == [False, pages != [EMPTY]]


def test_the_paginator_of_the_list_of_a_parent_is_told_in_its_own_words() -> None:
    source = OneList(EMPTY)
    (opened,), _ = asyncio.run(lists(PLAIN, [PARENT], source))
    assert opened.without_total == source.without_total


def test_any_other_error_ends_the_reading() -> None:
    with pytest.raises(ServerError):
        pages_of(PLAIN, OneList(EMPTY, ServerError("no", status=500)))
