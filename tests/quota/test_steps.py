"""Steps of the machine's clock, in both stores: no stamp goes back, nothing is spent twice, nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import SECOND, Limits
from oa_sync.quota.postgres_ledger import PostgresLedger
from oa_sync.quota.sqlite_ledger import SqliteLedger
from oa_sync.quota.steps import EARLIEST, Behind, step
from tests.support.clock import START, ManualClock

ME = 7
DAY = 86_400.0
YEAR = 365 * DAY
FORTY = Limits(None, 40)
UNSET = (datetime(1970, 1, 1, tzinfo=UTC) - START).total_seconds()
"""What makes of the test's clock one that has no battery."""


class WallClock(ManualClock):
    """True time passes by `advance`; the wall clock is `offset` seconds off."""

    offset = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.offset)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture(params=["sqlite", "postgres"])
def another(
    request: pytest.FixtureRequest, tmp_path: Path, clock: WallClock
) -> Iterator[Callable[[], Ledger]]:
    """Opens the same store once more, as another process does."""
    opened: list[Ledger] = []
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None

    def open_one() -> Ledger:
        path = tmp_path / "quota.sqlite3"
        store: Ledger = PostgresLedger(url, clock) if url else SqliteLedger(path, clock)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


def spend(ledger: Ledger, count: int = 99, limits: Limits = FORTY) -> int:
    """Book up to `count` requests; how many were granted."""
    return len(ledger.reserve(ME, limits, count).slots)


def stored(ledger: Ledger) -> list[Any]:
    """Every row of the account, as it is in the store."""
    with ledger._transaction(ME, None) as (book, _):
        book.only_read()
        rows: list[Any] = [book.state, book.behind, sorted(book.instants(0, 2**62).items())]
        return [*rows, book._buckets(-1, None)]


# -- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-2 * DAY, -1.0, 3_600.0, 2 * DAY, 10 * YEAR, UNSET])
def test_whoever_only_reads_writes_nothing_whatever_the_clock_shows(
    another: Callable[[], Ledger], clock: WallClock, off: float
) -> None:
    spend(another())
    before = stored(another())
    clock.offset = off
    reader = another()
    reader.usage(ME, FORTY, keep=3)
    reader.allows_at(ME, FORTY, 40)
    reader.usage(ME + 1, FORTY)
    assert stored(another()) == before
    clock.offset = 0.0
    assert spend(another()) == 0


# -- steps between two processes --------------------------------------------------------------------


@pytest.mark.parametrize("off", [-10 * YEAR, -2 * DAY, -DAY, -3_600.0, -1.0, UNSET])
@pytest.mark.parametrize("true_hours", [0, 1, 20])
def test_a_clock_that_is_behind_for_a_while_gives_nothing_twice(
    another: Callable[[], Ledger], clock: WallClock, off: float, true_hours: int
) -> None:
    sent = spend(another(), 25)
    clock.offset = off
    for _ in range(3):
        sent += spend(another(), 10)
        clock.advance(true_hours * 400.0)
    clock.offset = 0.0
    sent += spend(another())
    assert sent == 40
    assert spend(another()) == 0


def test_a_clock_that_starts_in_1970_on_a_new_machine_gives_nothing_twice(
    another: Callable[[], Ledger], clock: WallClock
) -> None:
    clock.offset = UNSET
    assert spend(another()) == 40
    clock.advance(60)
    clock.offset = 0.0
    assert another().usage(ME, FORTY).used_day == 40
    assert spend(another()) == 0
    assert another().usage(ME, FORTY).full_at == START + timedelta(seconds=60 + DAY + 2)
    clock.advance(DAY + 2)
    assert spend(another()) == 40


def test_what_was_sent_before_the_clock_was_set_counts_from_when_it_is(
    another: Callable[[], Ledger], clock: WallClock
) -> None:
    """Switched off for three days, and started without the time: what was sent then is not three days old."""
    assert spend(another(), 10) == 10
    clock.advance(3 * DAY)
    clock.offset = UNSET
    assert spend(another()) == 30
    clock.offset = 0.0
    assert spend(another()) == 10, "the first ten are three days old"


def test_a_minute_before_the_clock_was_set_counts_as_the_last(
    another: Callable[[], Ledger], clock: WallClock
) -> None:
    limits = Limits(4, None)
    clock.offset = UNSET
    for _ in range(4):
        spend(another(), 1, limits)
    clock.advance(20)
    clock.offset = 0.0
    assert another().reserve(ME, limits).slots[0].wait == pytest.approx(60.9)


