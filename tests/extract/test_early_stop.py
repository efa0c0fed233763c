"""When a list with its latest change first may be left, one condition a test.

The numbers in the names are those of the argument in `early_stop.py`. Every test begins with a list that
may be left after its first page, and takes one condition away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, listed
from oa_sync.extract.lists.early_stop import MARGIN, EarlyStop, is_eligible
from oa_sync.extract.lists.order import Order
from tests.extract.moving_list import REPORTS, START, loaded, row_of

P = START
"""The beginning of the scan before."""
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
LOADED = {"a": P - 1 * HOUR, "b": P - 2 * HOUR, "c": P - 3 * HOUR, "d": P - 4 * HOUR}

Rows = Mapping[str, datetime]


def known_of(rows: Rows) -> dict[str, Known]:
    return loaded(REPORTS, [row_of(key, time) for key, time in rows.items()])


class Reading:
    """Gives pages to an `EarlyStop` and says of each whether it proves the rest."""

    def __init__(self, known: Mapping[str, Known] | None = None) -> None:
        self.stop = EarlyStop(known_of(LOADED) if known is None else known, P)
        self.order = Order(REPORTS)

    def page(self, rows: Rows, total: int | None = 4) -> bool:
        entries = [listed(REPORTS, row_of(key, time)) for key, time in rows.items()]
        self.order.add(entries, {})
        return self.stop.proves_rest(total, entries, self.order)


def top(*keys: str) -> Rows:
    return {key: LOADED[key] for key in keys}


def test_a_list_may_be_left_where_all_conditions_hold() -> None:
    reading = Reading()
    assert reading.page(top("a", "b"))
    assert reading.stop.rest == 2


def test_a_list_that_was_read_to_its_end_has_no_rest() -> None:
    reading = Reading()
    assert reading.page(LOADED)
    assert reading.stop.rest == 0


# -- 1: the versions of what was read fall ----------------------------------------------------------


def test_1_versions_that_rise_from_row_to_row_prove_nothing() -> None:
    assert not Reading().page(top("b", "a"))


def test_1_versions_that_rise_from_page_to_page_prove_nothing() -> None:
    reading = Reading()
    reading.page({"new": P + HOUR, "c": LOADED["c"]}, 5)
    assert not reading.page(top("b"), 5)


def test_1_a_page_without_rows_shows_no_version() -> None:
    assert not Reading().page({})


# -- 2: v is earlier than P minus the margin, and than the newest loaded version --------------------


@pytest.mark.parametrize(
    ("before", "stops"), [(MARGIN + SECOND, True), (MARGIN, False), (timedelta(0), False)]
)
def test_2_rows_within_the_margin_before_the_scan_are_read_again(
    before: timedelta, stops: bool
) -> None:
    """A transaction that commits late has a time before P, and the scan at P did not see it. The newest
    loaded version is later than that here, so it does not bind."""
    known = known_of({**LOADED, "newest": P + HOUR, "v": P - before})
    reading = Reading(known)
    assert reading.page({"newest": P + HOUR, "v": P - before}, 6) is stops


def test_2_the_row_with_the_newest_loaded_version_is_no_proof_by_itself() -> None:
    """Long before the margin: what was inserted before P with a later time would stand above it."""
    reading = Reading()
    assert not reading.page(top("a"))
    assert reading.page(top("b"))


def test_2_a_row_a_second_older_than_the_newest_loaded_version_is_enough() -> None:
    rows = {"a": P - HOUR, "b": P - HOUR - SECOND, "c": P - 3 * HOUR}
    assert Reading(known_of(rows)).page({"a": rows["a"], "b": rows["b"]}, 3)


# -- 3 is seen to by `OrderMemory`, which compares the digests --------------------------------------


# -- 4: one total on all pages, and as many ids as that ---------------------------------------------


@pytest.mark.parametrize("total", [None, 3, 5])
def test_4_another_total_than_the_loaded_and_the_new_ids_proves_nothing(
    total: int | None,
) -> None:
    assert not Reading().page(top("a", "b"), total)


def test_4_a_new_id_counts_with_the_loaded_ones() -> None:
    """A deleted row and a new one leave the total as it was, and the ids are one too many."""
    assert Reading().page({"new": P + HOUR, **top("a", "b")}, 5)
    assert not Reading().page({"new": P + HOUR, **top("a", "b")}, 4)


def test_4_a_total_that_changed_between_pages_proves_nothing_for_good() -> None:
    reading = Reading()
    reading.page({"new": P + HOUR}, 6)
    assert not reading.page(top("a", "b"), 5)
    assert not reading.page(top("c"), 5)


def test_4_a_row_on_two_pages_counts_once() -> None:
    reading = Reading()
    reading.page({"new": P + HOUR, **top("a")}, 5)
    assert reading.page(top("a", "b"), 5)
    assert reading.stop.rest == 2


def test_4_a_deleted_id_is_not_expected_in_the_list() -> None:
    known = known_of({**LOADED, "gone": P - 9 * HOUR})
    known["gone"] = replace(known["gone"], deleted=True)
    assert Reading(known).page(top("a", "b"), 4)
    assert not Reading(known).page(top("a", "b"), 5)


# -- 5: no unread id is newer than v or waits for its detail ----------------------------------------


def test_5_an_unread_id_with_a_later_version_proves_that_the_order_is_another() -> None:
    reading = Reading()
    assert not reading.page(top("a", "c")), "b is later than c and was not read"
    assert not reading.page(top("d"))


def test_5_an_unread_id_with_the_version_of_the_last_row_does_no_harm() -> None:
    known = known_of({**LOADED, "twin": LOADED["b"]})
    assert Reading(known).page(top("a", "b"), 5)


@pytest.mark.parametrize("detail", [None, "2020-01-01T00:00:00+00:00"])
def test_5_the_list_is_read_as_far_as_the_last_row_that_waits_for_its_detail(
    detail: str | None,
) -> None:
    known = known_of(LOADED)
    known["c"] = replace(known["c"], detail_version=detail)
    reading = Reading(known)
    assert not reading.page(top("a", "b"))
    assert reading.page(top("c"))


def test_5_a_deleted_id_waits_for_nothing() -> None:
    known = known_of({**LOADED, "gone": P - HOUR})
    known["gone"] = replace(known["gone"], deleted=True, detail_version=None)
    assert Reading(known).page(top("a", "b"))


# -- what is loaded ---------------------------------------------------------------------------------


def test_nothing_loaded_proves_nothing() -> None:
    assert not Reading({}).page({"a": P - HOUR, "b": P - 2 * HOUR}, 2)


@pytest.mark.parametrize("version", [None, "no time"])
def test_one_loaded_id_without_a_time_makes_it_impossible(version: str | None) -> None:
    known = known_of(LOADED)
    known["d"] = replace(known["d"], version=version, detail_version=version)
    assert not Reading(known).page(top("a", "b"))


def test_a_deleted_id_without_a_time_does_no_harm() -> None:
    known = {**known_of(LOADED), "gone": Known(None, None, None, deleted=True)}
    assert Reading(known).page(top("a", "b"))


# -- which lists ------------------------------------------------------------------------------------

DEFINED: dict[str, Any] = {
    "name": "reports",
    "endpoint": {"path": "reports", "incremental": {"cursor_path": "updated_at"}},
    "primary_key": ["id"],
    "detail": {"path": "reports/{id}"},
}


@pytest.mark.parametrize(
    ("words", "eligible"),
    [
        ({}, True),
        ({"endpoint": {"path": "reports"}}, False),
        ({"detail": None}, False),
        ({"write_disposition": "append"}, False),
        ({"write_disposition": "replace"}, False),
        ({"primary_key": [], "write_disposition": "merge"}, False),
        (
            {
                "endpoint": {
                    "path": "teams/{team}/reports",
                    "params": {"team": {"type": "resolve", "resource": "teams", "field": "id"}},
                    "incremental": {"cursor_path": "updated_at"},
                }
            },
            False,
        ),
    ],
    ids=["all", "no time", "no detail", "append", "replace", "no key", "by parent"],
)
def test_only_a_merged_list_with_key_time_and_detail_of_its_own_may_be_left(
    words: dict[str, Any], eligible: bool
) -> None:
    assert is_eligible(Resource.model_validate({**DEFINED, **words})) is eligible
