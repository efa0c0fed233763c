"""What becomes of a detail that answers 404: its row has left the list, or one of both is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from oa_sync.errors import BudgetExhausted, NotFoundError
from oa_sync.extract.details.fetching import FAILURES_IN_A_ROW
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.reading import scan as read
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import Item, Kind
from tests.client.scripted import Reply, Seen, reply
from tests.extract.fetching import REPORTS, Outcome, fetched, found, task
from tests.extract.moving_list import LONG_AGO, MovingList, row_of
from tests.extract.scanning import only
from tests.support.clock import START
from tests.support.limiter import Unlimited

LOADED = Known("v", "h", "v", deleted=False)


def not_found(*keys: str, times: int = 1) -> Callable[[Seen], Reply]:
    """Every detail is there, but those of `keys` answer 404 so many times each."""
    left = dict.fromkeys(keys, times)

    def script(request: Seen) -> Reply:
        key = request.path.rsplit("/", 1)[-1]
        if left.get(key, 0) > 0:
            left[key] -= 1
            return reply(status=404)
        return found(request)

    return script


def wanted(keys: str, known: Known | None = LOADED) -> list[DetailTask]:
    return [task(key, known=known) for key in keys]


class Left:
    """A list of five rows that was read, and that `gone` have left since."""

    def __init__(self, gone: str = "", loaded: str = "abcde") -> None:
        self.source = MovingList([row_of(key, LONG_AGO) for key in "abcde"], 5)
        self.scan = Scan(REPORTS, dict.fromkeys(loaded, LOADED))
        asyncio.run(read(self.scan, only(self.source)))
        self.source.rows = [row for row in self.source.rows if row["id"] not in gone]
        self.source.requests = 0


def settled(keys: Iterable[str]) -> set[tuple[str, str]]:
    return {("reports", key) for key in keys}


# -- a row that the list showed ----------------------------------------------------------------------


def test_a_row_that_left_its_list_before_its_detail_was_asked_for_is_gone_and_settled() -> None:
    left = Left("c")
    outcome = fetched(wanted("abcde"), not_found("c"), lists=[left.scan])
    assert outcome.emitted[-1] == Item(Kind.GONE, "reports", "c", START, replaces=True)
    assert sorted(outcome.written) == list("abcde"), "it is marked once, after the others"
    assert outcome.settled == settled("abcde")
    assert outcome.tallies["reports"].errors == []
    assert outcome.tallies["reports"].deleted == 1
    assert left.source.requests == 1


def test_a_row_that_was_never_loaded_and_has_left_is_settled_without_a_mark() -> None:
    outcome = fetched(wanted("c", None), not_found("c"), lists=[Left("c", loaded="abde").scan])
    assert outcome.emitted == []
    assert outcome.settled == settled("c")
    assert outcome.tallies["reports"].errors == []


def test_a_row_that_is_still_in_its_list_has_failed_and_keeps_no_other_from_being_looked_at() -> (
    None
):
    outcome = fetched(wanted("abde"), not_found("b", "d"), lists=[Left("d").scan])
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, NotFoundError)
    assert "though the list shows b" in str(error)
    assert outcome.settled == settled("ade")
    assert outcome.fetcher.failed.keys() == settled("bd")
    assert outcome.fetcher.refused == set()


@pytest.mark.parametrize("status", [403, 422])
def test_no_list_is_asked_again_for_a_detail_that_is_refused(status: int) -> None:
    """Though its row has left: only a 404 says so too."""
    left = Left("c")
    answers = {"c": reply(status=status)}
    outcome = fetched(
        wanted("cd"), lambda seen: answers.get(seen.path[-1]) or found(seen), lists=[left.scan]
    )
    assert left.source.requests == 0
    assert len(outcome.tallies["reports"].errors) == 1
    assert outcome.settled == settled("d")


def test_no_list_is_asked_again_when_the_budget_has_ended() -> None:
    class Two(Unlimited):
        async def acquire(self) -> None:
            if self.granted == 2:
                raise BudgetExhausted("no more today")
            await super().acquire()

    left = Left("c")
    outcome = fetched(wanted("cde"), not_found("c"), lists=[left.scan], limiter=Two())
    assert left.source.requests == 0
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, NotFoundError)
    assert outcome.settled == settled("d")


def test_a_row_is_looked_at_once_by_a_call_that_comes_later() -> None:
    """Runs that the details refer to are asked for in one more call."""
    left = Left()
    outcome = fetched(wanted("c"), not_found("c"), then=wanted("d"), lists=[left.scan])
    assert left.source.requests == 1
    assert len(outcome.tallies["reports"].errors) == 1


def test_what_was_missing_after_a_kill_and_answers_later_is_no_error() -> None:
    outcome = fetched(wanted("c"), not_found("c"), resumed=wanted("c"), lists=[Left().scan])
    assert outcome.asked == {"c": 2}
    assert outcome.settled == settled("c")
    assert outcome.tallies["reports"].errors == []


# -- a row that no list showed -----------------------------------------------------------------------


def test_a_row_behind_the_part_of_a_list_that_was_read_waits_and_is_not_asked_for_again() -> None:
    part = Scan(REPORTS, dict.fromkeys("abc", LOADED), {"a"}, finished=False)
    outcome = fetched(wanted("c"), not_found("c", times=9), lists=[part])
    assert outcome.asked == {"c": 1}
    assert outcome.fetcher.failed.keys() == outcome.fetcher.refused == settled("c")
    assert outcome.settled == set()
    assert outcome.emitted == []
    assert outcome.tallies["reports"].errors == []


@pytest.mark.parametrize("shown", ["", "abcdefg"], ids=["in doubt", "believed"])
def test_a_404_that_decides_nothing_yet_does_not_close_the_breaker(shown: str) -> None:
    """Where a list shows none of its rows, a 404 is believed later: the route may be broken."""
    bad = "abcdefg"
    known = dict.fromkeys([*bad, "x"], LOADED)

    def script(request: Seen) -> Reply:
        return reply(status=404 if request.path.endswith("/x") else 422)

    def answers(order: str) -> Outcome:
        one = Scan(REPORTS, known, set(shown), finished=True, proven=False)
        return fetched(wanted(order), script, lists=[one])

    before, behind = bad[: FAILURES_IN_A_ROW - 1], bad[FAILURES_IN_A_ROW - 1 :]
    outcome = answers(f"{before}x{behind}")
    assert outcome.order == [*before, "x", *(behind if shown else behind[:1])]
    assert ("reports", "x") in outcome.settled


def test_a_row_that_a_list_leaves_out_and_whose_detail_answers_is_told_to_the_deletions() -> None:
    part = Scan(REPORTS, dict.fromkeys("abc", LOADED), {"a", "b"}, finished=True, proven=False)
    outcome = fetched(wanted("c"), lists=[part])
    assert outcome.settled == settled("c")
    assert outcome.deletions.left_out(part) == ["c"]