def test_a_ledger_that_an_earlier_version_wrote_in_1970_counts_from_when_the_clock_is_set(
    another: Callable[[], Ledger], clock: WallClock
) -> None:
    with another()._transaction(ME, None) as (book, _):
        book.state.clock, book.state.day_floor = 90 * SECOND, -DAY
        book.spend(80, sent=40)
    assert spend(another()) == 0


@pytest.mark.parametrize("off", [2 * DAY, 30 * DAY, 10 * YEAR])
def test_what_was_sent_before_a_clock_leapt_ahead_counts_again_when_it_is_right(
    another: Callable[[], Ledger], clock: WallClock, off: float
) -> None:
    spend(another(), 30)
    clock.offset = off
    for _ in range(5):
        clock.advance(300)
        spend(another(), 1)
    clock.offset = 0.0
    assert another().usage(ME, FORTY).used_day == 35
    assert spend(another()) == 5


@pytest.mark.parametrize("off", [3_600.0, DAY, 1.5 * DAY, 2 * DAY, 10 * YEAR])
def test_a_clock_that_was_ahead_keeps_nobody_waiting_for_long(
    another: Callable[[], Ledger], clock: WallClock, off: float
) -> None:
    clock.offset = off
    spend(another())
    clock.offset = 0.0
    granted = []
    for _ in range(5):
        granted.append(spend(another()))
        clock.advance(DAY + 60)
    assert granted[0] == 0
    assert granted[1:].count(40) >= 3


def test_a_clock_that_stays_behind_lets_time_pass(
    another: Callable[[], Ledger], clock: WallClock
) -> None:
    spend(another())
    clock.offset = -30 * DAY
    assert spend(another()) == 0
    clock.advance(DAY + 60)
    assert spend(another()) == 40


def test_what_is_told_is_the_machines_time(another: Callable[[], Ledger], clock: WallClock) -> None:
    clock.offset = 10 * YEAR
    spend(another())
    clock.offset = 0.0
    assert another().usage(ME, FORTY).full_at == START + timedelta(seconds=DAY + 2)
    denied = another().reserve(ME, FORTY)
    assert denied.resets_at == START + timedelta(seconds=DAY + 2)
    assert denied.wait_seconds == DAY + 2


def test_a_calendar_day_is_the_machines(another: Callable[[], Ledger], clock: WallClock) -> None:
    limits = Limits(None, 40, "UTC")
    clock.offset = 10 * YEAR
    spend(another(), 40, limits)
    clock.offset = 0.0
    assert another().reserve(ME, limits).resets_at == datetime(2026, 3, 3, tzinfo=UTC)
    clock.advance(16 * 3_600)
    assert spend(another(), 40, limits) == 40


# -- the rule itself --------------------------------------------------------------------------------

NOW = int(START.timestamp()) * SECOND


@given(st.lists(st.integers(min_value=0, max_value=4 * NOW), max_size=12))
def test_the_ledgers_clock_never_goes_back(shown: list[int]) -> None:
    clock, behind = 0, None
    for now in shown:
        found = step(clock, behind, now)
        assert found.clock >= max(clock, min(now, found.clock))
        assert found.clock >= now - SECOND
        clock, behind = found.clock, found.behind


@pytest.mark.parametrize(
    ("lag", "moved", "passed"),
    [
        (1_000, 0, 0),
        (1_000, 1, 1),
        (1_000, 500, 500),
        (1_000, 501, 0),
        (1_000, 999, 0),
        (1_000, -5, 0),
        (50_000, 46_400, 46_400),
        (50_000, 46_401, 0),
    ],
)
def test_a_move_that_makes_up_most_of_the_lag_may_be_a_correction(
    lag: int, moved: int, passed: int
) -> None:
    wall = NOW - lag * SECOND
    found = step(NOW, Behind(wall, wall), wall + moved * SECOND)
    assert found.clock - NOW == passed * SECOND
    assert found.behind is not None
    assert found.behind.lowest == wall + min(0, moved) * SECOND


def test_no_time_passes_from_an_unset_clock_to_a_set_one() -> None:
    ahead = NOW + int(10 * YEAR) * SECOND
    found = step(ahead, Behind(SECOND, SECOND, ahead - SECOND), NOW)
    assert (found.clock, found.unset_from) == (ahead, ahead - SECOND)
    assert found.behind == Behind(NOW, SECOND)


def test_what_is_noted_is_read_back() -> None:
    for noted in (Behind(EARLIEST, 5), Behind(1, 2, 3)):
        assert Behind.of_text(noted.as_text()) == noted
