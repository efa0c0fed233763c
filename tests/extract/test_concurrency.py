"""How many requests are in flight: by what growing pays, and by the bytes of their answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.extract.details import fetching
from oa_sync.extract.details.concurrency import FEWEST, MAX_BYTES, START, Concurrency
from tests.support.emulator import emulator, workspace_of
from tests.support.syncing import run_sync, settings_for

MIB = 1024 * 1024


def answers(concurrency: Concurrency, seconds: float, now: float = 0.0, count: int = 400) -> float:
    """`count` answers from `now` on; each takes `seconds` by as many as are in flight."""
    for _ in range(count):
        now += seconds / concurrency.limit
        concurrency.answered(now)
    return now


def test_it_grows_to_the_maximum_while_more_in_flight_are_quicker() -> None:
    concurrency = Concurrency(64)
    assert concurrency.limit == START
    answers(concurrency, seconds=0.08)
    assert concurrency.limit == 64


def test_it_stays_small_where_the_rate_is_bound_from_outside() -> None:
    concurrency = Concurrency(64)
    for number in range(400):
        concurrency.answered(2.0 * number)
    assert concurrency.limit <= 9


def test_the_bytes_of_the_answers_bound_it() -> None:
    concurrency = Concurrency(64)
    for _ in range(400):
        concurrency.received(MIB)
    answers(concurrency, seconds=0.08)
    assert concurrency.limit == MAX_BYTES // MIB


def test_a_large_answer_counts_at_once_and_small_ones_lift_the_bound_again() -> None:
    concurrency = Concurrency(64)
    now = answers(concurrency, seconds=0.08)
    concurrency.received(32 * MIB)
    assert concurrency.limit == FEWEST
    for _ in range(60):
        concurrency.received(1_000)
    answers(concurrency, seconds=0.08, now=now)
    assert concurrency.limit == 64


@pytest.mark.parametrize("maximum", [1, 3])
def test_it_is_never_more_than_the_maximum(maximum: int) -> None:
    concurrency = Concurrency(maximum)
    concurrency.received(0)
    answers(concurrency, seconds=0.08)
    assert concurrency.limit == maximum
    concurrency.received(100 * MIB)
    assert concurrency.limit == min(maximum, FEWEST)


def test_it_is_told_of_every_detail_that_a_sync_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Watched(Concurrency):
        def received(self, nbytes: int) -> None:
            sizes.append(nbytes)
            super().received(nbytes)

    monkeypatch.setattr(fetching, "Concurrency", Watched)
    texts = ["x" * 1_000, "x" * 100_000]
    rows = [{"id": f"r{n}", "data": [{"text": text}]} for n, text in enumerate(texts)]
    with emulator(workspace_of(reports=rows), dialect="page") as server:
        run_sync(settings_for(server.base_url, tmp_path))
    assert len(sizes) == 2
    assert all(len(text) < size for text, size in zip(texts, sorted(sizes), strict=True))


def limits(seconds: list[float], start: int = START) -> list[int]:
    """The limit after each answer, with so many seconds before each."""
    concurrency, now, after = Concurrency(64, start), 100.0, list[int]()
    for wait in seconds:
        now += wait
        concurrency.answered(now)
        after.append(concurrency.limit)
    return after


def test_it_grows_by_half_after_a_round_of_twice_as_many_answers_as_are_in_flight() -> None:
    """The first answer only starts the clock."""
    assert limits([1.0] + [0.1] * 8) == [4] * 8 + [6]
    assert limits([1.0] + [0.1] * 8 + [0.05] * 12)[-2:] == [6, 9]
    assert limits([1.0] * 7, start=1) == [1, 1, 2, 2, 2, 2, 2]
    assert limits([1.0] * 3 + [0.5] * 4, start=1)[-2:] == [2, 3]


@pytest.mark.parametrize(("faster", "limit"), [(1.05, 6), (1.15, 9)])
def test_a_round_has_to_be_a_tenth_quicker_than_the_best_to_grow(faster: float, limit: int) -> None:
    assert limits([1.0] + [0.1] * 8 + [0.1 / faster] * 12)[-1] == limit


def test_a_slow_round_does_not_lower_what_the_next_has_to_beat() -> None:
    rounds = [1.0] + [0.1] * 8 + [1.0] * 12 + [0.1 / 1.05] * 12
    assert limits(rounds)[-1] == 6


def test_answers_of_one_instant_tell_no_rate() -> None:
    assert limits([0.0] * 40) == [START] * 40


def test_a_larger_answer_counts_whole_and_a_smaller_one_by_a_quarter() -> None:
    concurrency = Concurrency(64, 64)
    concurrency.received(MIB)
    assert concurrency.limit == MAX_BYTES // MIB == 8
    concurrency.received(0)
    assert concurrency.limit == 10  # three quarters of a MiB each
    concurrency.received(2 * MIB)
    assert concurrency.limit == 4
