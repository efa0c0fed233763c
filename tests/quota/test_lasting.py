"""Which errors say that the server went away, and how often and how long somebody waits for it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from oa_sync.quota.restarts import WAITS, ConnectionLostError, is_lost, lasting
from tests.support.clock import ManualClock


class Lost:
    """Work that fails so many times, and then gives how often it was done."""

    def __init__(self, failures: int) -> None:
        self._failures, self.done = failures, 0

    def __call__(self) -> int:
        self.done += 1
        if self.done <= self._failures:
            raise ConnectionLostError(self.done)
        return self.done


@pytest.mark.parametrize("failures", [0, 1, 3, len(WAITS)])
def test_work_is_done_again_after_each_wait_until_it_is_done(failures: int) -> None:
    clock, work = ManualClock(), Lost(failures)
    assert lasting(work, clock) == failures + 1
    assert clock.sleeps == list(WAITS[:failures])


def test_after_the_last_wait_the_last_error_is_told() -> None:
    clock, work = ManualClock(), Lost(len(WAITS) + 9)
    with pytest.raises(ConnectionLostError) as ended:
        lasting(work, clock)
    assert ended.value.args == (len(WAITS) + 1,)
    assert clock.monotonic() == sum(WAITS) == 35.0


def test_another_error_is_told_at_once() -> None:
    def work() -> None:
        raise ValueError

    clock = ManualClock()
    with pytest.raises(ValueError):
        lasting(work, clock)
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError, True),  # libpq's own: no SQLSTATE
        (psycopg.errors.ConnectionFailure, True),
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.CannotConnectNow, True),
        (psycopg.errors.QueryCanceled, False),
        (psycopg.errors.LockNotAvailable, False),
        (psycopg.errors.UndefinedTable, False),
    ],
)
def test_a_server_that_went_away_is_known_by_the_class_of_the_error(
    error: Callable[[], psycopg.Error], expected: bool
) -> None:
    assert is_lost(error()) is expected
