"""What becomes of each detail that is asked for: settled, gone, failed, or left to the next sync."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConfigurationError,
    InvalidRequestError,
    NotAuthorisedError,
    RateLimitedError,
    ServerError,
)
from oa_sync.extract.details.concurrency import START as CONCURRENT_AT_FIRST
from oa_sync.extract.details.fetching import (
    FAILURES_IN_A_ROW,
    LARGE_BODY,
    MAX_ASKS,
    MAX_IN_FLIGHT_AFTER_KILL,
    SECOND_TRIES,
)
from oa_sync.extract.lists.changes import Change, Known
from oa_sync.journal.items import Item, Kind
from tests.client.scripted import Reply, Seen, reply
from tests.extract.fetching import REPORTS, detail, fetched, found, resource, task, tasks
from tests.support.clock import START, ManualClock
from tests.support.limiter import Unlimited

TRIES = 6
"""Of the client for one request."""
BOARDS = resource("boards")
RUNS = resource("runs", status={"path": "status", "terminal": ["completed"]})
LOADED = Known("v", "h", "v", deleted=False)
DELETED = Known("v", "h", "v", deleted=True)


def failing(*keys: str, with_: Reply | None = None, times: int = 10_000) -> Callable[[Seen], Reply]:
    """Every detail is there, but those of `keys` fail so many times each."""
    left = dict.fromkeys(keys, times)

    def script(request: Seen) -> Reply:
        key = request.path.rsplit("/", 1)[-1]
        if left.get(key, 0) > 0:
            left[key] -= 1
            return with_ or reply(status=500)
        return found(request)

    return script


# -- a detail that is there --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, LARGE_BODY + 1], ids=["small", "large"])
def test_a_detail_is_written_counted_and_settled(size: int) -> None:
    outcome = fetched([task("a")], lambda _: detail("a", text="x" * size))
    (item,) = outcome.emitted
    assert (item.kind, item.key, item.observed_at) == (Kind.DETAIL, "a", START)
    assert item.nbytes > size
    assert getattr(item.document, "fields")["id"] == "a"  # noqa: B009
    assert outcome.settled == {("reports", "a")}
    assert outcome.tallies["reports"].details_fetched == 1
    assert outcome.tallies["reports"].errors == []
    assert outcome.progress == [("detail", "", 1, 1)]
    assert outcome.fetcher.exhausted is None


def test_details_are_asked_for_in_their_order_and_progress_tells_of_how_many() -> None:
    outcome = fetched(tasks(3))
    assert outcome.order == ["reports0", "reports1", "reports2"]
    assert outcome.progress == [("detail", "", n, 3) for n in (1, 2, 3)]


def test_progress_of_a_second_call_goes_on_from_the_first() -> None:
    """Runs that the details refer to are asked for in one more call."""
    outcome = fetched(tasks(2), then=tasks(1, BOARDS))
    assert outcome.progress == [("detail", "", 1, 2), ("detail", "", 2, 2), ("detail", "", 3, 3)]
    assert len(outcome.settled) == 3


# -- a detail that is gone ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "change", "new", "deleted"),
    [
        (None, Change.NEW, 9, 0),
        (DELETED, Change.NEW, 9, 0),
        (LOADED, Change.CHANGED, 10, 1),
        (LOADED, Change.UNCHANGED, 10, 1),
    ],
    ids=["never loaded", "deleted before", "changed", "asked for to confirm it"],
)
def test_a_detail_that_is_not_found_marks_what_is_loaded_as_deleted_and_is_settled(
    known: Known | None, change: Change, new: int, deleted: int
) -> None:
    one = task("a", known=known, change=change)
    outcome = fetched([one], lambda _: reply(status=404))
    gone = Item(Kind.GONE, "reports", "a", START, replaces=True)
    assert outcome.emitted == [gone] * deleted
    assert outcome.settled == {("reports", "a")}
    tally = outcome.tallies["reports"]
    assert (tally.new, tally.deleted, tally.details_fetched, tally.errors) == (new, deleted, 0, [])


# -- details that fail -------------------------------------------------------------------------------


def test_a_detail_that_fails_is_asked_for_again_when_all_others_are_settled() -> None:
    outcome = fetched(tasks(3), failing("reports0", times=TRIES))
    assert outcome.order == ["reports0"] * TRIES + ["reports1", "reports2", "reports0"]
    assert len(outcome.settled) == 3
    assert outcome.tallies["reports"].errors == []
    assert outcome.progress[-1] == ("detail", "", 3, 3)


def test_a_detail_that_fails_again_is_one_error_and_not_settled() -> None:
    outcome = fetched(tasks(3), failing("reports0"))
    assert outcome.asked["reports0"] == TRIES + SECOND_TRIES
    assert outcome.settled == {("reports", "reports1"), ("reports", "reports2")}
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, ServerError)


def test_the_error_that_is_told_is_the_last_one() -> None:
    replies = [reply(status=500)] * TRIES + [reply(status=503)] * SECOND_TRIES
    outcome = fetched([task("a")], lambda _: replies.pop(0))
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, ApiError)
    assert error.status == 503


def test_an_answer_that_asking_again_cannot_change_is_an_error_at_once() -> None:
    outcome = fetched(tasks(2), failing("reports0", with_=reply(status=422)))
    assert outcome.order == ["reports0", "reports1"]
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, InvalidRequestError)
    assert outcome.settled == {("reports", "reports1")}


@pytest.mark.parametrize(("status", "is_refused"), [(422, True), (403, False), (500, False)])
def test_a_request_that_the_api_calls_invalid_is_refused_for_good(
    status: int, is_refused: bool
) -> None:
    outcome = fetched(tasks(2), failing("reports0", with_=reply(status=status)))
    row = ("reports", "reports0")
    assert outcome.fetcher.failed.keys() == {row}
    assert outcome.fetcher.refused == ({row} if is_refused else set())


def test_an_answer_without_a_row_is_a_failure_and_is_asked_for_again() -> None:
    outcome = fetched(tasks(2), failing("reports0", with_=reply({}), times=1))
    assert outcome.order == ["reports0", "reports1", "reports0"]
    assert outcome.tallies["reports"].errors == []
    assert len(outcome.settled) == 2


def test_a_refused_key_ends_everything_and_a_refused_row_only_itself() -> None:
    outcome = fetched(tasks(2), failing("reports0", with_=reply(status=403)))
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, NotAuthorisedError)
    assert outcome.settled == {("reports", "reports1")}
    with pytest.raises(NotAuthorisedError):
        fetched(tasks(2), failing("reports0", with_=reply(status=401)))


def test_what_writing_raises_ends_the_requests_in_flight_and_no_more_are_begun() -> None:
    """Of four in flight one is answered, and the others never."""
    seen: list[str] = []

    def script(request: Seen) -> Reply:
        seen.append(request.path)
        return found(request) if request.path.endswith("/reports0") else Reply(b"", "hang")

    def full(item: Item) -> None:
        raise ConfigurationError("the disk is full")

    with pytest.raises(ConfigurationError):
        fetched(tasks(9), script, emit=full, max_in_flight=4)
    assert "reports4" not in {path.rsplit("/", 1)[-1] for path in seen}


def test_what_a_library_raises_is_a_failure_of_that_detail_alone() -> None:
    def odd(item: Item) -> None:
        if item.key == "reports1":
            raise ValueError("an odd number")

    outcome = fetched(tasks(3), emit=odd)
    (error,) = outcome.tallies["reports"].errors
    assert str(error).startswith("detail of reports reports1: ValueError")
    assert outcome.settled == {("reports", "reports0"), ("reports", "reports2")}
    assert outcome.fetcher.failed.keys() == {("reports", "reports1")}


# -- the circuit breaker -----------------------------------------------------------------------------


def test_a_resource_that_only_fails_is_left_alone_and_the_others_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = tasks(FAILURES_IN_A_ROW + 3), tasks(2, BOARDS)
    with caplog.at_level(logging.WARNING):
        outcome = fetched([*bad, *good], failing(*(f"reports{n}" for n in range(99))))
    # Those that had failed are not asked for again either: the breaker stays open.
    assert outcome.asked == {
        **{f"reports{n}": TRIES for n in range(FAILURES_IN_A_ROW)},
        "boards0": 1,
        "boards1": 1,
    }
    assert len(outcome.tallies["reports"].errors) == FAILURES_IN_A_ROW
    assert outcome.settled == {("boards", "boards0"), ("boards", "boards1")}
    warned = [each for each in caplog.messages if "details in a row failed" in each]
    assert len(warned) == 1
    assert warned[0].startswith("reports: 5 details")


@pytest.mark.parametrize("between", [None, reply(status=404)], ids=["success", "not found"])
def test_one_answer_in_between_closes_the_breaker_for_as_many_failures_as_before(
    between: Reply | None,
) -> None:
    good = {"reports4", "reports9"}
    count = 10 + FAILURES_IN_A_ROW

    def script(request: Seen) -> Reply:
        if request.path.rsplit("/", 1)[-1] in good:
            return between or found(request)
        return reply(status=422)

    assert FAILURES_IN_A_ROW == 5  # four fail before each that does not
    outcome = fetched(tasks(count + 1), script)
    assert outcome.order == [f"reports{n}" for n in range(count)]
    assert outcome.settled == {("reports", key) for key in good}


def test_details_that_failed_in_a_row_open_it_when_it_is_reached_in_the_second_round() -> None:
    """Four fail, the fifth succeeds; in the second round four fail again: each was asked for again."""
    bad = [f"reports{n}" for n in range(FAILURES_IN_A_ROW - 1)]
    outcome = fetched(tasks(FAILURES_IN_A_ROW), failing(*bad))
    assert all(outcome.asked[key] == TRIES + SECOND_TRIES for key in bad)
    assert len(outcome.tallies["reports"].errors) == len(bad)


# -- the end of the budget ---------------------------------------------------------------------------


class Grants(Unlimited):
    """Grants so many requests, then the day is spent: each refusal says how many there were."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self.refused = most, 0

    async def acquire(self) -> None:
        if self.granted >= self._most:
            self.refused += 1
            raise BudgetExhausted(f"refusal {self.refused}")
        await super().acquire()


