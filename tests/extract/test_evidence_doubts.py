"""What takes the proof of a list away: rows that came back with an old time, and an end like that of a cut list."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.absent import SAMPLE
from oa_sync.extract.lists.changes import Known, listed
from oa_sync.extract.lists.evidence import MARGIN
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import LONG_AGO, REPORTS, START, UNDATED, PageRead, loaded, row_of
from tests.extract.test_evidence import Reader, old, young
from tests.extract.test_evidence import page as page_at
from tests.extract.test_reading_steps import Told, known, page, read

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})

# -- rows that may have been restored ---------------------------------------------------------------


@pytest.mark.parametrize(("restored", "proven"), [("", True), ("c", False), ("x", True)])
def test_a_row_that_counts_for_its_time_alone_proves_nothing_where_it_may_be_restored(
    restored: str, proven: bool
) -> None:
    reader = Reader(restored=restored)
    reader.next(old("a", "b"), 3)
    reader.next(old("c"), 3)
    assert reader.evidence.proven is proven


def test_rows_of_the_first_page_loaded_ones_and_young_ones_are_no_restored_ones() -> None:
    reader = Reader("c", restored="abcn")
    reader.next(old("a", "b"), 3)
    reader.next({**old("c"), **young("n")}, 4)
    assert reader.evidence.proven


HOURS = timedelta(hours=2)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("lead", "proven"),
    [
        (-MARGIN - SECOND, True),
        (-MARGIN + SECOND, False),
        (SECOND, False),
        (MARGIN, False),
        (MARGIN + 2 * SECOND, True),
    ],
)
def test_a_time_that_another_zone_would_lead_into_the_reading_proves_nothing(
    lead: timedelta, proven: bool
) -> None:
    """The second page is shown a second after the first."""
    reader = Reader()
    reader.next(old("a", "b"), 3)
    reader.next({"c": START - HOURS + lead + timedelta(milliseconds=1)}, 3)
    assert reader.evidence.proven is proven


def test_a_time_on_a_page_without_the_servers_time_proves_nothing() -> None:
    reader = Reader()
    reader.next(old("a", "b"), 3)
    read = page_at(old("c"), 3, at=START)
    place = replace(read.place, server_date=None)

    class Undated(type(read)):  # type: ignore[misc]
        place = property(lambda self: self._place)

    undated = Undated(**{one.name: getattr(read, one.name) for one in fields(read)})
    undated._place = place
    reader.evidence.add_next(undated, [listed(REPORTS, row) for row in read.rows])
    assert not reader.evidence.proven


DAY = timedelta(days=1)
NEWEST = {"a": LONG_AGO, "b": LONG_AGO + DAY, "c": LONG_AGO - DAY}


@pytest.mark.parametrize(
    ("key", "days", "may_be"),
    [
        # Others that are loaded have a later time.
        ("new", 0, True),
        # Its time is news.
        ("new", 1, False),
        ("new", 2, False),
        # It was there before, whatever its time is.
        ("gone", 2, True),
    ],
)
def test_a_row_may_be_restored_where_it_was_there_before_or_its_time_is_no_news(
    key: str, days: int, may_be: bool
) -> None:
    before = loaded(REPORTS, [row_of(one, time) for one, time in NEWEST.items()])
    before["gone"] = Known("v", "h", "v", deleted=True)
    scan = Scan(REPORTS, before)
    row = listed(REPORTS, row_of(key, LONG_AGO + days * DAY))
    assert scan.may_be_restored(row) is may_be


@pytest.mark.parametrize(
    ("of", "before"),
    [(REPORTS, {}), (REPORTS, {"a": Known("v", "h", "v", deleted=False)}), (UNDATED, NEWEST)],
    ids=["nothing is loaded", "no loaded row has a time", "it has no time"],
)
def test_a_row_without_a_time_to_compare_is_no_restored_one(
    of: Resource, before: dict[str, Any]
) -> None:
    rows = [row_of(one, time) for one, time in NEWEST.items()]
    scan = Scan(of, loaded(REPORTS, rows) if before is NEWEST else before)
    assert scan.may_be_restored(listed(of, row_of("new", LONG_AGO))) is False


# -- a list that ends as one that is cut ------------------------------------------------------------


def test_a_list_ends_full_where_its_last_page_in_turn_does() -> None:
    reader = Reader()
    assert reader.evidence.ends_full is False
    ends = []
    for key, is_full in (("a", True), ("b", False), ("c", True)):
        reader.next(old(key), 3, is_full=is_full)
        ends.append(reader.evidence.ends_full)
    reader.extra(old("d"), 3)
    assert [*ends, reader.evidence.ends_full] == [True, False, True, True]


def cut(keys: str, total: int | None = None, *, is_full: bool = True, **more: Any) -> Told:
    return Told([page(keys, total, is_full=is_full, **more)])


@pytest.mark.parametrize(
    ("lists", "may_be_cut"),
    [
        # It says that it is whole: by its total, or by its end.
        ([cut("abc", 3)], True),
        ([cut("abc")], True),
        ([cut("aab", 3)], True),
        # Its end is not like that of one that is cut.
        ([cut("abc", 3, is_full=False)], False),
        # Too few rows are absent.
        ([cut("abcd", 4)], False),
        # One of several.
        ([cut("a", 1), cut("bc", 2, is_full=False)], True),
    ],
)
def test_a_list_that_ends_full_may_be_cut_where_enough_rows_are_absent(
    lists: list[Told], may_be_cut: bool
) -> None:
    assert SAMPLE == 3
    result = read(*lists, resource=REPORTS, known=known(*"abcdef"))
    assert result.finished
    assert result.may_be_cut is may_be_cut


def test_the_details_of_a_few_absent_rows_are_asked_for_where_a_list_may_be_cut() -> None:
    result = read(cut("abcdef"), resource=REPORTS, known=known(*"abcdefghijk"))
    assert result.pending.keys() == set("gik")


@pytest.mark.parametrize(
    ("of", "total", "parents_proven", "may_be_cut"),
    [
        (REPORTS, 3, True, True),
        # The details of its rows are not asked for, or there are none.
        (REPORTS, 3, False, False),
        (WITHOUT_DETAIL, 3, True, False),
        # Without proof of its parents it claims to be whole by its total alone.
        (REPORTS, 3, None, True),
        (REPORTS, None, None, False),
    ],
)
def test_a_list_that_claims_nothing_or_cannot_be_asked_about_is_not_taken_for_cut(
    of: Resource, total: int | None, parents_proven: bool | None, may_be_cut: bool
) -> None:
    before = known(*"abcdef", resource=of)
    result = read(cut("abc", total), resource=of, known=before, parents_proven=parents_proven)
    assert result.may_be_cut is may_be_cut


@pytest.mark.parametrize(
    ("seen", "may_be_cut", "in_doubt"),
    [("abcd", False, False), ("abcd", True, True), ("", False, True), ("", True, True)],
)
def test_a_list_is_in_doubt_where_it_may_be_cut_or_too_many_rows_are_absent(
    seen: str, may_be_cut: bool, in_doubt: bool
) -> None:
    scan = Scan(REPORTS, known(*"abcde"), set(seen), finished=True, may_be_cut=may_be_cut)
    assert scan.is_in_doubt is in_doubt


# -- rows that share a key --------------------------------------------------------------------------


def in_one_answer(*names: str) -> Scan:
    scan = Scan(WITHOUT_DETAIL, {}, rows={})
    rows = [{**row_of("a", START), "name": name} for name in names]
    entries = scan.add(PageRead(rows, None, 0, True, START, True))
    assert [entry.key for entry in entries] == ["a"] * len(names)
    assert list(scan.pending) == ["a"]
    return scan


def test_of_rows_that_share_a_key_in_one_answer_the_first_is_taken_and_each_other_is_told() -> None:
    scan = in_one_answer("one", "two", "one", "two", "three")
    told = scan.same_key.values()
    assert [(one.where, one.key) for one in told] == [
        ("page 1, row 4", "a"),
        ("page 1, row 5", "a"),
    ]
    assert scan.rows is not None
    assert scan.rows["a"]["name"] == "one"
    assert b'"one"' in scan.pending["a"].raw
    assert scan.set_aside == {}


def test_equal_rows_of_one_answer_are_copies_and_none_is_told() -> None:
    assert in_one_answer("one", "one").same_key == {}
