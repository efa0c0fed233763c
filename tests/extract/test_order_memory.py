"""When what is remembered of an order lets a reading stop early, and what a scan leaves remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.order_memory import (
    FULL_SCAN_DAYS,
    LearnedOrder,
    OrderMemory,
    digest_of,
    versions_of,
)
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import Item, Kind
from tests.extract.moving_list import REPORTS, START, loaded, rows_of
from tests.support.clock import ManualClock

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})
DAY = timedelta(days=1)
SINCE = START - 2 * DAY
KNOWN = loaded(REPORTS, rows_of(3))
LEARNED = LearnedOrder(
    since=SINCE,
    read_whole_at=START - DAY,
    digest=digest_of(versions_of(KNOWN)),
    list_keys=("id", "only below"),
    by_change=True,
)


class Facts:
    """Keeps the fact of one list; counts what is remembered."""

    def __init__(self, fact: Any = None) -> None:
        self.fact = fact
        self.writes = 0

    def recall(self, resource: Resource) -> Any:
        return self.fact

    def remember(self, resource: Resource, fact: Any) -> None:
        self.fact = fact
        self.writes += 1

    @property
    def learned(self) -> LearnedOrder | None:
        return LearnedOrder.from_fact(self.fact)


def opened(learned: LearnedOrder | None, **options: Any) -> tuple[Facts, OrderMemory]:
    facts = Facts(learned.to_fact() if learned else None)
    return facts, OrderMemory(facts, ManualClock(START), **options)


def scan_of(resource: Resource = REPORTS, **state: Any) -> Scan:
    return Scan(resource, dict(KNOWN), **state)


def may_stop(learned: LearnedOrder | None, scan: Scan | None = None, **options: Any) -> bool:
    _, memory = opened(learned, **options)
    return memory.early_stop(scan or scan_of()) is not None


# -- whether a reading may stop early ---------------------------------------------------------------


def test_a_reading_may_stop_where_all_that_is_needed_is_remembered() -> None:
    scan = scan_of()
    assert may_stop(LEARNED, scan)
    assert scan.order.fell_at == SINCE
    assert scan.list_keys == {"id", "only below"}


def test_it_may_not_where_nothing_is_remembered() -> None:
    scan = scan_of()
    assert not may_stop(None, scan)
    assert scan.order.fell_at is None


def test_it_may_not_where_the_destination_holds_something_else() -> None:
    scan = scan_of()
    assert not may_stop(replace(LEARNED, digest="0" * 32), scan)
    assert scan.order.fell_at is None, "what is loaded is not what that scan left"
    assert scan.list_keys == set()


def test_it_may_not_where_only_falling_versions_were_seen() -> None:
    scan = scan_of()
    assert not may_stop(replace(LEARNED, by_change=False), scan)
    assert scan.order.fell_at == SINCE, "a row that moves up will show it"


def test_it_may_not_where_rows_are_kept_for_the_lists_of_others() -> None:
    assert not may_stop(LEARNED, scan_of(rows={}))


def test_it_may_not_where_the_list_is_not_eligible() -> None:
    assert not may_stop(LEARNED, scan_of(WITHOUT_DETAIL))


@pytest.mark.parametrize(
    ("read_whole_at", "may"),
    [
        (START, True),
        (START - 7 * DAY + timedelta(seconds=1), True),
        (START - 7 * DAY, False),
        (START + timedelta(seconds=1), False),  # the clock was set back: nobody knows how long ago
    ],
)
def test_the_whole_list_is_due_after_seven_days(read_whole_at: datetime, may: bool) -> None:
    assert FULL_SCAN_DAYS == 7
    assert may_stop(replace(LEARNED, read_whole_at=read_whole_at)) is may


@pytest.mark.parametrize(("days", "may"), [(0, False), (1, False), (1.5, True)])
def test_the_days_until_the_whole_list_is_due_can_be_chosen(days: float, may: bool) -> None:
    assert may_stop(LEARNED, full_scan_days=days) is may


@pytest.mark.parametrize("field", ["since", "read_whole_at"])
@pytest.mark.parametrize("time", [None, "no time", 7])
def test_a_fact_without_its_times_is_none(field: str, time: Any) -> None:
    assert LearnedOrder.from_fact(LEARNED.to_fact()) == LEARNED
    assert LearnedOrder.from_fact({**LEARNED.to_fact(), field: time}) is None


# -- what a scan leaves remembered ------------------------------------------------------------------


def ended(scan: Scan, learned: LearnedOrder | None = None, items: tuple[Item, ...] = ()) -> Facts:
    """What is remembered after `scan`, and `items` that were loaded with it."""
    facts, memory = opened(learned)
    memory.early_stop(scan)
    for item in items:
        memory.note(item)
    memory.conclude(scan)
    return facts


def whole(**state: Any) -> Scan:
    """A complete scan."""
    return scan_of(**{"finished": True, "since": START, "list_keys": {"name", "id"}, **state})


def test_a_complete_scan_in_which_the_versions_fell_is_remembered() -> None:
    assert ended(whole()).learned == LearnedOrder(
        START, START, digest_of(versions_of(KNOWN)), ("id", "name"), by_change=False
    )


def test_an_order_by_change_stays_one_while_the_versions_fall() -> None:
    found = ended(whole(), LEARNED).learned
    assert found is not None
    assert (found.by_change, found.since, found.read_whole_at) == (True, START, START)
    again = ended(whole(), replace(LEARNED, by_change=False)).learned
    assert again is not None
    assert not again.by_change


def test_a_scan_that_shows_the_order_is_remembered_as_such() -> None:
    scan = whole()
    scan.order._saw_move = True
    found = ended(scan).learned
    assert found is not None
    assert found.by_change


def test_a_scan_that_stopped_early_moves_its_beginning_on_and_not_the_whole_reading() -> None:
    scan = whole(rest_known=2)
    assert not scan.is_complete
    assert ended(scan, LEARNED).learned == replace(LEARNED, since=START)


def test_a_scan_that_stopped_early_leaves_nothing_where_nothing_was_remembered() -> None:
    assert ended(whole(rest_known=2)).fact is None


@pytest.mark.parametrize("state", [{"proven": False}, {"since": None}])
def test_a_scan_that_is_not_complete_or_has_no_time_makes_it_forgotten(
    state: dict[str, Any],
) -> None:
    facts = ended(whole(**state), LEARNED)
    assert (facts.fact, facts.writes) == (None, 1)


def test_versions_that_rise_make_it_forgotten() -> None:
    scan = whole()
    scan.order.is_falling = False
    assert ended(scan, LEARNED).fact is None


@pytest.mark.parametrize("state", [{"finished": False}, {"rows": {}}])
def test_a_scan_that_says_nothing_changes_nothing(state: dict[str, Any]) -> None:
    facts = ended(whole(**state), LEARNED)
    assert (facts.learned, facts.writes) == (LEARNED, 0)


def test_a_list_that_is_not_eligible_is_not_remembered() -> None:
    facts = ended(scan_of(WITHOUT_DETAIL, finished=True, since=START))
    assert facts.writes == 0


def test_the_digest_is_that_of_what_is_loaded_in_the_end() -> None:
    items = (
        Item(Kind.DETAIL, "reports", "r0", START, version="newer"),
        Item(Kind.GONE, "reports", "r1", START, version="of a row that is gone"),
        Item(Kind.ROW, "reports", "new", START, version="first"),
        Item(Kind.ROW, "datasets", "r2", START, version="of another list"),
    )
    found = ended(whole(), items=items).learned
    assert found is not None
    expected = {"r0": "newer", "new": "first", "r2": KNOWN["r2"].version}
    assert found.digest == digest_of(expected)


# -- the digest -------------------------------------------------------------------------------------


def test_a_digest_tells_ids_and_versions_apart_and_not_their_order() -> None:
    assert digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})
    others = [{"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "c": "2"}, {"a1": "", "b": "2"}, {}]
    digests = {digest_of(each) for each in [{"a": "1", "b": "2"}, *others]}
    assert len(digests) == 1 + len(others)
    assert {len(digest) for digest in digests} == {32}


def test_ids_that_are_deleted_or_have_no_version_are_in_no_digest() -> None:
    rows = {
        "a": Known("1", "h", None, deleted=False),
        "b": Known("2", "h", None, deleted=True),
        "c": Known(None, "h", None, deleted=False),
    }
    assert versions_of(rows) == {"a": "1", "b": None, "c": None}
    assert digest_of(versions_of(rows)) == digest_of({"a": "1"})