def test_nothing_more_is_asked_for_when_the_budget_ends_and_that_is_no_error() -> None:
    limiter = Grants(2)
    outcome = fetched(tasks(5), limiter=limiter)
    assert outcome.order == ["reports0", "reports1"]
    assert limiter.refused == 1
    assert str(outcome.fetcher.exhausted) == "refusal 1"
    assert outcome.tallies["reports"].errors == []
    assert len(outcome.settled) == 2


def test_of_several_refusals_the_first_one_is_kept() -> None:
    limiter = Grants(0)
    outcome = fetched(tasks(4), limiter=limiter, max_in_flight=4)
    assert limiter.refused > 1
    assert str(outcome.fetcher.exhausted) == "refusal 1"


def test_what_failed_before_the_budget_ended_is_not_asked_for_again_nor_told() -> None:
    """It is backlog like the rest: the next sync asks for it."""
    outcome = fetched(tasks(3), failing("reports0"), limiter=Grants(TRIES + 1))
    assert outcome.order == ["reports0"] * TRIES + ["reports1"]
    assert outcome.tallies["reports"].errors == []
    assert outcome.settled == {("reports", "reports1")}


def test_a_refusal_for_the_day_is_the_end_of_the_budget() -> None:
    limited = reply(status=429, retry_after="7200")
    outcome = fetched(tasks(3), failing("reports1", with_=limited))
    assert outcome.order == ["reports0", "reports1"]
    exhausted = outcome.fetcher.exhausted
    assert exhausted is not None
    assert exhausted.resets_at == START + timedelta(hours=2)
    assert outcome.tallies["reports"].errors == []


