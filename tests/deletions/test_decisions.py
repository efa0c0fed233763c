"""What a list and a detail say about an absent row, one condition a test (see `oa_sync.extract.deletions`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oa_sync.errors import ApiError, NotFoundError
from oa_sync.extract.deletions import MOST_LOOKED_AT, Verdict, shown_but_missing
from oa_sync.extract.lists.changes import Change, Known
from oa_sync.extract.lists.reading import scan as read
from oa_sync.extract.lists.scan import Scan
from tests.deletions.conftest import Begin
from tests.deletions.deciding import DELETED, LOADED, PLAIN, RUNS, THINGS, Case, scan_of
from tests.extract.fetching import resource, task
from tests.extract.moving_list import LONG_AGO, MovingList, row_of
from tests.extract.scanning import only

APPENDED = resource("plain", detail=None, write_disposition="append")

# -- a list on its own ------------------------------------------------------------------------------


def test_what_a_whole_list_does_not_show_is_gone_at_once_and_marked_once(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcdeF", "abc")
    assert case.listed(scan) == ["d", "e"]
    assert case.decide(scan) == []
    assert case.deleted() == 2
    assert case.errors() == case.warnings() == []


@pytest.mark.parametrize(
    "state",
    [{"finished": False}, {"proven": False}, {"rest_known": 1}, {"parents_proven": None}],
    ids=["cut", "unproven", "stopped early", "parents"],
)
def test_a_list_that_is_not_whole_proves_nothing_on_its_own(
    state: dict[str, Any], begin: Begin
) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", **state)
    assert case.concluded(scan) == []
    assert case.deleted() == 0
    assert case.errors() == []


def test_rows_that_stay_though_they_may_be_gone_are_told(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcdeF", "abc", proven=False)
    case.listed(scan)
    case.answered("e")
    assert case.decide(scan) == []
    (told,) = case.warnings()
    assert told.code == "undecided"
    assert "1 row is not in the list any more (d), and nothing proves it gone, so it stays" in (
        told.message
    )


@pytest.mark.parametrize(
    ("seen", "state"),
    [("abcde", {"proven": False}), ("abc", {"rest_known": 2}), ("abc", {"finished": False})],
    ids=["nothing is absent", "the rest is known", "not read to its end"],
)
def test_nothing_is_told_of_rows_that_are_not_missed(
    seen: str, state: dict[str, Any], begin: Begin
) -> None:
    case = begin()
    case.concluded(scan_of(THINGS, "abcde", seen, **state))
    assert case.warnings() == []


def test_rows_of_a_list_that_has_failed_are_told_by_its_error_alone(begin: Begin) -> None:
    case = begin()
    case.concluded(scan_of(THINGS, "abcde", "x", proven=False))
    assert len(case.errors()) == 1
    assert case.warnings() == []


def test_what_the_budget_did_not_reach_is_no_open_question(begin: Begin) -> None:
    case = begin()
    case.concluded(scan_of(THINGS, "abcde", "abc", proven=False), cut=True)
    assert case.warnings() == []


def test_a_list_that_shows_none_of_its_rows_proves_nothing_on_its_own(begin: Begin) -> None:
    assert begin().listed(scan_of(THINGS, "abcde", "x")) == []


def test_rows_that_were_appended_are_never_decided_about(begin: Begin) -> None:
    case = begin()
    assert case.concluded(scan_of(APPENDED, "abcde", "x")) == []
    assert case.errors(APPENDED) == []


# -- a detail that answers --------------------------------------------------------------------------


def test_an_absent_row_whose_detail_answers_is_there(begin: Begin) -> None:
    """The list proved itself only when all its parents were decided about."""
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", proven=False)
    case.listed(scan)
    case.answered("d")
    scan.proven = True
    assert case.decide(scan) == ["e"]


def left_out(case: Case, scan: Scan, *answering: str) -> list[str]:
    case.listed(scan)
    case.answered(*answering)
    return case.deletions.left_out(scan)


def test_absent_rows_whose_details_answer_are_left_out_by_their_list(begin: Begin) -> None:
    loaded, seen = "abcdefgH", "abcd"
    assert left_out(begin(), scan_of(THINGS, loaded, seen, proven=False), *"aefh") == ["e", "f"]
    assert left_out(begin(), scan_of(THINGS, loaded, seen, proven=False)) == []


@pytest.mark.parametrize(
    "state",
    [{"finished": False}, {"may_be_cut": True}, {"seen": set[str]()}],
    ids=["read in part", "may be cut", "shows none of its rows"],
)
def test_a_list_that_was_not_read_to_its_end_or_is_in_doubt_leaves_no_row_out(
    state: dict[str, Any], begin: Begin
) -> None:
    """The one says nothing of them; the other fails for them."""
    scan = replace(scan_of(THINGS, "abcde", "abcd", proven=False), **state)
    assert left_out(begin(), scan, "e") == []


def test_a_list_in_doubt_that_is_confirmed_may_leave_rows_out(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "ab", proven=False, may_be_cut=True)
    case.listed(scan)
    case.answered("a")
    case.not_found("e")
    assert case.decide(scan) == ["e"]
    case.answered("d")
    assert case.deletions.left_out(scan) == ["d"]


def test_a_detail_that_answers_before_its_list_is_known_says_nothing(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abcd", proven=False)
    case.answered("a")
    case.listed(scan)
    assert case.not_found("e") == (Verdict.HELD, [])


# -- a detail that answers 404 ----------------------------------------------------------------------


def test_a_404_of_a_row_that_the_list_shows_is_a_failure(begin: Begin) -> None:
    case = begin()
    case.listed(scan_of(THINGS, "abc", "ab"))
    assert case.not_found("a") == (Verdict.FAILED, [])


def test_a_404_before_the_list_is_known_is_a_failure(begin: Begin) -> None:
    assert begin().not_found("a") == (Verdict.FAILED, [])


@pytest.mark.parametrize(
    ("known", "change", "new"),
    [
        (None, Change.NEW, 4),
        (None, Change.UNCHANGED, 5),
        (DELETED, Change.NEW, 4),
        (DELETED, Change.UNCHANGED, 5),
    ],
)
def test_a_404_of_a_row_that_was_never_loaded_marks_nothing_and_it_is_not_new(
    known: Known | None, change: Change, new: int, begin: Begin
) -> None:
    case = begin()
    case.listed(scan_of(THINGS, "abc", "ab"))
    assert case.not_found("x", known=known, change=change) == (Verdict.UNKNOWN, [])
    assert case.tallies["things"].new == new


def test_a_404_beside_a_list_that_was_cut_decides_nothing(begin: Begin) -> None:
    case = begin()
    case.listed(scan_of(THINGS, "abcde", "a", finished=False))
    case.answered("a")
    assert case.not_found("e") == (Verdict.UNDECIDED, [])


def test_a_404_counts_at_once_beside_a_detail_that_answers_for_a_row_of_the_list(
    begin: Begin,
) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", proven=False)
    case.listed(scan)
    case.answered("a")
    assert case.not_found("e") == (Verdict.GONE, ["e"])
    assert case.not_found("e") == (Verdict.GONE, []), "marked once"
    assert case.decide(scan) == [], "nobody asked for d"
    assert case.deleted() == 1


def test_a_404_waits_until_all_details_were_asked_for_and_then_counts(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", proven=False)
    case.listed(scan)
    assert case.not_found("e") == (Verdict.HELD, [])
    assert case.decide(scan) == ["e"]


def test_a_404_beside_a_list_that_stopped_early_counts_only_beside_an_answer(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "ab", rest_known=2)
    case.listed(scan)
    assert case.not_found("e") == (Verdict.HELD, [])
    assert case.decide(scan) == []
    case.answered("a")
    assert case.not_found("e") == (Verdict.GONE, ["e"])


def test_a_404_counts_for_nothing_where_every_shown_row_answers_so(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", proven=False)
    case.listed(scan)
    case.not_found("a")
    assert case.not_found("e") == (Verdict.HELD, [])
    assert case.decide(scan) == []


def test_a_404_counts_where_one_shown_row_answers_and_another_does_not(begin: Begin) -> None:
    case, scan = begin(), scan_of(THINGS, "abcde", "abc", proven=False)
    case.listed(scan)
    case.not_found("e")
    case.not_found("a")
    case.answered("b")
    assert case.decide(scan) == ["e"]


def test_a_404_beside_a_list_in_doubt_waits(begin: Begin) -> None:
    """`a` is new, so all that is loaded is absent."""
    case = begin()
    case.listed(scan_of(THINGS, "de", "a"))
    case.answered("a")
    assert case.not_found("e") == (Verdict.HELD, [])


def test_a_row_that_a_list_without_proof_leaves_out_and_nobody_asked_for_stays(
    begin: Begin,
) -> None:
    case, scan = begin(), scan_of(PLAIN, "abcde", "abc", proven=False)
    assert case.concluded(scan) == []


# -- a row that left while the details were read ----------------------------------------------------


class Reading:
    """A list of five rows, read by one sync, and the deletions of that sync."""

    def __init__(self, begin: Begin, loaded: str = "abcde", keys: str = "abcde") -> None:
        self.source = MovingList([row_of(key, LONG_AGO) for key in keys], 5)
        self.scan = Scan(THINGS, dict.fromkeys(loaded, LOADED))
        self.case: Case = begin()
        self.case._runner.run(read(self.scan, only(self.source)))
        self.case.listed(self.scan)

    def ask(self, key: str) -> list[str] | None:
        self.source.requests = 0
        known = LOADED if self.scan.is_loaded(key) else None
        return self.case.left_meanwhile(task(key, THINGS, known=known))

    def without(self, key: str) -> None:
        self.source.rows = [row for row in self.source.rows if row["id"] != key]


def test_a_row_that_has_left_its_place_in_the_list_is_gone(begin: Begin) -> None:
    reading = Reading(begin)
    reading.case.answered("a")
    reading.case.not_found("c")
    reading.without("c")
    assert reading.ask("c") == ["c"]
    assert reading.case.deleted() == 1


def test_a_row_that_was_never_loaded_and_has_left_is_not_new(begin: Begin) -> None:
    reading = Reading(begin, loaded="abde")
    reading.case.answered("a")
    reading.without("c")
    assert reading.ask("c") == []
    assert reading.case.tallies["things"].new == 4
    assert reading.case.deleted() == 0


def test_a_row_that_is_still_in_its_place_has_not_left(begin: Begin) -> None:
    reading = Reading(begin)
    reading.case.answered("a")
    assert reading.ask("c") is None
    assert reading.source.requests == 1


def test_no_list_is_asked_again_where_no_other_detail_answers(begin: Begin) -> None:
    reading = Reading(begin)
    reading.without("c")
    assert reading.ask("c") is None
    assert reading.source.requests == 0


@pytest.mark.parametrize("refused", [MOST_LOOKED_AT, MOST_LOOKED_AT + 1])
def test_no_list_is_asked_again_for_more_than_three_rows(refused: int, begin: Begin) -> None:
    reading = Reading(begin)
    reading.case.answered("a")
    for key in "bcde"[:refused]:
        reading.case.not_found(key)
    reading.without("c")
    assert reading.ask("c") == (["c"] if refused == MOST_LOOKED_AT else None)


def test_no_list_is_asked_again_for_a_run_or_for_a_row_of_no_list(begin: Begin) -> None:
    reading = Reading(begin)
    reading.case.answered("a")
    reading.without("c")
    followed = replace(
        task("c", THINGS, known=LOADED), resource=RUNS.model_copy(update={"name": "things"})
    )
    assert reading.case.left_meanwhile(followed) is None
    assert begin().left_meanwhile(task("c", THINGS, known=LOADED)) is None


def test_a_list_that_cannot_be_asked_again_decides_nothing(begin: Begin) -> None:
    reading = Reading(begin)
    reading.case.answered("a")

    def refuse(source: MovingList) -> None:
        raise ApiError("no")

    reading.source.requests, reading.source.change = 1, refuse
    assert reading.case.left_meanwhile(task("c", THINGS, known=LOADED)) is None


def test_a_404_of_a_shown_row_is_told_with_the_answer_and_what_comes_of_it() -> None:
    error = NotFoundError("GET things/a: 404", status=404, api_code="GONE", request_id="r1")
    told = shown_but_missing(task("a", THINGS), error)
    assert "GET things/a: 404, though the list shows a; the row is kept" in str(told)
    assert (told.status, told.api_code, told.request_id) == (404, "GONE", "r1")
