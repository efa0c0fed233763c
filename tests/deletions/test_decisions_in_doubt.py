"""What becomes of a list that is in doubt: it shows none of its rows, or too few (see `oa_sync.extract.deletions`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from oa_sync.errors import BudgetExhausted, IncompleteListError, MassDeletionError
from oa_sync.extract.deletions import CONFIRMED_AFTER, Verdict
from tests.client.scripted import reply
from tests.deletions.conftest import Begin
from tests.deletions.deciding import PLAIN, THINGS, Case, Remembered, scan_of
from tests.support.clock import ManualClock
from tests.support.limiter import Unlimited

MOMENT = 1.0
"""A second."""


def replaced(of: Any = PLAIN, **state: Any) -> Any:
    """A whole list that shows others in place of its five rows."""
    return scan_of(of, "abcde", "xyz", **{"total": 3, **state})


def codes(case: Case, of: Any = PLAIN) -> list[str]:
    return [warned.code for warned in case.warnings(of)]


# -- rows of a list without detail ------------------------------------------------------------------


def test_rows_that_a_list_in_doubt_leaves_out_are_kept_and_named(begin: Begin) -> None:
    case = begin()
    assert case.concluded(replaced()) == []
    (error,) = case.errors(PLAIN)
    assert isinstance(error, MassDeletionError)
    assert "none of the loaded rows is in the list any more (a, b, c, …)" in str(error)
    assert case.warnings(PLAIN) == []


def test_a_list_that_says_the_same_later_confirms_itself(begin: Begin, clock: ManualClock) -> None:
    begin().concluded(replaced())
    clock.advance(CONFIRMED_AFTER.total_seconds() - MOMENT)
    assert begin().concluded(replaced()) == []
    clock.advance(MOMENT)
    case = begin()
    assert case.concluded(replaced()) == ["a", "b", "c", "d", "e"]
    assert case.errors(PLAIN) == []
    (warned,) = case.warnings(PLAIN)
    assert warned.message == "5 of 5 rows are marked as deleted at once (the list said so before)"


@pytest.mark.parametrize(
    "state",
    [{"total": None}, {"total": 2}, {"total": 5}, {"proven": False}, {"seen": set(), "total": 0}],
    ids=["no total", "lower", "higher", "unproven", "empty"],
)
def test_only_a_whole_list_with_the_rows_of_its_total_confirms_an_earlier_one(
    state: dict[str, Any], begin: Begin, clock: ManualClock
) -> None:
    begin().concluded(replaced())
    clock.advance(CONFIRMED_AFTER.total_seconds())
    case = begin()
    assert case.concluded(replace(replaced(), **state)) == []
    assert isinstance(case.errors(PLAIN)[0], MassDeletionError)
    # The time of the first list counts, whatever came in between.
    assert begin().concluded(replaced()) == ["a", "b", "c", "d", "e"]


def test_a_row_counts_from_the_list_that_left_it_out_first(
    begin: Begin, clock: ManualClock
) -> None:
    begin().concluded(scan_of(PLAIN, map(str, range(100)), map(str, range(50)), total=50))
    clock.advance(CONFIRMED_AFTER.total_seconds() - MOMENT)
    later = {"loaded": list(map(str, range(100))), "seen": list(map(str, range(20))), "total": 20}
    begin().concluded(scan_of(PLAIN, **later))
    clock.advance(MOMENT)
    case = begin()
    gone = case.concluded(scan_of(PLAIN, **later))
    assert sorted(map(int, gone)) == list(range(50, 100))
    assert "50 of 100 rows" in case.warnings(PLAIN)[0].message
    (error,) = case.errors(PLAIN)
    assert "30 of 100 loaded rows are not in the list any more" in str(error)
    clock.advance(CONFIRMED_AFTER.total_seconds() - MOMENT)
    assert (
        begin().concluded(scan_of(PLAIN, map(str, range(50)), map(str, range(20)), total=20)) != []
    )


def test_few_rows_that_are_left_when_the_others_go_are_judged_as_ever(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    hundred = [str(n) for n in range(100)]
    begin().concluded(scan_of(PLAIN, hundred, hundred[:50], total=50))
    clock.advance(CONFIRMED_AFTER.total_seconds())
    case = begin()
    gone = case.concluded(scan_of(PLAIN, hundred, hundred[:30], total=30))
    assert gone == [*hundred[50:], *hundred[30:50]]
    assert (case.errors(PLAIN), case.deleted(PLAIN)) == ([], 70)
    assert "50 of 100 rows" in case.warnings(PLAIN)[0].message
    assert facts.texts == {}, "nothing is kept any more"


@pytest.mark.parametrize("left", ["c", "cde"])
def test_all_rows_that_are_left_when_the_others_go_are_kept(left: str, begin: Begin) -> None:
    """An empty list lets go what an earlier one had named, and not the rest with it."""
    begin().concluded(scan_of(PLAIN, "ab", left))
    case = begin(allow=True)
    assert case.concluded(scan_of(PLAIN, "ab" + left, "", proven=True)) == ["a", "b"]
    assert f"({', '.join(left)})" in str(case.errors(PLAIN)[0])


def test_a_list_that_shows_its_rows_again_forgets_what_was_kept(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    begin().concluded(replaced())
    assert facts.texts
    begin().concluded(scan_of(PLAIN, "abcde", "abcd", total=4))
    assert facts.texts == {}
    clock.advance(CONFIRMED_AFTER.total_seconds())
    assert begin().concluded(replaced()) == []


# -- the flag ---------------------------------------------------------------------------------------


def test_the_flag_lets_go_what_was_kept_before_and_no_more(begin: Begin) -> None:
    hundred = [str(n) for n in range(100)]
    case = begin(allow=True)
    assert case.concluded(scan_of(PLAIN, hundred, hundred[:50], total=50)) == []
    assert isinstance(case.errors(PLAIN)[0], MassDeletionError)
    case = begin(allow=True)
    gone = case.concluded(scan_of(PLAIN, hundred, hundred[:20], total=None, proven=False))
    assert gone == hundred[50:]
    assert case.warnings(PLAIN)[0].message.endswith("(--allow-mass-delete)")
    assert "30 of 100 loaded rows" in str(case.errors(PLAIN)[0])


# -- in words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaded", "seen", "words"),
    [
        (
            "a",
            "",
            (
                "plain: the list is empty, and 1 row of it is loaded (a). An empty list may be a fault, so it is kept."
                " If it is gone at the source, run `oa-sync sync --allow-mass-delete` once, which lets just this one go"
            ),
        ),
        (
            "abcd",
            "",
            (
                "plain: the list is empty, and 4 rows of it are loaded (a, b, c, …). An empty list may be a fault, so"
                " they are kept. If they are gone at the source, run `oa-sync sync --allow-mass-delete` once, which lets"
                " just these go"
            ),
        ),
        (
            "a",
            "x",
            (
                "plain: none of the loaded rows is in the list any more (a); it is kept. If it is gone at the source, run"
                " `oa-sync sync --allow-mass-delete` once, which lets just this one go; a list that says the same in a"
                " day is believed as well"
            ),
        ),
        (
            "abcdefghijklmnopqrstuvwxyz",
            "abcdefghijklmnopqrst",
            (
                "plain: 6 of 26 loaded rows are not in the list any more (u, v, w, …), too many at once to be believed;"
                " they are kept. If they are gone at the source, run `oa-sync sync --allow-mass-delete` once, which lets"
                " just these go; a list that says the same in a day is believed as well"
            ),
        ),
    ],
)
def test_what_is_kept_is_told_in_words_that_fit(
    loaded: str, seen: str, words: str, begin: Begin
) -> None:
    case = begin()
    case.concluded(scan_of(PLAIN, loaded, seen, total=len(seen)))
    assert str(case.errors(PLAIN)[0]) == words


# -- details ----------------------------------------------------------------------------------------


def test_one_absent_row_that_answers_disproves_the_list(begin: Begin, facts: Remembered) -> None:
    case, scan = begin(), replaced(THINGS)
    case.listed(scan)
    case.not_found("a")
    case.answered("x", "c", "b")
    assert case.decide(scan) == []
    (error,) = case.errors()
    assert isinstance(error, IncompleteListError)
    assert "it leaves out 5 of 5 loaded rows, and one of them, b, answers" in str(error)
    assert facts.texts == {}, "it counts for nothing later either"


def test_404_of_absent_rows_beside_an_answer_for_a_shown_row_confirm_the_list(begin: Begin) -> None:
    case, scan = begin(), replaced(THINGS)
    case.listed(scan)
    case.answered("x")
    assert case.not_found("a") == (Verdict.HELD, [])
    assert case.decide(scan) == ["a", "b", "c", "d", "e"]
    assert (case.errors(), case.asked) == ([], [])
    assert [warned.code for warned in case.warnings()] == ["deletions"]
    assert (
        "5 of 5 rows are marked as deleted at once (details of some" in case.warnings()[0].message
    )


def mixed(**state: Any) -> Any:
    """A list that shows a loaded row, and leaves out ten of thirty."""
    thirty = [f"r{n}" for n in range(30)]
    return scan_of(THINGS, thirty, thirty[:20], **{"total": 20, **state})


def test_a_row_of_the_list_is_asked_for_where_none_was_asked_for_anyway(begin: Begin) -> None:
    case, scan = begin(), mixed()
    case.listed(scan)
    case.not_found("r20")
    assert len(case.decide(scan)) == 10
    assert len(case.asked) == 1
    assert case.asked[0] in scan.seen


@pytest.mark.parametrize("answer", [reply(b"", 404), reply(b"", 500)])
def test_a_404_confirms_nothing_where_the_row_of_the_list_does_not_answer_either(
    answer: Any, begin: Begin
) -> None:
    case, scan = begin(lambda _: answer), mixed()
    case.listed(scan)
    case.not_found("r20")
    assert case.decide(scan) == []
    assert isinstance(case.errors()[0], MassDeletionError)


def test_a_404_confirms_a_list_that_may_be_cut_without_a_request_or_a_warning(begin: Begin) -> None:
    """No row is asked for beside it: as many as are absent here leave any list."""
    case, scan = begin(), scan_of(THINGS, "abcdefg", "abcd", may_be_cut=True)
    assert case.listed(scan) == []
    case.not_found("e")
    assert case.decide(scan) == ["e", "f", "g"]
    assert case.asked == []
    assert case.warnings() == case.errors() == []


def test_no_row_is_asked_for_where_shown_rows_answered_404(begin: Begin) -> None:
    case, scan = begin(), mixed()
    case.listed(scan)
    case.not_found("r20")
    case.not_found("r1")
    assert case.decide(scan) == []
    assert case.asked == []


def test_a_shown_row_that_answered_counts_though_another_one_answered_404(begin: Begin) -> None:
    case, scan = begin(), mixed()
    case.listed(scan)
    case.not_found("r20")
    case.not_found("r1")
    case.answered("r2")
    assert len(case.decide(scan)) == 10
    assert case.asked == []


def test_no_row_is_asked_for_where_the_list_shows_none_that_is_loaded(begin: Begin) -> None:
    """The detail of a row that was never loaded may need more than its key."""
    case, scan = begin(), replaced(THINGS)
    case.listed(scan)
    case.not_found("a")
    assert case.decide(scan) == []
    assert case.asked == []


def test_no_row_is_asked_for_where_no_absent_one_answered_404(begin: Begin) -> None:
    case, scan = begin(), mixed()
    case.listed(scan)
    assert case.decide(scan) == []
    assert case.asked == []
    assert isinstance(case.errors()[0], MassDeletionError)


class Spent(Unlimited):
    """No request is left."""

    async def acquire(self) -> None:
        raise BudgetExhausted("no more today")


def test_a_budget_that_ends_there_keeps_the_rows(begin: Begin) -> None:
    case, scan = begin(limiter=Spent()), mixed()
    case.listed(scan)
    case.not_found("r20")
    assert case.decide(scan) == []
    assert case.asked == []
    assert isinstance(case.errors()[0], MassDeletionError)


def test_a_confirmed_list_forgets_what_was_kept_before(begin: Begin, facts: Remembered) -> None:
    first, scan = begin(), mixed()
    first.concluded(scan)
    assert facts.texts
    case, scan = begin(), mixed()
    case.listed(scan)
    case.answered("r1")
    case.not_found("r20")
    assert len(case.decide(scan)) == 10
    assert case.asked == []
    assert facts.texts == {}


def test_of_a_confirmed_list_without_proof_only_rows_go_that_answered_404(begin: Begin) -> None:
    case, scan = begin(), mixed(proven=False, total=None)
    case.listed(scan)
    case.answered("r1")
    case.not_found("r20")
    assert case.decide(scan) == ["r20"]
    # The others are asked for then, and a 404 counts at once.
    assert list(case.deletions.to_ask(scan)) == [f"r{n}" for n in range(21, 30)]
    assert case.not_found("r21") == (Verdict.GONE, ["r21"])
    case.answered("r22")
    assert list(case.deletions.to_ask(scan)) == [f"r{n}" for n in range(23, 30)]


def test_the_row_that_was_asked_for_speaks_for_404_that_come_later(begin: Begin) -> None:
    case, scan = begin(), mixed(proven=False, total=None)
    case.listed(scan)
    case.not_found("r20")
    assert case.decide(scan) == ["r20"]
    assert len(case.asked) == 1
    assert case.not_found("r21") == (Verdict.GONE, ["r21"])


def test_nothing_more_is_asked_for_of_a_list_that_is_whole_or_was_not_confirmed(
    begin: Begin,
) -> None:
    case, scan = begin(), mixed()
    case.listed(scan)
    case.answered("r1")
    case.not_found("r20")
    case.decide(scan)
    assert case.deletions.to_ask(scan) == {}
    case, scan = begin(), mixed(proven=False)
    case.concluded(scan)
    assert case.deletions.to_ask(scan) == {}


# -- a budget that ended before ---------------------------------------------------------------------


def test_rows_that_could_not_be_asked_for_are_kept_without_a_failure(
    begin: Begin, facts: Remembered
) -> None:
    case, scan = begin(), mixed()
    assert case.concluded(scan, cut=True) == []
    assert case.errors() == []
    assert case.warnings()[0].code == "deletions"
    assert "10 rows are not in the list; looked into when" in case.warnings()[0].message
    assert facts.texts == {}, "a list that was not looked into does not confirm itself"


def test_rows_without_detail_are_kept_as_ever_when_the_budget_ended(begin: Begin) -> None:
    case = begin()
    assert case.concluded(replaced(), cut=True) == []
    assert isinstance(case.errors(PLAIN)[0], MassDeletionError)


def test_rows_of_which_one_answered_404_are_kept_as_ever_when_the_budget_ended(
    begin: Begin,
) -> None:
    case, scan = begin(), replaced(THINGS)
    case.listed(scan)
    case.not_found("a")
    assert case.decide(scan, cut=True) == []
    assert isinstance(case.errors()[0], MassDeletionError)


# -- what is remembered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact", [[], "text", 1, {"digest": 1}, {"digest": None}, {"digest": "no time"}]
)
def test_what_home_holds_in_another_form_is_nothing_remembered(
    fact: Any, begin: Begin, facts: Remembered, clock: ManualClock
) -> None:
    facts.set_fact("kept", PLAIN, fact)
    case = begin(allow=True)
    assert case.concluded(replaced()) == []
    assert set(facts.fact("kept", PLAIN).values()) == {clock.now().isoformat()}


def test_an_earlier_time_that_was_kept_stays(
    begin: Begin, facts: Remembered, clock: ManualClock
) -> None:
    begin().concluded(replaced())
    first = facts.fact("kept", PLAIN)
    clock.advance(timedelta(hours=1).total_seconds())
    begin().concluded(replaced())
    assert facts.fact("kept", PLAIN) == first
    assert len(first) == 5
    assert all(len(digest) == 24 for digest in first)