def test_no_request_is_begun_after_a_refusal_while_others_are_in_flight() -> None:
    class FirstRefused(Unlimited):
        wanted = 0

        async def acquire(self) -> None:
            self.wanted += 1
            if self.wanted == 1:
                raise BudgetExhausted("no more today")

    limiter = FirstRefused()
    outcome = fetched(tasks(6), limiter=limiter, max_in_flight=2)
    assert limiter.wanted == 2
    assert outcome.settled == {("reports", "reports1")}


def test_what_failed_before_the_day_was_refused_in_the_second_round_is_told_as_it_failed() -> None:
    replies = [*[reply(status=500)] * TRIES, reply(status=429, retry_after="7200")]
    outcome = fetched([task("a")], lambda _: replies.pop(0))
    assert outcome.fetcher.exhausted is not None
    (error,) = outcome.tallies["reports"].errors
    assert isinstance(error, ServerError)


def test_a_refusal_for_a_moment_is_a_failure_that_may_heal() -> None:
    limited = reply(status=429)
    healed = fetched(tasks(2), failing("reports0", with_=limited, times=3))
    assert (healed.fetcher.exhausted, len(healed.settled)) == (None, 2)
    refused = fetched(tasks(2), failing("reports0", with_=limited))
    assert refused.settled == {("reports", "reports1")}
    (error,) = refused.tallies["reports"].errors
    assert isinstance(error, RateLimitedError)


