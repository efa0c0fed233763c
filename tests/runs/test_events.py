"""Which statuses become events, and what an event holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from oa_sync.extract.runs.events import EVENTS_AN_ITEM, EventLog
from oa_sync.extract.runs.known import LoadedRun
from oa_sync.journal.items import Item, Kind, Sighting

NOW = datetime(2026, 3, 2, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
LOADED = {"r": LoadedRun(("r",), "running", NOW, Sighting(NOW, "list"), stalled=False)}


def observed(*statuses: str | None, loaded: Any = LOADED, key: str = "r") -> list[str]:
    """The statuses that became events, of these seen in turn, a minute each."""
    log = EventLog("runs", loaded)
    for minute, status in enumerate(statuses):
        log.observe(key, (key,), status, NOW + timedelta(minutes=minute), "list")
    return [event["status"] for item in log.take(NOW) for event in orjson.loads(item.row)]


@pytest.mark.parametrize(
    ("statuses", "events"),
    [
        (["queued", "running", "done"], ["queued", "running", "done"]),
        (["running", "running", "done", "done"], ["done"]),
        (["done", None, "done"], ["done"]),
        (["done", "running", "done"], ["done", "running", "done"]),
    ],
    ids=["each change", "no repetition", "no status says nothing", "a status that comes back"],
)
def test_each_change_of_a_status_is_an_event(statuses: list[str | None], events: list[str]) -> None:
    assert observed(*statuses) == events


def test_the_first_status_of_a_run_that_is_not_loaded_is_an_event() -> None:
    assert observed("running", loaded={}) == ["running"]
    assert observed("running", key="other") == ["running"]


def test_an_event_has_the_key_as_texts_the_time_and_the_way() -> None:
    log = EventLog("runs", {})
    log.observe("k", ("a", 7, True), "done", LATER, "webhook")
    (item,) = log.take(NOW)
    assert item == Item(Kind.EVENTS, "runs", "\x1fevents\x1f1", NOW, row=item.row)
    assert orjson.loads(item.row) == [
        {
            "key": ["a", "7", "true"],
            "observed_at": LATER.isoformat(),
            "status": "done",
            "how": "webhook",
        }
    ]


def test_a_status_that_is_no_news_is_an_event_once_and_changes_nothing_that_is_known() -> None:
    """A callback that comes late, with a later status known."""
    log = EventLog("runs", LOADED)
    for _ in range(2):
        log.observe("r", ("r",), "queued", NOW, "webhook", is_news=False)
    assert log.last("r") == "running"
    (item,) = log.take(NOW)
    assert [event["status"] for event in orjson.loads(item.row)] == ["queued"]


def test_one_status_at_two_times_of_two_runs_is_several_events() -> None:
    log = EventLog("runs", {})
    for key in ("a", "b"):
        log.observe(key, (key,), "done", NOW, "webhook", is_news=False)
        log.observe(key, (key,), "done", LATER, "webhook", is_news=False)
    (item,) = log.take(NOW)
    assert len(orjson.loads(item.row)) == 4


def test_the_newest_status_is_what_was_observed_else_what_is_loaded() -> None:
    log = EventLog("runs", LOADED)
    assert [log.last(key) for key in ("r", "other")] == ["running", None]
    log.observe("r", ("r",), "done", NOW, "list")
    assert log.last("r") == "done"


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []),
        (EVENTS_AN_ITEM, [EVENTS_AN_ITEM]),
        (EVENTS_AN_ITEM + 1, [EVENTS_AN_ITEM, 1]),
        (2 * EVENTS_AN_ITEM, [EVENTS_AN_ITEM] * 2),
    ],
)
def test_events_are_taken_once_in_items_of_their_own_of_no_more_than_fit(
    count: int, sizes: list[int]
) -> None:
    log = EventLog("runs", {})
    for number in range(count):
        log.observe(f"r{number}", (f"r{number}",), "done", NOW, "list")
    items = log.take(NOW)
    events = [orjson.loads(item.row) for item in items]
    assert [len(each) for each in events] == sizes
    assert [event["key"][0] for each in events for event in each] == [f"r{n}" for n in range(count)]
    assert log.take(NOW) == []
    log.observe("last", ("last",), "done", NOW, "list")
    (last,) = log.take(NOW)
    assert last.key not in {item.key for item in items}
