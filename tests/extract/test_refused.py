"""Which details that failed are asked for last, and which not again yet (see `refused.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from oa_sync.extract.details.refused import LONGEST, MOST_FAILED, Refusals
from oa_sync.extract.details.tasks import DetailTask
from tests.deletions.deciding import THINGS, Remembered
from tests.extract.fetching import REPORTS, VERSION, task
from tests.support.clock import ManualClock

HOUR = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def facts() -> Remembered:
    return Remembered()


class Nights:
    """Syncs one after the other, of rows that are letters."""

    def __init__(self, facts: Remembered, clock: ManualClock) -> None:
        self.facts, self.clock = facts, clock

    def fail(
        self,
        keys: Iterable[str],
        *,
        refused: Iterable[str] = "",
        done: Iterable[str] = "",
        version: str = VERSION,
    ) -> None:
        """A sync in which these details failed, some of them refused."""
        failed = {one.row: one for one in self.tasks(keys, version)}
        rows = ({(REPORTS.name, key) for key in some} for some in (refused, done))
        Refusals(self.facts, self.clock).conclude(REPORTS, failed, *rows)

    def tasks(self, keys: Iterable[str], version: str = VERSION) -> list[DetailTask]:
        return [task(key, version=version) for key in keys]

    def due(self, keys: str, *, version: str = VERSION, **options: Any) -> tuple[str, Refusals]:
        refusals = Refusals(self.facts, self.clock, **options)
        return "".join(one.row[1] for one in refusals.due(self.tasks(keys, version))), refusals

    @property
    def failed(self) -> set[str]:
        return {key for _, key in Refusals(self.facts, self.clock).before([REPORTS])}


@pytest.fixture
def nights(facts: Remembered, clock: ManualClock) -> Nights:
    return Nights(facts, clock)


# -- which are asked for last -----------------------------------------------------------------------


def test_rows_that_failed_are_remembered_until_their_detail_is_there(nights: Nights) -> None:
    nights.fail("abc")
    assert nights.failed == set("abc")
    nights.fail("b", done="a")
    assert nights.failed == set("bc"), "nobody asked for c"
    nights.fail("bc", done="bc")
    assert nights.failed == set()
    assert nights.facts.texts == {}


def test_rows_of_other_resources_are_not_taken_for_those_of_this_one(
    nights: Nights, facts: Remembered, clock: ManualClock
) -> None:
    other = task("x", THINGS)
    Refusals(facts, clock).conclude(REPORTS, {other.row: other}, set(), set())
    assert facts.texts == {}
    nights.fail("a")
    assert Refusals(facts, clock).before([THINGS, REPORTS]) == {("reports", "a")}


def test_a_thousand_rows_are_remembered(nights: Nights) -> None:
    nights.fail([f"r{n:05}" for n in range(MOST_FAILED + 1)])
    assert len(nights.failed) == MOST_FAILED
    assert f"r{MOST_FAILED:05}" not in nights.failed


# -- which are not asked for again yet --------------------------------------------------------------


def test_a_refused_detail_is_asked_for_at_twice_its_age(nights: Nights, clock: ManualClock) -> None:
    nights.fail("ab", refused="a")
    assert nights.due("abc")[0] == "bc"
    clock.advance(HOUR)
    nights.fail("a", refused="a")
    clock.advance(HOUR - 1)
    assert nights.due("ac")[0] == "c"
    clock.advance(1)
    assert nights.due("ac")[0] == "ac"


def test_it_is_asked_for_every_seven_days_at_least(nights: Nights, clock: ManualClock) -> None:
    nights.fail("a", refused="a")
    clock.advance(30 * LONGEST.total_seconds())
    nights.fail("a", refused="a")
    clock.advance(LONGEST.total_seconds() - 1)
    assert nights.due("a")[0] == ""
    clock.advance(1)
    assert nights.due("a")[0] == "a"


def test_another_version_is_asked_for_at_once_and_its_age_begins_anew(
    nights: Nights, clock: ManualClock
) -> None:
    nights.fail("a", refused="a")
    assert nights.due("a", version="other")[0] == "a"
    clock.advance(HOUR)
    nights.fail("a", refused="a", version="other")
    clock.advance(60)
    assert nights.due("a", version="other")[0] == "a"


def test_a_detail_that_failed_otherwise_is_asked_for_at_once(
    nights: Nights, clock: ManualClock
) -> None:
    nights.fail("a", refused="a")
    nights.fail("a")
    assert nights.due("a")[0] == "a"
    clock.advance(HOUR)
    nights.fail("a", refused="a")
    assert nights.due("a")[0] == ""
    clock.advance(60)
    assert nights.due("a")[0] == "a", "its age counts from the newest refusal"


def test_a_clock_that_was_set_back_lets_nothing_wait(nights: Nights, clock: ManualClock) -> None:
    nights.fail("a", refused="a")
    assert nights.due("a")[0] == ""
    clock.advance(-1)
    assert nights.due("a")[0] == "a"


def test_nothing_waits_where_all_is_to_be_asked_for(nights: Nights) -> None:
    nights.fail("a", refused="a")
    assert nights.due("ab", ask_all=True)[0] == "ab"


# -- in words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "words"), [("a", "of a;"), ("abc", "of a, b, c;"), ("abcde", "of a, b, c and 2 more;")]
)
def test_rows_that_wait_are_told(keys: str, words: str, nights: Nights, clock: ManualClock) -> None:
    nights.fail("a", refused="a")
    clock.advance(2 * HOUR)
    nights.fail(keys, refused=keys)
    due, refusals = nights.due(keys + "z")
    assert due == "z"
    told = str(refusals.told(REPORTS))
    assert "reports: the API refused the details " + words in told
    soonest = clock.now() + (timedelta(hours=2) if keys == "a" else timedelta(minutes=1))
    assert f"asked for again from {soonest:%Y-%m-%d %H:%M} UTC on" in told
    assert refusals.told(THINGS) is None


def test_nothing_is_told_where_nothing_waits(nights: Nights) -> None:
    nights.fail("a")
    assert nights.due("a")[1].told(REPORTS) is None


# -- what is remembered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "failed"),
    [
        (["a", 1], {"a", "1"}),
        ({"a": 1, "b": [VERSION, 1, 2], "c": [VERSION, None]}, {"a", "b", "c"}),
        ({"a": [VERSION, "no time", "no time"]}, {"a"}),
        ({"a": [VERSION, "2026-03-02T09:00:00+00:00", None]}, {"a"}),
        ({"a": [VERSION, None, "2026-03-02T09:00:00+00:00"]}, {"a"}),
        ("text", set()),
        (1, set()),
    ],
)
def test_what_home_holds_in_another_form_lets_nothing_wait(
    fact: Any, failed: set[str], nights: Nights
) -> None:
    nights.facts.set_fact("failed", REPORTS, fact)
    assert nights.failed == failed
    assert nights.due("abc1")[0] == "abc1"
    nights.fail("c", refused="c")
    assert nights.due("abc1")[0] == "ab1"
    assert nights.failed == failed | {"c"}
