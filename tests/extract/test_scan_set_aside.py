"""Rows of a list without a readable key: they are set aside, unless they show that the definition is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import REFUSED_ROWS, Scan
from oa_sync.journal.list_keys import MOST
from tests.extract.moving_list import REPORTS, PageRead
from tests.extract.test_scan_decisions import (
    OF_PARENTS,
    WITH_STEPS,
    WITHOUT_DETAIL,
    counts,
    page,
    row,
)

ODD: dict[str, Any] = {"name": "odd"}


def first(*rows: Any) -> PageRead:
    """A page that is not the last one."""
    return replace(page(*rows), is_last=False)


def test_a_row_set_aside_is_named_by_its_place_and_the_reason_without_advice() -> None:
    scan = Scan(REPORTS, {})
    scan.add(first(row("a"), row("b")))
    scan.add(page(row("c"), ODD, None))
    assert [(one.where, one.key, one.reason) for one in scan.set_aside.values()] == [
        ("page 2, row 2", None, "a row has no id; its keys are name"),
        ("page 2, row 3", None, "a row is null, not an object"),
    ]


@pytest.mark.parametrize("of", [REPORTS, WITHOUT_DETAIL], ids=["detail", "plain"])
def test_a_row_set_aside_is_seen_and_neither_counted_nor_pending(of: Resource) -> None:
    scan = Scan(of, {}, rows={})
    entries = scan.add(page(ODD, row("a"), ODD))
    assert [entry.key == "a" for entry in entries] == [False, True, False]
    assert all(entry.full for entry in (entries[0], entries[2]))
    assert len(scan.seen) == 3, "equal ones are two rows of the list"
    assert counts(scan) == (1, 0, 0)
    assert list(scan.pending) == ["a"]
    assert list(scan.rows or {}) == ["a"]


def test_a_row_set_aside_that_comes_again_is_the_same_one() -> None:
    scan = Scan(REPORTS, {})
    for _ in range(2):
        scan.add(page(row("a"), ODD, None))
    assert len(scan.set_aside) == 2
    assert len(scan.seen) == 3


@pytest.mark.parametrize(
    ("pages", "of", "at_fault"),
    [
        # All there is.
        ([page(ODD)], REPORTS, True),
        ([first(ODD), page(ODD)], REPORTS, True),
        # The list of one parent is not all there is.
        ([page(ODD)], OF_PARENTS, False),
        # More may come.
        ([first(ODD)], REPORTS, False),
        ([first(*[ODD] * (REFUSED_ROWS - 1))], REPORTS, False),
        ([first(*[ODD] * REFUSED_ROWS)], REPORTS, True),
        ([first(*[ODD] * (REFUSED_ROWS - 1)), first({"other": 1})], REPORTS, True),
        ([page(*[ODD] * (REFUSED_ROWS - 1)), page({"other": 1})], OF_PARENTS, True),
        # A row with a key came before, or is on the page.
        ([first(row("a")), first(*[ODD] * REFUSED_ROWS)], REPORTS, False),
        ([page(row("a"), *[ODD] * REFUSED_ROWS)], REPORTS, False),
        ([page(*[ODD] * REFUSED_ROWS, row("a"))], REPORTS, False),
    ],
)
def test_the_definition_is_wrong_where_no_row_has_a_key_and_these_are_many_or_all(
    pages: list[PageRead], of: Resource, at_fault: bool
) -> None:
    scan = Scan(of, {}, rows={})
    for each in pages[:-1]:
        scan.add(each)
    before = (set(scan.seen), set(scan.set_aside), set(scan.list_keys))
    if at_fault:
        with pytest.raises(InvalidResponseError, match="a row has no id"):
            scan.add(pages[-1])
        assert (scan.seen, set(scan.set_aside), scan.list_keys) == before, "nothing was taken of it"
    else:
        scan.add(pages[-1])
        assert len(scan.set_aside) == sum(
            row.get("id") is None for one in pages for row in one.rows
        )


# -- what the objects of a row hold -----------------------------------------------------------------


def test_keys_inside_objects_are_remembered_only_where_a_detail_may_bring_more() -> None:
    nested = row("a", owner={"login": "x"})
    with_detail, plain = Scan(REPORTS, {}), Scan(WITHOUT_DETAIL, {})
    with_detail.add(page(nested))
    plain.add(page(nested))
    inside = {'["owner",null]', '["owner","login"]'}
    assert with_detail.list_keys - plain.list_keys == inside
    assert plain.list_keys == {"id", "updated_at", "name", "owner"}


@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_objects_with_very_many_keys_are_maps_and_their_keys_are_data(count: int) -> None:
    top = {"id", "updated_at", "name", "map"}
    keys = {f"k{n}": n for n in range(count - len(top) - 1)}
    scan = Scan(REPORTS, {})
    scan.add(page(row("a", map=keys)))
    if count == MOST:
        assert len(scan.list_keys) == MOST
        return
    assert scan.list_keys == top
    scan.add(page(row("b", map={"one": 1})))
    assert scan.list_keys == top, "from then on nobody looks inside"


# -- versions that name a day -----------------------------------------------------------------------

DAY = "2026-03-02T00:00:00Z"
LOADED = Known(DAY, "h", DAY, deleted=False)
DATED_WITH_STEPS = REPORTS.model_copy(update={"children": WITH_STEPS.children})


@pytest.mark.parametrize(
    ("more", "of", "wants"),
    [
        ({}, REPORTS, True),
        ({}, WITHOUT_DETAIL, False),
        ({"steps": []}, DATED_WITH_STEPS, False),
        ({"steps": 2}, DATED_WITH_STEPS, True),
    ],
)
def test_the_detail_of_a_row_of_the_same_day_with_other_content_is_asked_for(
    more: dict[str, Any], of: Resource, wants: bool
) -> None:
    """Unless the row is full, or there is no detail."""
    scan = Scan(of, {"a": LOADED})
    scan.add(page({"id": "a", "updated_at": DAY, **more}))
    assert scan.pending["a"].wants_detail is wants


def test_a_list_that_was_read_after_that_day_shows_what_does_not_move_the_version() -> None:
    over = datetime(2026, 3, 3, tzinfo=UTC)
    scan = Scan(REPORTS, {"a": LOADED}, read_before=over)
    scan.add(page({"id": "a", "updated_at": DAY}))
    assert not scan.pending["a"].wants_detail
