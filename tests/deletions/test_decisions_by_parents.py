"""Rows of lists that are asked for by parent, and lists of parents that answer 404, one condition a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.errors import IncompleteListError, MassDeletionError
from oa_sync.extract.deletions import CONFIRMED_AFTER
from oa_sync.extract.lists.scan import Scan
from tests.deletions.conftest import Begin
from tests.deletions.deciding import Case, Remembered, scan_of
from tests.extract.fetching import resource
from tests.support.clock import ManualClock


def below(name: str, parent: str, **words: Any) -> Resource:
    by = {"parent": {"type": "resolve", "resource": parent, "field": "id"}}
    endpoint = {"path": parent + "/{parent}/" + name, "params": by}
    return resource(name, **{"endpoint": endpoint, "detail": None, **words})


PARENTS = resource("parents", detail=None)
PARTS = below("parts", "parents")
BOLTS = below("bolts", "parts")
APPENDED = below("parts", "parents", write_disposition="append")

OF_PARENT, MISSING = "rows_of_parent", "missing_lists_of_parent"
ALMOST = CONFIRMED_AFTER.total_seconds() - 1


def parts(counts: Mapping[str, int]) -> list[str]:
    """The keys of so many parts of each parent."""
    return [f"{parent}{n}" for parent, count in counts.items() for n in range(count)]


def parts_of(
    loaded: Iterable[str], counts: Mapping[str, int], of: Resource = PARTS, **state: Any
) -> Scan:
    """The lists of all parents that were listed, which show so many parts each."""
    return scan_of(
        of, loaded, parts(counts), **{"of_parent": dict(counts), "parents_proven": None, **state}
    )


def first_sync(begin: Begin, counts: Mapping[str, int]) -> None:
    case, parents = begin(), scan_of(PARENTS, "", counts)
    case.concluded(parents)
    assert case.concluded(parts_of("", counts)) == []


FAMILY = {"p": 20, "q": 15, "r": 15}
ALL = parts(FAMILY)


def second_sync(
    begin: Begin,
    counts: Mapping[str, int],
    *,
    parents: str = "pqr",
    proven: bool = True,
    **state: Any,
) -> tuple[Case, list[str]]:
    """What is gone of the parts where `counts` has the parents that are listed, and their parts."""
    case = begin()
    case.concluded(scan_of(PARENTS, parents, counts, proven=proven))
    return case, case.concluded(parts_of(ALL, counts, **state))


# -- rows of parents that went ----------------------------------------------------------------------


def test_as_many_rows_go_with_a_parent_as_its_list_showed(begin: Begin) -> None:
    first_sync(begin, FAMILY)
    case, gone = second_sync(begin, {"q": 15, "r": 15})
    assert gone == parts({"p": 20})
    assert case.errors(PARTS) == case.warnings(PARTS) == []


@pytest.mark.parametrize(("others", "believed"), [(6, True), (7, False)])
def test_what_is_absent_beside_these_is_judged_as_in_any_other_list(
    others: int, believed: bool, begin: Begin
) -> None:
    """Six of the thirty parts of the others are a fifth."""
    first_sync(begin, FAMILY)
    case, gone = second_sync(begin, {"q": 15 - others, "r": 15})
    assert len(gone) == (20 + others if believed else 0)
    assert bool(case.errors(PARTS)) is not believed


@pytest.mark.parametrize("more", [{"n": 0}, {"p": 0}], ids=["new parent", "its own list"])
def test_an_empty_list_of_another_parent_explains_nothing_away(
    more: dict[str, int], begin: Begin
) -> None:
    """Of a parent whose number is not known, and of the one that went."""
    first_sync(begin, FAMILY)
    case = begin()
    case.concluded(scan_of(PARENTS, "pqr", {"q", "r", *more} - {"p"}))
    assert len(case.concluded(parts_of(ALL, {"q": 9, "r": 15, **more}))) == 26


def test_rows_that_moved_to_other_parents_explain_no_loss(begin: Begin) -> None:
    family = {"p": 20, "q": 15, "r": 15, "s": 20}
    first_sync(begin, family)
    case = begin()
    case.concluded(scan_of(PARENTS, "pqrs", "qrs"))
    seen = parts({"p": 20, "q": 15, "r": 15, "s": 5})
    shown = {"q": 25, "r": 25, "s": 5}
    scan = scan_of(PARTS, parts(family), seen, of_parent=shown, parents_proven=None)
    assert case.concluded(scan) == []
    assert isinstance(case.errors(PARTS)[0], MassDeletionError)


def test_the_only_row_goes_with_its_parent(begin: Begin) -> None:
    first_sync(begin, {"p": 1, "q": 0})
    case = begin()
    case.concluded(scan_of(PARENTS, "pq", "q"))
    assert case.concluded(parts_of(["p0"], {"q": 0})) == ["p0"]


def test_what_a_list_showed_is_remembered_until_the_rows_of_its_parent_went(begin: Begin) -> None:
    first_sync(begin, FAMILY)
    for parents in ("pqr", "Pqr", "qr"):
        assert second_sync(begin, {"q": 15 - 7, "r": 15}, parents=parents)[1] == []
    assert len(second_sync(begin, {"q": 15 - 6, "r": 15}, parents="Pqr")[1]) == 26


def test_nothing_is_explained_by_parents_that_are_still_there(begin: Begin) -> None:
    first_sync(begin, FAMILY)
    case, gone = second_sync(begin, {"p": 0, "q": 15, "r": 15})
    assert gone == []
    assert isinstance(case.errors(PARTS)[0], MassDeletionError)


def test_nothing_is_explained_by_parents_of_which_no_number_is_known(begin: Begin) -> None:
    case, gone = second_sync(begin, {"q": 15, "r": 15})
    assert gone == []
    assert isinstance(case.errors(PARTS)[0], MassDeletionError)


def test_nothing_is_decided_while_an_absent_parent_may_have_been_missed(begin: Begin) -> None:
    first_sync(begin, FAMILY)
    case, gone = second_sync(begin, {"q": 15, "r": 15}, proven=False)
    assert gone == []
    assert case.errors(PARTS) == []


def test_parents_that_their_list_proves_gone_decide_about_their_rows(begin: Begin) -> None:
    """A few rows need no explanation."""
    _, gone = second_sync(begin, {"p": 20, "q": 15, "r": 14})
    assert gone == ["r14"]


def test_a_list_that_was_in_no_doubt_is_not_asked_for_more(begin: Begin) -> None:
    """Its absent rows were asked for with its other details."""
    with_detail = below("parts", "parents", detail={"path": "parts/{id}"})
    case = begin()
    case.concluded(scan_of(PARENTS, "pq", "pq"))
    scan = parts_of(["p0", "q0"], {"p": 1, "q": 0}, of=with_detail, proven=False)
    assert case.concluded(scan) == []
    assert case.deletions.to_ask(scan) == {}


def test_numbers_that_no_list_told_stay_as_they_were(begin: Begin, facts: Remembered) -> None:
    """The list of `p` answers 404, and that of `q` was not asked for."""
    first_sync(begin, FAMILY)
    before = facts.fact(OF_PARENT, PARTS)
    case = begin()
    case.concluded(scan_of(PARENTS, "pqrs", "pqrs"))
    case.concluded(parts_of("", {"p": 0, "r": 3}, lists_missing={"p"}))
    after = facts.fact(OF_PARENT, PARTS)
    assert sorted(after.values()) == [3, 15, 20]
    assert after.keys() == before.keys(), "nothing is known of s"


def test_the_number_of_a_parent_that_goes_stays_for_one_sync(
    begin: Begin, facts: Remembered
) -> None:
    """A kill may lose the marks of its rows."""
    first_sync(begin, FAMILY)
    second_sync(begin, {"q": 15, "r": 15})
    assert sorted(facts.fact(OF_PARENT, PARTS).values()) == [15, 15, 20]
    second_sync(begin, {"q": 15, "r": 15}, parents="Pqr")
    assert sorted(facts.fact(OF_PARENT, PARTS).values()) == [15, 15]


def test_no_number_is_left_where_no_parent_is(begin: Begin, facts: Remembered) -> None:
    first_sync(begin, {"p": 1})
    case = begin()
    case.concluded(scan_of(PARENTS, "P", ""))
    case.concluded(parts_of("", {}))
    assert facts.texts == {}


@pytest.mark.parametrize("fact", [[], "text", 1, {"d": "1"}, {"d": True}, {"d": 1.0}, {"d": None}])
def test_what_home_holds_in_another_form_is_no_number(
    fact: Any, begin: Begin, facts: Remembered
) -> None:
    facts.set_fact(OF_PARENT, PARTS, fact)
    case, gone = second_sync(begin, {"q": 15, "r": 15})
    assert gone == []
    assert isinstance(case.errors(PARTS)[0], MassDeletionError)


# -- numbers that are remembered while lists are read -----------------------------------------------


def test_a_number_is_remembered_when_its_list_was_read_if_none_was_known(
    begin: Begin, facts: Remembered
) -> None:
    """The sync may be killed before it decides."""

    def numbers() -> list[int]:
        return sorted((facts.fact(OF_PARENT, PARTS) or {}).values())

    case = begin()
    case.listed(scan_of(PARENTS, "", "pqr"))
    case.listed(parts_of("", {"p": 0, "q": 0}))
    assert facts.texts == {}
    case.listed(parts_of("", {"p": 2, "q": 0}))
    assert numbers() == [2]
    first_sync(begin, {"p": 2, "q": 0})
    assert numbers() == [0, 2]
    case = begin()
    case.listed(scan_of(PARENTS, "pq", "pq"))
    case.listed(parts_of("", {"p": 1, "q": 4}))
    assert numbers() == [2, 4], "the lower one counts when it is decided about"


def test_nothing_is_remembered_of_lists_without_parents_or_of_rows_that_are_appended(
    begin: Begin, facts: Remembered
) -> None:
    case = begin()
    assert case.listed(parts_of("", {"p": 2})) == []
    case.listed(scan_of(PARENTS, "pqr", "pqr"))
    case.concluded(parts_of(["a"], {"p": 2, "q": 0}, of=APPENDED, lists_missing={"q"}))
    assert facts.texts == {}
    assert case.errors(PARTS) == []


# -- lists of parents that answer 404 ---------------------------------------------------------------


def missing(
    begin: Begin,
    keys: str = "p",
    *,
    parents: str = "pqr",
    counts: Mapping[str, int] = {"p": 0, "q": 15, "r": 15},
    loaded: Iterable[str] = ("p0", *parts({"q": 15, "r": 15})),
    **state: Any,
) -> tuple[Case, list[str]]:
    """A sync in which the lists of `keys` answer 404, and one row is absent."""
    case = begin()
    case.concluded(scan_of(PARENTS, parents, "pqr"))
    scan = parts_of(loaded, counts, **{"lists_missing": set(keys), **state})
    gone = case.listed(scan)
    return case, [*gone, *case.decide(scan)]


def test_a_404_of_the_list_of_a_listed_parent_is_a_contradiction_and_nothing_goes(
    begin: Begin,
) -> None:
    case, gone = missing(begin, parents_proven=True)
    assert gone == []
    (error,) = case.errors(PARTS)
    assert isinstance(error, IncompleteListError)
    assert "parts: the lists of 1 rows of parents answer 404 (p), though these are listed" in str(
        error
    )


def test_it_is_none_where_no_row_is_absent(begin: Begin) -> None:
    case, _ = missing(begin, loaded=parts({"q": 15}))
    assert case.errors(PARTS) == []


def test_it_is_none_of_a_parent_that_was_never_loaded(begin: Begin) -> None:
    case, gone = missing(begin, parents="qr")
    assert case.errors(PARTS) == []
    assert gone == ["p0"]


def test_it_is_none_where_the_list_is_known_to_have_been_empty(begin: Begin) -> None:
    first_sync(begin, {"p": 0, "q": 15, "r": 15})
    case, gone = missing(begin)
    assert case.errors(PARTS) == []
    assert gone == ["p0"]


def test_it_is_one_where_the_list_had_rows(begin: Begin) -> None:
    first_sync(begin, {"p": 1, "q": 15, "r": 15})
    assert missing(begin)[1] == []


def test_it_is_none_in_lists_that_were_not_all_read(begin: Begin) -> None:
    case, gone = missing(begin, finished=False)
    assert (case.errors(PARTS), gone) == ([], [])


def test_it_counts_as_empty_after_a_day_of_it(begin: Begin, clock: ManualClock) -> None:
    missing(begin)
    clock.advance(ALMOST)
    assert missing(begin)[1] == []
    clock.advance(1)
    case, gone = missing(begin)
    assert gone == ["p0"]
    assert case.errors(PARTS) == []


def test_an_answer_in_between_begins_the_day_anew(begin: Begin, clock: ManualClock) -> None:
    missing(begin)
    clock.advance(ALMOST)
    missing(begin, "", counts={"p": 1, "q": 15, "r": 15})
    clock.advance(1)
    assert missing(begin)[1] == []


def test_lists_that_a_cut_reading_did_not_ask_for_keep_their_time(
    begin: Begin, clock: ManualClock
) -> None:
    missing(begin)
    clock.advance(ALMOST)
    missing(begin, "", counts={"q": 15}, finished=False)
    clock.advance(1)
    assert missing(begin)[1] == ["p0"]


def test_lists_that_a_cut_reading_was_answered_do_not(begin: Begin, clock: ManualClock) -> None:
    missing(begin)
    clock.advance(ALMOST)
    missing(begin, "", counts={"p": 0}, finished=False)
    clock.advance(1)
    assert missing(begin)[1] == []


def test_lists_that_were_not_asked_for_because_their_parent_went_are_forgotten(
    begin: Begin, facts: Remembered
) -> None:
    missing(begin)
    assert facts.fact(MISSING, PARTS)
    missing(begin, "", counts={"q": 15})
    assert facts.fact(MISSING, PARTS) is None


def test_each_list_has_a_time_of_its_own(
    begin: Begin, clock: ManualClock, facts: Remembered
) -> None:
    missing(begin)
    first = clock.now()
    clock.advance(ALMOST)
    case, _ = missing(begin, "pq", counts={"p": 0, "q": 0, "r": 15})
    assert sorted(facts.fact(MISSING, PARTS).values()) == [
        first.isoformat(),
        clock.now().isoformat(),
    ]
    clock.advance(1)
    case, gone = missing(begin, "pq", counts={"p": 0, "q": 0, "r": 15})
    assert gone == []
    assert "the lists of 1 rows of parents answer 404 (q)" in str(case.errors(PARTS)[0])


def test_nothing_below_a_contradiction_is_decided_about_either(begin: Begin) -> None:
    case, _ = missing(begin)
    bolts = scan_of(BOLTS, ["x", "y"], ["x"], of_parent={"q0": 1})
    assert case.concluded(bolts) == []
    assert case.errors(BOLTS) == [], "it is told once"


def test_rows_below_lists_without_contradiction_are_decided_about(begin: Begin) -> None:
    case, _ = missing(begin, "")
    bolts = scan_of(BOLTS, ["x", "y"], ["x"], of_parent={"q0": 1})
    assert case.concluded(bolts) == ["y"]


@pytest.mark.parametrize("fact", [[], "text", {"d": 1}, {"d": "no time"}])
def test_what_home_holds_in_another_form_is_no_time(
    fact: Any, begin: Begin, facts: Remembered
) -> None:
    facts.set_fact(MISSING, PARTS, fact)
    missing(begin, finished=False)
    assert len(facts.fact(MISSING, PARTS)) == 1


# -- when the marks are on disk ----------------------------------------------------------------------


def remembered(facts: Remembered) -> list[int]:
    return sorted((facts.fact(OF_PARENT, PARTS) or {}).values())


def decided(begin: Begin, counts: Mapping[str, int], *, proven: bool = True) -> tuple[Case, Scan]:
    """A sync that has decided about the parts of these parents, and its scan of them."""
    first_sync(begin, FAMILY)
    case, children = begin(), parts_of(ALL, counts, proven=proven)
    case.concluded(scan_of(PARENTS, "pqr", counts))
    case.concluded(children)
    return case, children


def test_what_went_is_forgotten_when_its_marks_are_on_disk(begin: Begin, facts: Remembered) -> None:
    case, children = decided(begin, {"q": 15, "r": 14})
    assert remembered(facts) == [14, 15, 20], "a kill may lose them"
    case.deletions.marked(children)
    assert remembered(facts) == [14, 15]


def test_nothing_is_remembered_when_all_parents_went(begin: Begin, facts: Remembered) -> None:
    first_sync(begin, {"p": 1})
    case = begin(allow=True)
    parents, children = scan_of(PARENTS, "P", ""), parts_of(["P0"], {})
    case.concluded(parents)
    case.concluded(children)
    case.deletions.marked(children)
    assert (OF_PARENT, "parts") not in facts.texts


def test_what_went_is_remembered_as_long_as_a_row_is_undecided(
    begin: Begin, facts: Remembered
) -> None:
    case, children = decided(begin, {"q": 15, "r": 15}, proven=False)
    case.deletions.marked(children)
    assert remembered(facts) == [15, 15, 20]


def test_a_list_of_its_own_has_nothing_to_forget(begin: Begin, facts: Remembered) -> None:
    first_sync(begin, FAMILY)
    case, parents = begin(), scan_of(PARENTS, "pqr", "pqr")
    case.concluded(parents)
    case.deletions.marked(parents)
    assert remembered(facts) == [15, 15, 20]