# -- after a kill ------------------------------------------------------------------------------------


def test_what_a_killed_sync_left_is_tried_once_each_and_its_failures_are_not_told() -> None:
    left = tasks(FAILURES_IN_A_ROW + 1)
    outcome = fetched([], failing("reports0"), resumed=left)
    assert outcome.asked == {one.pending.listed.key: 1 for one in left}
    assert outcome.settled == {one.row for one in left[1:]}
    assert outcome.tallies["reports"].errors == []
    assert outcome.progress[-1] == ("detail", "", FAILURES_IN_A_ROW, FAILURES_IN_A_ROW + 1)


def test_what_failed_after_a_kill_is_asked_for_again_as_if_for_the_first_time() -> None:
    """Neither the open breaker nor the failures count against it."""
    left = tasks(FAILURES_IN_A_ROW)
    outcome = fetched(
        tasks(FAILURES_IN_A_ROW),
        failing(*(one.pending.listed.key for one in left), times=1),
        resumed=left,
    )
    assert set(outcome.asked.values()) == {2}
    assert len(outcome.settled) == FAILURES_IN_A_ROW
    assert outcome.tallies["reports"].errors == []


def test_an_error_for_good_after_a_kill_is_told_once() -> None:
    outcome = fetched(tasks(1), failing("reports0", with_=reply(status=422)), resumed=tasks(1))
    assert outcome.asked == {"reports0": 2}
    assert len(outcome.tallies["reports"].errors) == 1


def test_the_rows_settled_after_a_kill_are_not_among_those_of_the_lists() -> None:
    outcome = fetched(tasks(2)[1:], resumed=tasks(1))
    assert outcome.progress == [("detail", "", 1, 1), ("detail", "", 1, 1)]
    assert outcome.written == ["reports0", "reports1"]


@pytest.mark.parametrize("resumed", [True, False])
def test_few_requests_are_in_flight_after_a_kill(resumed: bool) -> None:
    """What is in flight at the next kill is paid for again."""
    left = tasks(40)
    if resumed:
        outcome = fetched([], resumed=left, max_in_flight=64)
        assert outcome.server.most_at_once <= MAX_IN_FLIGHT_AFTER_KILL
    else:
        outcome = fetched(left, max_in_flight=2)
        assert outcome.server.most_at_once == 2
    assert len(outcome.settled) == 40


