"""When runs are due, and what callbacks mean, for any times and any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oa_sync.definitions.loader import OPENANALYST, load_definition
from oa_sync.extract.intervals import LONGEST, SHORTEST
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.runs.known import Announcement, LoadedRun, is_usable_id
from oa_sync.extract.runs.schedule import (
    GIVE_UP_AFTER,
    State,
    ask_again_at,
    state_of,
)
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting
from tests.support.clock import ManualClock

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
RESOURCE = load_definition(OPENANALYST, dialect="page", environ={}).resource("agent_runs")
STATUSES = ("queued", "running", "odd", "completed", "failed")


def run_of(status: str | None, observed: datetime = BEGIN) -> LoadedRun:
    return LoadedRun(("r",), status, observed, Sighting(BEGIN, "add"), stalled=False)


@given(st.lists(st.floats(0, 3 * 86400), min_size=1, max_size=60))
def test_a_run_is_asked_at_least_once_a_day_and_seldom_twice_at_an_age(waits: list[float]) -> None:
    """Whenever syncs run: `waits` are the seconds between them."""
    now = observed = BEGIN
    asks = 0
    for wait in waits:
        now += timedelta(seconds=wait)
        due = ask_again_at(run_of("running", observed))
        assert SHORTEST <= due - observed <= LONGEST
        if now >= due:
            observed, asks = now, asks + 1
    # Twice as old each time up to the longest wait, then once in that time.
    age = now - BEGIN
    assert asks <= 12 + age / LONGEST


@given(
    st.sampled_from([*STATUSES, None]),
    st.sampled_from([None, "v1", "v2"]),
    st.booleans(),
    st.integers(0, 60),
)
def test_what_has_ended_and_is_loaded_is_never_asked_for(
    status: str | None, detail: str | None, deleted: bool, days: int
) -> None:
    known = Known("v1", None, detail, deleted)
    state = state_of(RESOURCE, run_of(status, BEGIN + timedelta(days=days)), known)
    ended = status in ("completed", "failed")
    if deleted:
        assert state is State.GONE
    elif ended:
        assert state is (State.ENDED if detail == "v1" else State.WAITING)
    elif detail is None:
        assert state is State.WAITING
    else:
        assert (state is State.STALLED) == (timedelta(days=days) >= GIVE_UP_AFTER)


@given(
    st.sampled_from([*STATUSES, None]),
    st.lists(
        st.tuples(st.sampled_from([*STATUSES, None]), st.integers(-5, 5)), min_size=1, max_size=8
    ),
    st.randoms(use_true_random=False),
)
def test_callbacks_in_any_order_give_the_same_and_never_reopen_an_ended_run(
    loaded: str | None, said: list[tuple[str | None, int]], shuffler: Any
) -> None:
    clock = ManualClock(BEGIN + SHORTEST / 2)  # when nothing is due by itself
    known = Known("v", None, "v", deleted=False)
    heard = [
        Announcement("r", BEGIN + timedelta(minutes=at, seconds=place), "webhook", status, {})
        for place, (status, at) in enumerate(said)
    ]

    def outcome(announced: list[Announcement]) -> tuple[list[Item], bool]:
        scan = Scan(RESOURCE, {"r": known})
        runs = {"agent_runs": {"r": run_of(loaded)}}
        history = FollowedRuns([RESOURCE], runs, {"agent_runs": announced}, clock)
        return history.after_list(scan, Tally(missing=True)), "r" in scan.pending

    items, asked = outcome(heard)
    shuffler.shuffle(heard)
    assert outcome(heard) == (items, asked)
    assert all(item.kind is Kind.EVENTS for item in items)
    ends = [h for h in heard if h.at > BEGIN and h.status in ("completed", "failed")]
    has_ended = loaded in ("completed", "failed")
    assume(ends if not has_ended else all(end.status == loaded for end in ends))
    assert asked is not has_ended


@given(st.text(max_size=600))
def test_a_usable_id_is_one_path_segment(text: str) -> None:
    usable = is_usable_id(text)
    if text.strip() in ("", ".", ".."):
        assert not usable
    assume(usable)
    assert len(text) <= 512
    assert not any(ord(letter) < 32 for letter in text)


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(0), SHORTEST),
        (SHORTEST, SHORTEST),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (LONGEST, LONGEST),
        (timedelta(days=9), LONGEST),
    ],
)
def test_a_run_is_due_when_it_is_twice_as_old_as_at_the_last_look(
    age: timedelta, wait: timedelta
) -> None:
    assert ask_again_at(run_of("running", BEGIN + age)) == BEGIN + age + wait


@pytest.mark.parametrize(
    ("status", "detail", "age", "stalled", "state"),
    [
        ("running", "v1", timedelta(0), False, State.FOLLOWED),
        ("running", "v2", timedelta(0), False, State.WAITING),
        ("running", "v1", timedelta(0), True, State.STALLED),
        ("running", None, GIVE_UP_AFTER, True, State.WAITING),
        ("running", "v1", GIVE_UP_AFTER, False, State.STALLED),
        ("running", "v2", GIVE_UP_AFTER, False, State.STALLED),
        ("running", "v1", GIVE_UP_AFTER - SHORTEST, False, State.FOLLOWED),
        ("completed", "v1", GIVE_UP_AFTER, True, State.ENDED),
        ("completed", "v2", GIVE_UP_AFTER, True, State.WAITING),
        (None, "v1", timedelta(0), False, State.FOLLOWED),
    ],
)
def test_what_is_to_be_done_about_a_run_follows_from_what_is_loaded(
    status: str | None, detail: str | None, age: timedelta, stalled: bool, state: State
) -> None:
    run = replace(run_of(status, BEGIN + age), stalled=stalled)
    assert state_of(RESOURCE, run, Known("v1", None, detail, deleted=False)) is state
