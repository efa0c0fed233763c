"""How a budget is shared among the lists of a sync, and what is remembered and told of a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from oa_sync.client.paging import Onward
from oa_sync.definitions.model import Resource, SinglePagePaginator
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    Interrupted,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.ration import Ration, Reached
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.lists.turns import Turn, Turns
from oa_sync.extract.rationing import CODE, Rationing, is_lost, is_refused
from oa_sync.extract.tally import Tally
from tests.extract.fetching import resource
from tests.extract.moving_list import START, PageRead

PARENTS = resource("parents", detail=None)
REPORTS = resource("reports")
NOTES = resource("notes", detail=None)
PARTS = resource(
    "parts",
    endpoint={
        "path": "parents/{parent}/parts",
        "params": {"parent": {"type": "resolve", "resource": "parents", "field": "id"}},
    },
    detail=None,
)
OPTIONAL = resource("optional", detail=None, endpoint={"path": "optional", "optional": True})
LOADED = Known("v", "h", "v", deleted=False)
STALE = Known("v", "h", "old", deleted=False)
DELETED = Known("v", "h", "v", deleted=True)


class Day:
    """A budget of `left` requests, what it remembers of each resource, and for how many it was asked."""

    def __init__(self, left: int | None, advice: str | None = "take a bigger plan") -> None:
        self.left, self.advice = left, advice
        self.places: dict[str, Reached | None] = {}
        self.turns: dict[str, Turn | None] = {}
        self.missing: set[str] = set()
        self.orders: dict[str, Any] = {}
        self.wanted: list[int] = []

    def budget_left(self) -> int | None:
        return self.left

    def reached(self, resource: Resource) -> Reached | None:
        return self.places.get(resource.name)

    def note_reached(self, resource: Resource, reached: Reached | None) -> None:
        self.places[resource.name] = reached

    def turn(self, resource: Resource) -> Turn | None:
        return self.turns.get(resource.name)

    def note_turn(self, resource: Resource, turn: Turn | None) -> None:
        self.turns[resource.name] = turn

    def enough_for(self, requests: int) -> str | None:
        self.wanted.append(requests)
        return self.advice

    def known_missing(self, resource: Resource) -> bool:
        return resource.name in self.missing

    def recall(self, resource: Resource) -> Any:
        return self.orders.get(resource.name)


def rows(count: int, row: Known = LOADED) -> dict[str, Known]:
    return {f"{row.detail_version}{row.deleted}{n}": row for n in range(count)}


def rationing(
    day: Day, *resources: Resource, known: Mapping[str, Mapping[str, Known]] | None = None
) -> Rationing:
    return Rationing(day, resources, {one.name: {} for one in resources} | dict(known or {}))


def same(ration: Ration | None, expected: Ration) -> bool:
    return ration is not None and vars(ration) == vars(expected)


def place(at: int) -> Onward:
    return Onward(SinglePagePaginator(), at, at, 10)


def read(ration: Ration, pages: int, total: int | None = None) -> Ration:
    """The ration after so many pages of ten rows."""
    for number in range(1, pages + 1):
        page = PageRead(
            [{}] * 10, total, number * 10 - 10, False, START, True, onward=place(number * 10)
        )
        ration.goes_on(page)
    return ration


# -- a ration ---------------------------------------------------------------------------------------


def test_a_ration_is_cut_from_what_is_left_beside_the_lists_behind() -> None:
    day = Day(90)
    day.places["notes"] = Reached(7, True, 5, place(30))
    known = {"reports": {**rows(3), **rows(2, STALE), **rows(4, DELETED)}, "parents": rows(150)}
    shared = rationing(day, PARENTS, REPORTS, NOTES, known=known)
    day.left = 80
    scan = Scan(REPORTS, known["reports"])
    assert same(shared.of(scan), Ration(80, others=[7], details=2, loaded=5, before=None))
    first = shared.of(Scan(PARENTS, known["parents"]))
    assert same(first, Ration(80, others=[1, 7], details=2, loaded=150))
    last = shared.of(Scan(NOTES, {}))
    assert same(last, Ration(80, others=[], details=2, before=day.places["notes"]))


def test_without_a_limit_there_is_no_ration() -> None:
    day = Day(None)
    shared = rationing(day, REPORTS, PARTS)
    assert shared.of(Scan(REPORTS, {})) is None
    assert shared.turns(Scan(PARTS, {}), ["a", "b"]).allowed is None
    day.left = 1  # a limit that is learned meanwhile
    assert shared.of(Scan(REPORTS, {})) is None
    assert shared.turns(Scan(PARTS, {}), ["a", "b"]).allowed is None


def test_the_lists_of_parents_have_no_ration_each() -> None:
    assert rationing(Day(9), PARENTS, PARTS).of(Scan(PARTS, {})) is None


def test_nothing_is_kept_for_details_where_no_resource_has_any() -> None:
    known = {"notes": rows(5, STALE)}
    ration = rationing(Day(9), NOTES, known=known).of(Scan(NOTES, {}))
    assert same(ration, Ration(9, others=[], details=None))


@pytest.mark.parametrize(
    ("of", "known", "facts", "pages"),
    [
        (NOTES, {}, {}, 1),
        (NOTES, rows(100), {}, 1),
        (NOTES, rows(101), {}, 2),
        (NOTES, {**rows(200), **rows(100, DELETED)}, {}, 2),
        # An earlier sync could not read it to its end.
        (NOTES, rows(300), {"places": {"notes": Reached(8, True, 5, None)}}, 8),
        # It need not be read to its end.
        (NOTES, rows(300), {"orders": {"notes": {}}}, 1),
        (PARTS, rows(300), {}, 1),
        # It was not there lately.
        (OPTIONAL, rows(300), {"missing": {"optional"}}, 0),
        (OPTIONAL, rows(300), {}, 3),
        (NOTES, rows(300), {"missing": {"notes"}}, 3),
    ],
)
def test_what_a_list_behind_will_take_is_judged_by_what_is_known_of_it(
    of: Resource, known: dict[str, Known], facts: dict[str, Any], pages: int
) -> None:
    day = Day(90)
    vars(day).update(facts)
    shared = rationing(day, REPORTS, of, known={of.name: known})
    assert same(shared.of(Scan(REPORTS, {})), Ration(90, others=[pages], details=0))


# -- lists of parents in turn -----------------------------------------------------------------------

TEN = list("abcdefghij")


@pytest.mark.parametrize(
    ("left", "resources", "allowed"),
    [
        # They fit.
        (10, [PARENTS, PARTS], None),
        (11, [PARTS, NOTES], None),
        # They do not: an equal part, and what small lists leave over.
        (9, [PARENTS, PARTS], 9),
        (10, [PARTS, NOTES], 9),
        # The details that wait have a part.
        (9, [PARTS, REPORTS], 9 - 2 - 1),
    ],
)
def test_lists_of_parents_are_read_in_turn_where_the_budget_is_too_small_for_all(
    left: int, resources: list[Resource], allowed: int | None
) -> None:
    day = Day(left)
    day.turns["parts"] = Turn("c", 1, 1)
    turns = rationing(day, *resources).turns(Scan(PARTS, {}), TEN)
    assert turns.allowed == allowed
    assert turns.order[0] == ("a" if allowed is None else "c")


def test_lists_that_took_more_than_a_page_each_are_expected_to_do_so_again() -> None:
    day = Day(19)
    day.turns["parts"] = Turn("c", 4, 2)
    assert rationing(day, PARTS).turns(Scan(PARTS, {}), TEN).allowed == 19
    day.left = 20
    assert rationing(day, PARTS).turns(Scan(PARTS, {}), TEN).allowed is None


def turned(day: Day, ended: int, **state: Any) -> tuple[Rationing, Tally]:
    """After so many of ten lists of two pages each; `notes` and `parents` take a request each."""
    shared, tally = rationing(day, PARENTS, PARTS, NOTES), Tally()
    turns = Turns(TEN, None, 4)
    for _ in range(ended):
        turns.end_one()
    shared.conclude_turns(Scan(PARTS, {}, pages=2 * ended, **state), turns, tally)
    return shared, tally


@pytest.mark.parametrize("finished", [True, False])
def test_a_turn_is_forgotten_when_all_lists_were_read_to_their_ends(finished: bool) -> None:
    day = Day(4)
    before = day.turns["parts"] = Turn("c", 1, 1)
    shared, tally = turned(day, 10, finished=finished)
    assert day.turns["parts"] == (None if finished else before)
    assert (tally.warnings, shared.in_parts) == ([], None)


@pytest.mark.parametrize(
    ("state", "is_noted"),
    [
        ({"is_part": True}, True),
        ({"error": BudgetExhausted("no more")}, True),
        ({"error": Interrupted("stopped")}, False),
        ({"error": ServerError("no", status=500)}, False),
        ({}, False),
    ],
    ids=["its share ended", "the budget ended", "stopped", "it failed", "anything else"],
)
def test_a_turn_is_remembered_and_told_where_the_budget_ended_the_lists(
    state: dict[str, Any], is_noted: bool
) -> None:
    day = Day(4)
    shared, tally = turned(day, 3, **state)
    assert day.turns == ({"parts": Turn("d", 6, 3)} if is_noted else {})
    assert day.wanted == ([20 + 1 + 1] if is_noted else [])
    assert [warned.code for warned in tally.warnings] == [CODE] * is_noted
    assert (shared.in_parts is not None) == is_noted
    if is_noted:
        text = tally.warnings[0].message
        assert text.startswith("the lists of 10 rows of parents take about 20 requests")
        assert "those of 3 were read" in text
        assert text.endswith("take a bigger plan")


def test_lists_of_parents_that_a_whole_day_can_pay_for_are_no_warning() -> None:
    shared, tally = turned(Day(4, advice=None), 3, is_part=True)
    assert tally.warnings == []
    assert "in parts (parts)" in str(shared.in_parts)


# -- what is remembered of a list -------------------------------------------------------------------

BEFORE = Reached(9, True, 5, place(40))


def concluded(
    day: Day, ration: Ration | None, of: Resource = REPORTS, **state: Any
) -> tuple[Rationing, Tally]:
    shared, tally = rationing(day, PARENTS, REPORTS, NOTES), Tally()
    shared.conclude(Scan(of, {}, **state), ration, tally)
    return shared, tally


def cut(pages: int = 3, *, total: int | None = 90, left: int = 3) -> Ration:
    """A ration that ended its list after so many pages."""
    ration = read(Ration(left), pages, total)
    assert ration.is_cut == (pages >= left)
    return ration


@pytest.mark.parametrize("ration", [None, cut()], ids=["without", "with"])
def test_the_place_in_a_list_that_was_read_to_its_end_is_forgotten(ration: Ration | None) -> None:
    day = Day(3)
    day.places["reports"] = BEFORE
    shared, tally = concluded(day, ration, finished=True)
    assert day.places == {"reports": None}
    assert (tally.warnings, shared.in_parts) == ([], None)


def test_no_place_is_remembered_of_the_lists_of_parents() -> None:
    day = Day(3)
    concluded(day, None, PARTS, finished=True)
    assert day.places == {}


@pytest.mark.parametrize("ration", [None, Ration(3)], ids=["no ration", "no page"])
def test_the_place_stays_where_nothing_was_read(ration: Ration | None) -> None:
    day = Day(3)
    day.places["reports"] = BEFORE
    shared, _ = concluded(day, ration, error=ServerError("no", status=500))
    assert day.places == {"reports": BEFORE}
    assert shared.in_parts is None


@pytest.mark.parametrize(
    ("error", "is_noted"),
    [
        (BudgetExhausted("no more"), True),
        (Interrupted("stopped"), False),
        (ServerError("no", status=500), False),
        (None, False),
    ],
    ids=["the budget ended", "stopped", "it failed", "anything else"],
)
def test_a_list_that_is_not_cut_is_remembered_where_the_whole_budget_ended_it(
    error: Exception | None, is_noted: bool
) -> None:
    day = Day(3)
    shared, tally = concluded(day, cut(2), error=error)
    assert day.places == ({"reports": Reached(9, True, 3, place(20))} if is_noted else {})
    assert len(tally.warnings) == is_noted
    assert (shared.in_parts is not None) == is_noted


@pytest.mark.parametrize(
    ("error", "onward"),
    [
        (None, place(30)),
        (ServerError("no", status=500), place(30)),
        (InvalidRequestError("no", status=422), None),
    ],
    ids=["cut", "it failed for now", "it is refused"],
)
def test_the_next_sync_goes_on_where_a_part_ended_but_not_at_a_place_that_is_refused(
    error: Exception | None, onward: Onward | None
) -> None:
    day = Day(3)
    shared, tally = concluded(day, cut(), error=error)
    assert day.places == {"reports": Reached(9, True, 3, onward)}
    assert day.wanted == [9 + 1 + 1]
    (warned,) = tally.warnings
    assert warned.code == CODE
    goes_on = "the next sync goes on there" if onward else "the next one begins anew"
    assert warned.message.startswith("the list has 9 pages, too many for the 3 requests")
    assert f"3 were read, and {goes_on}." in warned.message
    assert "in parts (reports)" in str(shared.in_parts)


@pytest.mark.parametrize(("left", "wanted"), [(30, 30), (3, 4)])
def test_a_list_of_unknown_length_takes_more_than_it_was_given(left: int, wanted: int) -> None:
    day = Day(left)
    ration = read(Ration(left), 3)
    _, tally = concluded(day, ration, error=BudgetExhausted("no more"))
    assert day.wanted == [wanted + 2]
    assert "the list has 4 or more pages" in tally.warnings[0].message


def test_a_list_of_known_length_takes_no_more_than_that_though_it_was_given_more() -> None:
    """Another process took what was left meanwhile."""
    day = Day(30)
    concluded(day, cut(left=30), error=BudgetExhausted("no more"))
    assert day.wanted == [9 + 2]


def test_a_list_that_a_whole_day_can_pay_for_is_no_warning_and_in_parts_all_the_same() -> None:
    day = Day(3, advice=None)
    shared, tally = concluded(day, cut())
    assert tally.warnings == []
    assert day.places["reports"] is not None
    assert shared.in_parts is not None


# -- refusals ---------------------------------------------------------------------------------------


def errors(*classes: type[ApiError]) -> Iterable[ApiError]:
    return [each("no", status=400) for each in classes]


@pytest.mark.parametrize(
    "error", errors(InvalidRequestError, NotFoundError, InvalidResponseError, ApiError), ids=repr
)
def test_an_answer_that_will_be_the_same_again_is_a_refusal(error: ApiError) -> None:
    assert is_refused(error) is True


@pytest.mark.parametrize(
    "error",
    [
        None,
        BudgetExhausted("no"),
        *errors(ServerError, ConnectionFailedError, NotAuthorisedError, RateLimitedError),
    ],
    ids=repr,
)
def test_what_may_pass_is_no_refusal(error: Exception | None) -> None:
    assert is_refused(error) is False


def test_the_place_to_go_on_is_lost_where_its_first_page_is_refused() -> None:
    scan = Scan(REPORTS, {}, error=InvalidRequestError("no", status=422))
    on = Ration(3, before=BEFORE)
    assert on.start is not None
    assert is_lost(on, scan) is True
    assert is_lost(on, Scan(REPORTS, {}, error=ServerError("no", status=500))) is False
    assert is_lost(on, Scan(REPORTS, {})) is False
    assert is_lost(Ration(3), scan) is False
    assert is_lost(None, scan) is False
    assert is_lost(read(on, 1), scan) is False
