"""Whether a list is taken to show its latest change first (see the argument in `order.py`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from oa_sync.extract.lists.changes import Known, listed
from oa_sync.extract.lists.order import FALLS, Order
from tests.extract.moving_list import REPORTS, START, UNDATED, stamp

HOUR = timedelta(hours=1)
P = START
"""When the earlier scan began that saw the versions fall."""


def version(hours: float) -> str:
    """A version that many hours before P."""
    return stamp(P - hours * HOUR)


def order_of(
    *rows: dict[str, Any],
    known: dict[str, Known] | None = None,
    fell_at: datetime | None = None,
) -> Order:
    """The order after these rows, one page each."""
    order = Order(REPORTS, fell_at)
    for row in rows:
        order.add([listed(REPORTS, row)], known or {})
    return order


def row(key: str, hours: float, **more: Any) -> dict[str, Any]:
    return {"id": key, "updated_at": version(hours), **more}


def loaded(**hours: float | None) -> dict[str, Known]:
    """Rows that are loaded with a version that many hours before P; None: with none."""
    return {
        key: Known(None if at is None else version(at), "h", None, deleted=False)
        for key, at in hours.items()
    }


# -- whether the versions fall ----------------------------------------------------------------------


def test_versions_that_fall_or_are_equal_are_an_order() -> None:
    order = order_of(row("a", 1), row("b", 1), row("c", 2))
    assert order.is_falling
    assert order.last == P - 2 * HOUR


def test_one_later_version_ends_the_order_for_good() -> None:
    order = order_of(row("a", 2), row("b", 1), row("c", 3))
    assert not order.is_falling
    assert order.last == P - 2 * HOUR


@pytest.mark.parametrize("cursor", [None, "no time", "2026-03-02T09:00:00"])
def test_one_row_without_an_instant_ends_the_order(cursor: str | None) -> None:
    """A time without its zone is none."""
    assert not order_of(row("a", 2), {"id": "b", "updated_at": cursor}).is_falling


def test_a_list_without_rows_shows_no_order() -> None:
    assert not order_of().is_by_change


def test_a_list_without_a_cursor_field_has_no_order() -> None:
    assert not Order(UNDATED).is_falling


# -- a row that moved up ----------------------------------------------------------------------------


def moved(
    *, was: float | None = 9, below: float = 5, known_below: float = 5, fell_at: datetime | None = P
) -> bool:
    """Row `a` has changed since it was loaded as `was`, and stands before `b`, which is as loaded."""
    known = loaded(a=was, b=known_below)
    return order_of(row("a", -1), row("b", below), known=known, fell_at=fell_at).is_by_change


def test_a_changed_row_above_one_that_it_stood_below_shows_the_order() -> None:
    assert moved()


def test_no_move_is_seen_without_an_earlier_scan_that_saw_the_versions_fall() -> None:
    assert not moved(fell_at=None)


@pytest.mark.parametrize("was", [5, 4])
def test_a_row_that_stood_above_before_did_not_move(was: float) -> None:
    assert not moved(was=was)


def test_a_row_that_was_loaded_without_a_version_shows_no_move() -> None:
    assert not moved(was=None)


def test_a_row_below_that_has_changed_too_shows_no_move() -> None:
    assert not moved(known_below=6)


@pytest.mark.parametrize("below", [0, -0.5])
def test_a_row_below_with_a_version_of_after_the_earlier_scan_shows_no_move(below: float) -> None:
    """Its version may come from a detail that was read after the list."""
    assert not moved(below=below, known_below=below)


def test_a_new_row_and_a_deleted_one_show_no_move() -> None:
    known = {"a": Known(version(9), "h", None, deleted=True), **loaded(b=5)}
    assert not order_of(row("a", -1), row("b", 5), known=known, fell_at=P).is_by_change
    assert not order_of(row("a", -1), row("b", 5), known=loaded(b=5), fell_at=P).is_by_change


@pytest.mark.parametrize("was", [{"a": 9, "c": 3}, {"a": 3, "c": 9}, {"a": 9, "c": None}])
def test_of_several_changed_rows_the_one_that_stood_lowest_counts(
    was: dict[str, float | None],
) -> None:
    known = loaded(**was, b=5)
    rows = (row("a", -2), row("c", -1), row("b", 5))
    assert order_of(*rows, known=known, fell_at=P).is_by_change


def test_a_move_is_no_proof_once_the_versions_rise() -> None:
    known = loaded(a=9, b=5)
    rows = (row("a", -1), row("b", 5), row("c", 4))
    assert not order_of(*rows, known=known, fell_at=P).is_by_change


# -- or three facts at once -------------------------------------------------------------------------


def told(count: int, **times: Any) -> bool:
    """`count` rows an hour apart; `times` gives the hours before P of another time of each row."""
    rows = [
        row(f"r{n}", n, **{name: version(hours(n)) for name, hours in times.items()})
        for n in range(count)
    ]
    return order_of(*rows).is_by_change


def scattered(n: int) -> int:
    """A day or more before the version, in no order."""
    return n + 24 + n * 7 % 5


def test_twenty_falls_and_a_time_of_creation_in_no_order_show_it() -> None:
    assert told(FALLS + 1, created_at=scattered)
    assert told(FALLS + 2, created_at=scattered)
    assert FALLS == 20


def test_nineteen_falls_do_not() -> None:
    assert not told(FALLS, created_at=scattered)


def test_equal_versions_are_no_falls() -> None:
    rows = [row(f"r{n}", n // 2, created_at=version(scattered(n))) for n in range(FALLS + 2)]
    assert not order_of(*rows).is_by_change
    rows = [row(f"r{n}", n // 2, created_at=version(scattered(n))) for n in range(2 * FALLS + 1)]
    assert order_of(*rows).is_by_change


def test_without_another_time_nothing_rules_out_the_order_of_creation() -> None:
    assert not told(FALLS + 1)


def test_a_time_that_is_later_than_the_version_is_none_of_creation() -> None:
    assert not told(FALLS + 1, due_at=lambda n: scattered(n) if n != 7 else n - 1)
    assert told(FALLS + 1, due_at=lambda n: scattered(n) if n != 7 else n)


@pytest.mark.parametrize(
    "hours",
    [
        lambda n: n + 24,
        lambda n: n // 2 + 24,
        lambda n: 99 - n,
        lambda n: 99 - n // 2,
        lambda n: 99,
    ],
)
def test_another_time_that_is_in_order_may_explain_that_of_the_versions(hours: Any) -> None:
    """It falls, rises, or stands still."""
    assert not told(FALLS + 1, created_at=scattered, other_at=hours)


def test_a_time_that_was_later_than_the_version_once_is_none_of_creation() -> None:
    assert not told(FALLS + 1, due_at=lambda n: n - 1 if n < 2 else scattered(n))


def test_a_time_in_the_future_in_no_order_explains_nothing() -> None:
    assert told(FALLS + 1, created_at=scattered, due_at=lambda n: n - 1 - n * 7 % 5)


def test_a_time_that_one_row_lacks_is_none_of_creation_but_may_be_in_order() -> None:
    rows = [row(f"r{n}", n, created_at=version(scattered(n))) for n in range(FALLS + 1)]
    rows[5]["created_at"] = None
    assert not order_of(*rows).is_by_change
    for n, each in enumerate(rows):
        each |= {"made_at": version(scattered(n)), "created_at": version(n + 24)}
    rows[5]["created_at"] = 17
    assert not order_of(*rows).is_by_change, "but for one row, created_at falls"


def test_only_times_that_the_first_row_has_are_followed() -> None:
    rows = [row(f"r{n}", n, created_at=version(scattered(n))) for n in range(FALLS + 1)]
    for n, each in enumerate(rows[1:], 1):
        each["seen_at"] = version(n + 24)
    assert order_of(*rows).is_by_change