def test_more_requests_are_in_flight_where_that_is_quicker() -> None:
    clock = ManualClock()
    limiter = Unlimited()
    written = list[Item]()
    in_flight = list[int]()

    def take(item: Item) -> None:
        clock.advance(0.01)
        in_flight.append(limiter.granted - len(written))
        written.append(item)

    fetched(tasks(60), emit=take, limiter=limiter, clock=clock, max_in_flight=64)
    assert max(in_flight[:CONCURRENT_AT_FIRST]) == CONCURRENT_AT_FIRST
    assert max(in_flight) > CONCURRENT_AT_FIRST


# -- a detail that is read within the second of its version -------------------------------------------

SECOND = START.isoformat().replace("+00:00", "Z")


def racy(clock: ManualClock, **fields: object) -> Callable[[Seen], Reply]:
    """Each answer has a version of the very second in which it is given."""

    def script(request: Seen) -> Reply:
        at = clock.now().replace(microsecond=0)
        key = request.path.rsplit("/", 1)[-1]
        return detail(key, at.isoformat().replace("+00:00", "Z"), date=at, **fields)

    return script


def test_a_detail_that_changes_in_every_second_is_asked_for_three_times() -> None:
    clock = ManualClock()
    outcome = fetched(tasks(1), racy(clock), clock=clock)
    assert MAX_ASKS == 3
    assert outcome.asked == {"reports0": MAX_ASKS}
    assert clock.sleeps == [1.0] * (MAX_ASKS - 1)
    assert len(outcome.emitted) == outcome.tallies["reports"].details_fetched == 1


def test_the_others_are_asked_for_before_one_that_has_to_wait() -> None:
    clock = ManualClock()
    other = tasks(2)

    def script(request: Seen) -> Reply:
        return racy(clock)(request) if request.path.endswith("0") else found(request)

    outcome = fetched(other, script, clock=clock)
    assert outcome.order[:2] == ["reports0", "reports1"]


def test_a_row_that_was_listed_within_its_second_waits_by_the_clock_of_the_server() -> None:
    """The server is half a second ahead of this machine."""
    clock = ManualClock()
    ahead = START + timedelta(seconds=20)

    def script(request: Seen) -> Reply:
        return detail(request.path.rsplit("/", 1)[-1], date=ahead)

    said = [task("told"), task("a", version="2026-03-02T09:00:25Z")]
    outcome = fetched(said, script, clock=clock)
    assert clock.sleeps == [6.0]
    assert outcome.asked == {"told": 1, "a": 1}


def test_a_server_that_tells_no_time_is_taken_to_have_this_one_and_no_answer_of_it_is_racy() -> (
    None
):
    clock = ManualClock()
    outcome = fetched([task("a", version=SECOND)], lambda _: detail("a", SECOND), clock=clock)
    assert clock.sleeps == [1.0]
    assert outcome.asked == {"a": 1}


@pytest.mark.parametrize(
    ("status", "row_hash", "asks"),
    [("running", "hash", MAX_ASKS), ("completed", "hash", 1), ("running", "", 1)],
    ids=["running", "ended", "in no list"],
)
def test_a_run_that_has_ended_or_that_no_list_shows_is_asked_for_once(
    status: str, row_hash: str, asks: int
) -> None:
    """One that has ended does not change; the other is asked for until it ends."""
    clock = ManualClock()
    outcome = fetched([task("r", RUNS, row_hash=row_hash)], racy(clock, status=status), clock=clock)
    assert outcome.asked == {"r": asks}


def test_rows_without_a_list_row_are_racy_where_they_have_no_status() -> None:
    clock = ManualClock()
    outcome = fetched([task("r", REPORTS, row_hash="")], racy(clock), clock=clock)
    assert outcome.asked == {"r": MAX_ASKS}
