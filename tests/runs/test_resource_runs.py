"""What is decided about each agent run when its list was read: whether it is asked for, and with what row."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.intervals import LONGEST
from oa_sync.extract.lists.changes import Change, Known, content_hash
from oa_sync.extract.lists.scan import Pending
from oa_sync.extract.runs.known import Announcement, LoadedRun
from oa_sync.extract.runs.schedule import GIVE_UP_AFTER
from oa_sync.journal.items import Item, Kind, Sighting
from tests.extract.moving_list import PageRead
from tests.runs.one_sync import (
    BEGIN,
    DEFINED,
    LATE,
    SOON,
    V1,
    V2,
    V3,
    Runs,
    events,
    heard,
    known,
    loaded,
)

# -- what is heard of a run ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["webhook", "start", "add", "sql", "reference", "poll"])
def test_a_run_that_is_heard_of_for_the_first_time_is_asked_for(how: str) -> None:
    runs = Runs(heard=[heard(how, at=BEGIN)]).read()
    assert runs.asked == ["r"]
    assert runs.counted == (1, 0, 0)
    assert runs.runs.first_seen("runs", "r", SOON) == Sighting(BEGIN, how)
    assert runs.scan.pending["r"].raw == b'{"id":"r"}'


def test_the_first_of_several_ways_is_when_it_was_seen_first() -> None:
    runs = Runs(heard=[heard("webhook", at=SOON), heard("add", at=BEGIN)]).read()
    assert runs.runs.first_seen("runs", "r", LATE) == Sighting(BEGIN, "add")


@pytest.mark.parametrize(
    ("how", "told"),
    [("webhook", "webhook"), ("start", "poll"), ("poll", "poll"), ("add", None), ("sql", None)],
)
def test_a_status_that_was_said_is_an_event_with_the_way_it_came(
    how: str, told: str | None
) -> None:
    runs = Runs(heard=[heard(how, "queued")]).read()
    assert events(runs.items) == ([("queued", told)] if told else [])


@pytest.mark.parametrize(
    ("announcement", "run", "row", "asked"),
    [
        (heard("webhook", "done"), loaded(), known(), True),
        (heard("webhook", "done", at=BEGIN), loaded(), known(), False),
        (heard("webhook", "running"), loaded(), known(), False),
        (heard("webhook", "odd"), loaded("done"), known(), False),
        (heard("webhook", "failed"), loaded("done"), known(), True),
        (heard("webhook", "queued"), loaded("done"), known(), False),
        (heard("webhook", "done", payload={"at": V1}), loaded(), known(V2, V2), False),
        (heard("webhook", "done", payload={"at": V2}), loaded(), known(V2, V2), True),
        (heard("webhook", "done", payload={"at": V1}), loaded(), known(None, None), True),
        (heard("webhook", "queued"), loaded("done"), known(deleted=True), True),
        (heard("add"), loaded(), known(), False),
        (heard("sql"), loaded(stalled=True), known(), True),
        (heard("add"), loaded(stalled=True), known(), True),
        (heard("add"), loaded(), known(deleted=True), True),
        (heard("reference"), loaded(stalled=True), known(), False),
    ],
    ids=[
        "another status",
        "not later than what is loaded",
        "the status that is loaded",
        "no end, after one",
        "another end",
        "a run that has ended",
        "an older version",
        "the version that is loaded",
        "a version, where none is loaded",
        "a run that is gone is back",
        "added once more",
        "given up, and registered by SQL",
        "given up, and registered again",
        "gone, and registered again",
        "given up, and referred to",
    ],
)
def test_a_loaded_run_is_asked_for_where_the_announcement_says_more_than_is_loaded(
    announcement: Announcement, run: LoadedRun, row: Known, asked: bool
) -> None:
    runs = Runs({"r": row}, {"r": run}, [announcement]).read()
    assert bool(runs.asked) is asked


def test_a_run_announced_twice_is_asked_for_once_with_what_was_said_last() -> None:
    first = heard("webhook", "queued", BEGIN, payload={"status": "queued", "event": "x"})
    second = heard("webhook", "running", payload={"status": "running", "run_id": "r", "n": 1})
    runs = Runs(heard=[second, first]).read()
    assert runs.asked == ["r"]
    assert json.loads(runs.scan.pending["r"].raw) == {"status": "running", "n": 1, "id": "r"}
    assert events(runs.items) == [("queued", "webhook"), ("running", "webhook")]


def test_a_run_that_ended_by_one_announcement_is_not_reopened_by_the_next() -> None:
    end = heard("webhook", "done", BEGIN, payload={"status": "done"})
    late = heard("webhook", "queued", payload={"status": "queued"})
    runs = Runs(heard=[end, late, heard("add")]).read()
    assert json.loads(runs.scan.pending["r"].raw) == {"status": "done", "id": "r"}
    assert events(runs.items) == [("done", "webhook"), ("queued", "webhook")]


def test_a_late_callback_is_an_event_and_does_not_say_what_the_run_is() -> None:
    late = heard("webhook", "queued", BEGIN + timedelta(seconds=1), payload={"status": "queued"})
    runs = Runs({"r": known()}, {"r": loaded("done")}, [late], now=SOON).read()
    assert events(runs.items) == [("queued", "webhook")]
    assert runs.asked == []
    assert runs.items[-1].kind is Kind.EVENTS


def test_an_announced_run_that_the_list_shows_is_left_to_the_list() -> None:
    runs = Runs(heard=[heard("add")], listed=[{"id": "r", "at": V1, "status": "running"}]).read()
    assert runs.counted == (0, 0, 0)
    assert json.loads(runs.scan.pending["r"].raw)["at"] == V1


def test_an_announced_run_that_is_not_loaded_is_asked_for_though_no_list_shows_it() -> None:
    assert Runs(heard=[heard("add")], listed=[]).read().asked == ["r"]


@pytest.mark.parametrize(("cut", "asked"), [(False, []), (True, ["r"])])
def test_an_announced_run_that_is_loaded_is_left_to_a_list_that_was_read_to_its_end(
    cut: bool, asked: list[str]
) -> None:
    runs = Runs({"r": known()}, {"r": loaded()}, [heard("webhook", "done")], [], cut=cut).read()
    assert runs.asked == asked


def test_no_run_is_asked_for_where_a_detail_needs_more_than_its_id() -> None:
    resource = Resource.model_validate({**DEFINED, "detail": {"path": "of/{team}/runs/{id}"}})
    runs = Runs(
        {"r": known()}, {"r": loaded()}, [heard("webhook", "done")], now=LATE, resource=resource
    ).read()
    assert runs.asked == []
    assert events(runs.items) == [("done", "webhook")]


# -- what the list shows ------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "asked"), [("running", []), ("done", ["r"])])
def test_a_row_whose_status_changed_wants_its_detail_though_its_version_did_not(
    status: str, asked: list[str]
) -> None:
    runs = Runs({"r": known()}, {"r": loaded()}, (), [{"id": "r", "at": V1, "status": status}])
    assert runs.read().asked == asked
    assert events(runs.items) == ([("done", "list")] if asked else [])


def test_a_row_without_a_status_and_a_run_that_is_not_loaded_change_nothing() -> None:
    none = Runs({"r": known()}, {"r": loaded()}, (), [{"id": "r", "at": V1}])
    assert none.read().asked == []
    other = Runs({"r": known()}, {}, (), [{"id": "r", "at": V1, "status": "done"}])
    assert other.read().asked == []


def test_no_detail_is_wanted_of_a_resource_without_one() -> None:
    resource = Resource.model_validate({**DEFINED, "detail": None})
    row = {"id": "r", "at": V1, "status": "done"}
    runs = Runs({"r": known()}, {"r": loaded()}, (), [row], resource=resource)
    assert runs.read().asked == []
    assert events(runs.items) == [("done", "list")]


def test_no_detail_is_wanted_of_a_row_that_has_all_of_it() -> None:
    words = {"detail": {"path": "runs/{id}", "fields": ["steps"]}}
    resource = Resource.model_validate({**DEFINED, **words})
    row = {"id": "r", "at": V1, "status": "done", "steps": "s"}
    runs = Runs({"r": known()}, {"r": loaded()}, (), [row], resource=resource)
    assert runs.read().scan.pending["r"].listed.full
    assert runs.asked == []


def test_a_new_row_is_first_seen_in_the_list_and_a_known_one_when_it_was_loaded() -> None:
    runs = Runs({"r": known()}, {"r": loaded()}, (), [{"id": "r", "at": V2}, {"id": "n"}]).read()
    assert runs.runs.first_seen("runs", "r", LATE) == Sighting(BEGIN, "add")
    assert runs.runs.first_seen("runs", "n", LATE) == Sighting(SOON, "list")
    assert runs.runs.first_seen("runs", "unheard", LATE) == Sighting(LATE, "list")
    assert runs.runs.first_seen("reports", "x", LATE) is None


def test_rows_that_are_handed_on_before_the_end_of_the_list_have_their_events_then() -> None:
    """What was announced comes before what the list shows, and only once."""
    runs = Runs({}, {}, [heard("webhook", "queued", BEGIN)], [])
    runs.scan.add(PageRead([{"id": "r", "status": "done"}], None, 0, True, SOON, True))
    (row,) = runs.scan.pending.values()
    early = runs.runs.listed(runs.scan, [row])
    assert events(early) == [("queued", "webhook"), ("done", "list")]
    assert runs.runs.listed(runs.scan, []) == []
    assert runs.runs.after_list(runs.scan, runs.tally) == []
    assert runs.runs.first_seen("runs", "r", LATE) == Sighting(BEGIN, "webhook")


# -- what is due --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "row", "now", "asked"),
    [
        (loaded(), known(), LATE, True),
        (loaded(at=BEGIN), known(), BEGIN + timedelta(seconds=59), False),
        (loaded(at=BEGIN), known(), BEGIN + timedelta(seconds=60), True),
        (loaded("done"), known(), LATE, False),
        (loaded("done"), known(V2, V1), LATE, True),
        (loaded(), known(V1, None), BEGIN, True),
        (loaded(), known(deleted=True), LATE, False),
        (loaded(stalled=True), known(), LATE, False),
    ],
    ids=["due", "soon", "just due", "ended", "newer", "never fetched", "gone", "given up"],
)
def test_a_run_that_no_list_shows_is_asked_for_when_it_is_due(
    run: LoadedRun, row: Known, now: datetime, asked: bool
) -> None:
    runs = Runs({"r": row}, {"r": run}, now=now).read()
    assert bool(runs.asked) is asked
    assert runs.tally.new == runs.tally.changed == 0
    assert runs.tally.unchanged == (0 if row.deleted else 1)
    assert runs.items == []


def test_a_run_is_not_counted_as_unchanged_where_a_list_was_there_to_count_it() -> None:
    runs = Runs({"r": known()}, {"r": loaded("done")}, listed=[], cut=True).read()
    assert runs.counted == (0, 0, 0)


@pytest.mark.parametrize(
    ("listed", "cut", "asked"),
    [
        ([], False, False),
        ([], True, True),
        ([{"id": "r", "at": V1, "status": "running"}], True, False),
        ([{"id": "r", "at": V1}], False, True),
        ([{"id": "r", "at": V1}, {"id": "n", "status": "x"}], False, False),
    ],
    ids=["read to its end", "cut", "its status", "a list without statuses", "one that has them"],
)
def test_a_run_is_due_only_where_the_list_does_not_tell_of_it(
    listed: list[dict[str, Any]], cut: bool, asked: bool
) -> None:
    row = Known(V1, content_hash({"id": "r", "at": V1}), V1, deleted=False)
    runs = Runs({"r": row}, {"r": loaded()}, (), listed, now=LATE, cut=cut).read()
    assert ("r" in runs.asked) is asked


def test_a_status_below_other_fields_is_told_by_a_list_that_has_the_outermost() -> None:
    words = {"status": {"path": "state.name", "terminal": ["done"]}}
    resource = Resource.model_validate({**DEFINED, **words})
    listed = [{"id": "r", "at": V1, "state": {}}]
    row = Known(V1, content_hash(listed[0]), V1, deleted=False)
    runs = Runs({"r": row}, {"r": loaded()}, (), listed, now=LATE, resource=resource)
    assert runs.read().asked == []


def test_a_due_run_that_the_list_shows_keeps_its_list_row() -> None:
    """Also where the row was handed on already."""
    listed = {"id": "r", "at": V2}
    runs = Runs({"r": known()}, {"r": loaded()}, (), [listed], now=LATE).read()
    assert json.loads(runs.scan.pending["r"].raw) == listed
    assert runs.counted == (0, 0, 0)
    handed_on = Runs({"r": known()}, {"r": loaded()}, (), [listed], now=LATE)
    handed_on.scan.handed_on["r"] = Known(V2, content_hash(listed), V2, deleted=False)
    assert handed_on.read().asked == []


def test_a_loaded_run_that_change_detection_does_not_know_is_passed_over() -> None:
    runs = Runs({}, {"x": loaded(), "r": loaded()}, now=LATE)
    runs.scan.known = {"r": known()}
    assert runs.read().asked == ["r"]


def test_a_run_that_never_ends_is_given_up_once(caplog: pytest.LogCaptureFixture) -> None:
    old = loaded(at=BEGIN + GIVE_UP_AFTER)
    runs = Runs({"r": known()}, {"r": old}, now=BEGIN + GIVE_UP_AFTER + LONGEST).read()
    now = BEGIN + GIVE_UP_AFTER + LONGEST
    assert runs.items == [Item(Kind.STALLED, "runs", "r", now, replaces=True)]
    assert runs.asked == []
    assert "no longer asked for" in caplog.text
    again = Runs({"r": known()}, {"r": replace(old, stalled=True)}, now=now).read()
    assert again.items == []


@pytest.mark.parametrize(
    ("row", "payload", "change", "version"),
    [
        (None, None, Change.NEW, content_hash({"id": "r"})),
        (None, {"at": V3}, Change.NEW, V3),
        (known(V1), None, Change.UNCHANGED, V1),
        (known(None), None, Change.UNCHANGED, content_hash({"id": "r"})),
        (known(V1), {"at": V3}, Change.CHANGED, V3),
        (known(V1, deleted=True), None, Change.NEW, V1),
        (known(V1, deleted=True), {"at": V3}, Change.NEW, V3),
    ],
)
def test_a_followed_run_has_the_row_that_was_announced_else_its_id_alone(
    row: Known | None, payload: dict[str, Any] | None, change: Change, version: str
) -> None:
    rows, run = ({}, {}) if row is None else ({"r": row}, {"r": loaded()})
    said = heard("webhook", "new", payload=payload)
    runs = Runs(rows, run, [said]).read()
    pending: Pending = runs.scan.pending["r"]
    assert (pending.change, pending.listed.version) == (change, version)
    assert json.loads(pending.raw) == {**(payload or {}), "id": "r"}
    assert (pending.listed.row_hash, pending.listed.full, pending.known) == ("", False, row)
    kinds = (Change.NEW, Change.CHANGED, Change.UNCHANGED)
    assert runs.counted == tuple(int(change is kind) for kind in kinds)


# -- how a run's id is spelled ------------------------------------------------------------------------


def named(key: str) -> Announcement:
    return replace(heard("webhook", "done"), run_id=key)


@pytest.mark.parametrize(
    ("key", "like", "raw"),
    [
        ("8", 7, b'{"id":8}'),
        ("8", "r", b'{"id":"8"}'),
        ("8", True, b'{"id":"8"}'),
        ("x8", 7, b'{"id":"x8"}'),
        ("8", None, b'{"id":"8"}'),
    ],
)
def test_the_id_of_a_run_that_is_heard_of_is_a_number_where_those_of_loaded_runs_are(
    key: str, like: Any, raw: bytes
) -> None:
    before = {} if like is None else {"seven": replace(loaded(), key_values=(like,))}
    runs = Runs(loaded=before, heard=[named(key)]).read()
    assert runs.scan.pending[key].raw == raw


def test_the_id_of_a_loaded_run_is_the_one_that_is_loaded() -> None:
    """Another run has a number, and this one's digits are a text."""
    before = {"7": replace(loaded(), key_values=(7,)), "8": replace(loaded(), key_values=("8",))}
    runs = Runs({"8": known()}, before, [named("8")]).read()
    assert runs.scan.pending["8"].raw == b'{"id":"8"}'


@pytest.mark.parametrize(
    ("key", "answered", "row"),
    [
        ("8", 8, b'{"id":8}'),
        ("8", "8", b'{"id":"8"}'),
        ("8", 9, b'{"id":"8"}'),
        ("x", "y", b'{"id":"x"}'),
    ],
)
def test_the_id_is_a_number_where_the_answer_has_the_same_one_as_a_number(
    key: str, answered: Any, row: bytes
) -> None:
    runs = Runs(heard=[named(key)]).read()
    (item,) = [one for one in runs.detail(key, id=answered, at=V2) if one.kind is Kind.DETAIL]
    assert item.row == row
