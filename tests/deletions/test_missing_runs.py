"""Agent runs that no list tells of and that answer 404: asked for again, and gone after days of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oa_sync.extract.deletions import RUN_GONE_AFTER, Verdict
from oa_sync.extract.lists.changes import Change, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from tests.deletions.conftest import Begin
from tests.deletions.deciding import HOUR, LOADED, RUNS, THINGS, Case, Remembered, scan_of
from tests.support.clock import ManualClock


def runs(loaded: str = "ab", **state: Any) -> Scan:
    """The runs of an API that lists none of them."""
    return scan_of(RUNS, loaded, **{"finished": False, **state})


def waiting(scan: Scan, *keys: str, change: Change = Change.UNCHANGED) -> Scan:
    """`keys` are to be asked for."""
    for key in keys:
        entry = Listed(key, (key,), "v", "h", full=False)
        scan.pending[key] = Pending(entry, change, LOADED, b"", wants_detail=True)
    return scan


def asked_for(begin: Begin, scan: Scan) -> list[str]:
    begin().deletions.leave_for_later(scan)
    return list(scan.pending)


def missing(begin: Begin, key: str = "a") -> tuple[Case, Verdict, list[str]]:
    """A sync in which this run answers 404."""
    case = begin()
    case.listed(runs())
    return case, *case.not_found(key, RUNS)


def test_a_run_is_gone_when_it_answered_404_three_days_apart(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    case, verdict, marks = missing(begin)
    assert (verdict, marks) == (Verdict.HELD, [])
    (warned,) = case.warnings(RUNS)
    assert warned.code == "run_missing"
    assert warned.message.startswith("run a answers 404; ")
    assert warned.message.endswith("counts as deleted from 2026-03-05 on")
    clock.advance((RUN_GONE_AFTER - HOUR).total_seconds())
    assert missing(begin)[1:] == (Verdict.HELD, [])
    assert missing(begin, "b")[1:] == (Verdict.HELD, [])
    clock.advance(HOUR.total_seconds())
    case, verdict, marks = missing(begin)
    assert (verdict, marks) == (Verdict.GONE, ["a"])
    assert case.warnings(RUNS) == []
    assert case.deleted(RUNS) == 1
    assert list(facts.fact("missing_runs", RUNS)) == ["b"]


def test_a_run_that_answers_again_begins_anew(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    missing(begin)
    missing(begin, "b")
    case = begin()
    case.listed(runs())
    case.answered("a", of=RUNS)
    assert list(facts.fact("missing_runs", RUNS)) == ["b"]
    case.answered("b", of=RUNS)
    assert facts.texts == {}
    clock.advance(RUN_GONE_AFTER.total_seconds())
    assert missing(begin)[1] is Verdict.HELD


def test_a_run_that_a_list_shows_again_begins_anew(begin: Begin, facts: Remembered) -> None:
    missing(begin)
    missing(begin, "b")
    begin().listed(scan_of(RUNS, "ab", "a", finished=False))
    assert list(facts.fact("missing_runs", RUNS)) == ["b"]


def test_a_run_that_never_was_missing_is_nothing_to_forget(begin: Begin, facts: Remembered) -> None:
    missing(begin)
    before = dict(facts.texts)
    case = begin()
    case.listed(runs())
    case.answered("b", of=RUNS)
    assert facts.texts == before


def test_a_row_of_another_kind_is_not_followed(begin: Begin, facts: Remembered) -> None:
    facts.set_fact("missing_runs", THINGS, {"a": [HOUR_AGO, HOUR_AGO]})
    case = begin()
    case.listed(scan_of(THINGS, "ab", "b", finished=False))
    case.answered("a")
    assert facts.fact("missing_runs", THINGS) is not None
    assert case.not_found("a") == (Verdict.UNDECIDED, [])


def test_a_run_that_a_whole_list_leaves_out_is_as_any_other_row(begin: Begin) -> None:
    case = begin()
    case.listed(scan_of(RUNS, "ab", "b", proven=False))
    case.answered("b", of=RUNS)
    assert case.not_found("a", RUNS) == (Verdict.GONE, ["a"])
    assert case.warnings(RUNS) == []


# -- when it is asked for again ---------------------------------------------------------------------


def test_a_run_that_answered_404_is_asked_for_again_at_twice_its_age(
    begin: Begin, clock: ManualClock
) -> None:
    missing(begin)
    clock.advance(3600)
    missing(begin)
    clock.advance(3599)
    assert asked_for(begin, waiting(runs(), "a", "b")) == ["b"]
    clock.advance(1)
    assert asked_for(begin, waiting(runs(), "a", "b")) == ["a", "b"]


@pytest.mark.parametrize("change", [Change.NEW, Change.CHANGED])
def test_a_run_of_which_something_was_heard_is_asked_for_at_once(
    change: Change, begin: Begin
) -> None:
    missing(begin)
    assert asked_for(begin, waiting(runs(), "a", change=change)) == ["a"]


def test_a_run_that_a_list_shows_is_asked_for_at_once(begin: Begin) -> None:
    missing(begin)
    assert asked_for(begin, waiting(runs(seen={"a"}), "a")) == ["a"]


def test_a_run_that_is_not_to_be_asked_for_is_nothing_to_leave(begin: Begin) -> None:
    missing(begin)
    missing(begin, "b")
    assert asked_for(begin, waiting(runs(), "b")) == []


# -- what is remembered -----------------------------------------------------------------------------

HOUR_AGO = "2026-03-02T08:00:00+00:00"


@pytest.mark.parametrize(
    "fact", [[], "text", 1, {"a": ["no time", HOUR_AGO]}, {"a": [HOUR_AGO, ""]}]
)
def test_what_home_holds_in_another_form_is_nothing_remembered(
    fact: Any, begin: Begin, facts: Remembered
) -> None:
    facts.set_fact("missing_runs", RUNS, fact)
    assert asked_for(begin, waiting(runs(), "a")) == ["a"]
    missing(begin)
    assert list(facts.fact("missing_runs", RUNS)) == ["a"]


def test_the_first_and_the_newest_404_are_remembered(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    first = clock.now()
    missing(begin)
    clock.advance(timedelta(hours=5).total_seconds())
    missing(begin)
    assert facts.fact("missing_runs", RUNS) == {"a": [first.isoformat(), clock.now().isoformat()]}
