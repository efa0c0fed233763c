"""How many requests a resource still needs, by what a scan has seen of its list."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.cost import (
    ROWS_A_PAGE,
    Cost,
    backlog,
    cost_of,
    total_cost,
    unseen_backlog,
)
from oa_sync.extract.lists.changes import Change, Known, Listed
from oa_sync.extract.lists.scan import Pending, Scan

DEFINED: dict[str, Any] = {
    "name": "reports",
    "endpoint": {"path": "reports"},
    "primary_key": ["id"],
    "detail": {"path": "reports/{id}"},
}
REPORTS = Resource.model_validate(DEFINED)
WITHOUT_DETAIL = Resource.model_validate({**DEFINED, "detail": None})
OF_PARENTS = Resource.model_validate(
    {
        **DEFINED,
        "detail": {"path": "notes/{id}"},
        "endpoint": {
            "path": "boards/{board}/notes",
            "params": {"board": {"type": "resolve", "resource": "boards", "field": "id"}},
        },
    }
)

LOADED = Known("v2", "h", "v2", deleted=False)
BEHIND = Known("v2", "h", "v1", deleted=False)
"""Loaded, and its newest detail is not."""
GONE = Known("v2", "h", "v1", deleted=True)


def pending(key: str, *, wants: bool = True, full: bool = False) -> Pending:
    return Pending(Listed(key, (key,), "v", "h", full), Change.NEW, None, b"", wants)


def scan_of(
    *rows: Pending,
    known: dict[str, Known] | None = None,
    resource: Resource = REPORTS,
    seen: int | None = None,
    **state: Any,
) -> Scan:
    """A scan that ended early, with `seen` rows: by default the pending ones."""
    count = len(rows) if seen is None else seen
    keys = {row.listed.key for row in rows} | {f"seen{n}" for n in range(count - len(rows))}
    by_key = {row.listed.key: row for row in rows}
    return Scan(resource, known or {}, seen=keys, pending=by_key, **state)


def many(count: int, row: Known, prefix: str = "k") -> dict[str, Known]:
    return {f"{prefix}{n}": row for n in range(count)}


# -- a list that was read to its end ----------------------------------------------------------------


def test_a_whole_scan_costs_its_pages_and_the_details_that_are_not_settled() -> None:
    scan = scan_of(pending("a"), pending("b"), pending("c", wants=False), pages=3, finished=True)
    assert cost_of(scan) == Cost(3, 2)
    assert cost_of(scan, settled={"a", "c"}) == Cost(3, 1)
    assert cost_of(scan, settled={"a"}, parents=9) == Cost(3, 1)


# -- details after a part of the list -----------------------------------------------------------------


def test_loaded_rows_that_were_not_reached_and_wait_for_their_detail_count() -> None:
    known = {**many(4, BEHIND), **many(5, LOADED, "l"), **many(6, GONE, "g")}
    scan = scan_of(pending("a"), known=known, pages=1, total=None)
    assert cost_of(scan).details == 1 + 4
    assert unseen_backlog(scan) == 4


def test_loaded_rows_that_were_reached_count_by_what_the_scan_says_of_them() -> None:
    known = {"seen0": BEHIND, "a": BEHIND, "due": BEHIND, "far": BEHIND}
    scan = scan_of(pending("a"), known=known, seen=2, pages=1)
    scan.pending["due"] = pending("due")  # a run that no list shows
    assert unseen_backlog(scan) == 1
    assert cost_of(scan).details == 2 + 1


@pytest.mark.parametrize(
    ("total", "details"),
    [(100, 5 + 100 - 10 - 20), (30, 5), (12, 5), (None, 5)],
    ids=["more", "just those", "fewer than are loaded", "not told"],
)
def test_rows_of_the_total_that_are_neither_seen_nor_loaded_are_new(
    total: int | None, details: int
) -> None:
    rows = [pending(f"p{n}") for n in range(5)]
    known = {**many(20, LOADED), **many(50, GONE, "g")}
    scan = scan_of(*rows, known=known, seen=10, pages=1, total=total)
    assert cost_of(scan).details == details


def test_no_total_counts_for_the_lists_of_several_parents() -> None:
    scan = scan_of(pending("a"), resource=OF_PARENTS, pages=1, total=50)
    assert cost_of(scan, parents=3).details == 1


@pytest.mark.parametrize(
    ("rows", "handed_on", "details"),
    [
        ([], {}, 7),
        ([pending("a", wants=False, full=True)], {}, 0),
        ([pending("a", wants=False, full=True), pending("b")], {}, 1 + 7),
        ([], {"a": LOADED}, 0),
        ([pending("b")], {"a": LOADED}, 1 + 7),
    ],
    ids=["nothing new", "one, full", "one is not full", "handed on", "handed on, and one not full"],
)
def test_rows_not_reached_want_a_detail_unless_all_new_rows_so_far_were_full(
    rows: list[Pending], handed_on: dict[str, Known], details: int
) -> None:
    scan = scan_of(*rows, seen=3, pages=1, total=10, handed_on=handed_on)
    assert cost_of(scan).details == details


def test_a_resource_without_detail_costs_only_its_list() -> None:
    scan = scan_of(known=many(4, BEHIND), resource=WITHOUT_DETAIL, pages=2, seen=20, total=100)
    assert cost_of(scan) == Cost(10, 0, lists_estimated=True, details_estimated=False)
    assert unseen_backlog(scan) == 0
    assert backlog(WITHOUT_DETAIL, [BEHIND]) == 0


def test_what_was_read_to_its_end_has_no_unseen_backlog() -> None:
    """What it did not show is gone, or asked for by its id."""
    assert unseen_backlog(scan_of(known=many(4, BEHIND), finished=True)) == 0


def test_a_living_row_whose_detail_is_of_another_version_is_backlog() -> None:
    never = Known("v1", "h", None, deleted=False)
    assert backlog(REPORTS, [LOADED, BEHIND, GONE, never]) == 2


# -- pages after a part of the list -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("living", "lists"), [(0, 1), (1, 1), (ROWS_A_PAGE, 1), (ROWS_A_PAGE + 1, 2)]
)
def test_a_list_that_was_not_read_costs_the_pages_of_what_is_loaded(
    living: int, lists: int
) -> None:
    scan = scan_of(known={**many(living, LOADED), **many(500, GONE, "g")})
    cost = cost_of(scan)
    assert (cost.lists, cost.lists_estimated, cost.details_estimated) == (lists, True, True)


@pytest.mark.parametrize(
    ("pages", "seen", "total", "lists"),
    [
        (1, 10, 30, 3),
        (1, 10, 31, 4),
        (2, 15, 30, 4),
        (2, 15, 32, 4),
        (2, 15, 33, 5),
        (5, 50, 20, 5),
        (2, 0, 7, 7),
        (1, 10, None, 2),
    ],
    ids=[
        "whole pages",
        "a part of a page",
        "by the mean page",
        "by the mean page, rounded up",
        "one row more",
        "never less than were read",
        "empty pages",
        "what is loaded, without a total",
    ],
)
def test_a_list_that_was_read_in_part_costs_the_pages_of_its_total(
    pages: int, seen: int, total: int | None, lists: int
) -> None:
    known = {**many(20, LOADED), **many(90, GONE, "g")}
    assert cost_of(scan_of(known=known, pages=pages, seen=seen, total=total)).lists == lists


@pytest.mark.parametrize(("pages", "parents", "lists"), [(0, 3, 3), (5, 3, 5), (2, 3, 3)])
def test_lists_of_parents_cost_a_request_a_parent_at_least(
    pages: int, parents: int, lists: int
) -> None:
    scan = scan_of(resource=OF_PARENTS, pages=pages, seen=pages * 10, total=1_000)
    assert cost_of(scan, parents=parents).lists == lists


# -- sums ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists_estimated", [False, True])
@pytest.mark.parametrize("details_estimated", [False, True])
def test_a_sum_is_an_estimate_where_any_part_is_one(
    lists_estimated: bool, details_estimated: bool
) -> None:
    total = total_cost([Cost(1, 20), Cost(2, 30, lists_estimated, details_estimated), Cost()])
    assert total == Cost(3, 50, lists_estimated, details_estimated)
    assert total.requests == 53
    assert total.estimated is (lists_estimated or details_estimated)
