"""What is noted of the details to ask for, and what a later sync makes of the note."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.details.unfinished import MAX_AGE, Unfinished, known_after
from oa_sync.extract.lists.changes import Change, Known, listed
from oa_sync.extract.lists.scan import Pending
from oa_sync.journal.items import Item, Kind
from tests.support.clock import START, ManualClock

DEFINED: dict[str, Any] = {
    "name": "reports",
    "endpoint": {"path": "reports", "incremental": {"cursor_path": "at"}},
    "primary_key": ["id"],
    "detail": {"path": "reports/{id}"},
}


def resource(**words: Any) -> Resource:
    return Resource.model_validate({**DEFINED, **words})


REPORTS, BOARDS = resource(), resource(name="boards")


def task(key: str, of: Resource = REPORTS, at: str = "v2", raw: bytes | None = None) -> DetailTask:
    row = {"id": key, "at": at}
    raw = json.dumps(row).encode() if raw is None else raw
    pending = Pending(listed(of, row), Change.NEW, None, raw, wants_detail=True)
    return DetailTask(of, pending, ("at", "id"))


def rest(
    note: Unfinished, *resources: Resource, known: dict[str, dict[str, Known]] | None = None
) -> list[tuple[str, str]]:
    loaded = {one.name: {} for one in resources} | (known or {})
    return [one.row for one in note.rest(resources, loaded)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def note(tmp_path: Path, clock: ManualClock) -> Unfinished:
    return Unfinished(tmp_path, clock)


def again(tmp_path: Path, clock: ManualClock) -> Unfinished:
    """The note as the next process finds it."""
    return Unfinished(tmp_path, clock)


def test_the_next_sync_finds_what_was_noted_in_its_order(
    note: Unfinished, tmp_path: Path, clock: ManualClock
) -> None:
    noted = [task("b"), task("a"), task("c", BOARDS)]
    note.note(noted)
    found = again(tmp_path, clock).rest([REPORTS, BOARDS], {"reports": {}, "boards": {}})
    assert [one.row for one in found] == [("reports", "b"), ("reports", "a"), ("boards", "c")]
    assert list(found) == noted


def test_a_new_note_takes_the_place_of_the_old_one(
    note: Unfinished, tmp_path: Path, clock: ManualClock
) -> None:
    note.note([task("a"), task("b")])
    note.note([task("b", at="v3")])
    (found,) = again(tmp_path, clock).rest([REPORTS], {"reports": {}})
    assert (found.row, found.pending.listed.version) == (("reports", "b"), "v3")
    again(tmp_path, clock).note([])
    assert rest(again(tmp_path, clock), REPORTS) == []


def test_nothing_is_found_after_an_orderly_end(
    note: Unfinished, tmp_path: Path, clock: ManualClock
) -> None:
    note.note([task("a")])
    note.forget()
    assert rest(again(tmp_path, clock), REPORTS) == []


def test_rows_without_key_bytes_or_a_fixed_state_are_not_noted(note: Unfinished) -> None:
    """Their requests follow other rules, or could not be found again."""
    runs = resource(name="runs", status={"path": "status", "terminal": ["done"]})
    keyless = resource(name="keyless", primary_key=[], detail={"path": "newest"})
    note.note([task("a", runs), task("b", keyless), task("c", raw=b""), task("d")])
    assert rest(note, REPORTS, runs, keyless) == [("reports", "d")]


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (None, True),
        (Known("v2", "h", "v1", deleted=False), True),
        (Known("v2", "h", None, deleted=False), True),
        (Known("v2", "h", "v2", deleted=False), False),
    ],
    ids=["not loaded", "an older detail", "the row alone", "this version"],
)
def test_only_details_that_are_not_loaded_by_now_are_left(
    note: Unfinished, known: Known | None, found: bool
) -> None:
    note.note([task("a"), task("b")])
    loaded = {} if known is None else {"a": known}
    assert rest(note, REPORTS, known={"reports": loaded}) == [
        *([("reports", "a")] if found else []),
        ("reports", "b"),
    ]


def test_a_detail_that_was_loaded_since_in_a_later_version_is_not_asked_for_again(
    note: Unfinished,
) -> None:
    """The row changed after it was listed, and a sync that went on with the note ended before the lists."""
    later, earlier = "2026-03-02T08:00:01Z", "2026-03-02T07:00:00Z"
    note.note([task(key, at="2026-03-02T08:00:00Z") for key in ("a", "b", "c")])
    loaded = {
        "a": Known(later, "h", later, deleted=False),
        "b": Known(earlier, "h", earlier, deleted=False),
    }
    assert rest(note, REPORTS, known={"reports": loaded}) == [("reports", "b"), ("reports", "c")]


def test_what_is_left_is_compared_with_what_is_loaded_now(note: Unfinished) -> None:
    known = Known("v1", "h", "v1", deleted=False)
    note.note([task("a"), task("b")])
    old, new = note.rest([REPORTS], {"reports": {"a": known}})
    assert (old.pending.change, old.pending.known) == (Change.CHANGED, known)
    assert (new.pending.change, new.pending.known) == (Change.NEW, None)
    assert old.pending.wants_detail
    assert old.pending.raw == b'{"id": "a", "at": "v2"}'
    assert old.path() == "reports/a"


def test_a_resource_that_is_not_read_this_time_is_passed_over(note: Unfinished) -> None:
    note.note([task("a", BOARDS), task("b")])
    assert rest(note, REPORTS) == [("reports", "b")]


@pytest.mark.parametrize(("age", "found"), [(MAX_AGE, True), (MAX_AGE * 1.01, False)])
def test_a_note_is_worth_its_requests_for_a_day(
    note: Unfinished, clock: ManualClock, age: timedelta, found: bool
) -> None:
    note.note([task("a")])
    clock.advance(age.total_seconds())
    assert bool(rest(note, REPORTS)) is found


def test_a_row_in_which_the_definition_finds_no_key_any_more_is_passed_over(
    note: Unfinished,
) -> None:
    note.note([task("a", raw=b'{"uid":"a"}'), task("b")])
    assert rest(note, REPORTS) == [("reports", "b")]


@pytest.mark.parametrize("kind", [Kind.DETAIL, Kind.GONE])
def test_what_an_item_leaves_loaded_is_known_before_the_lists_are_read(kind: Kind) -> None:
    item = Item(kind, "reports", "a", START, version="v", row_hash="h", detail_version="d")
    assert known_after(item) == Known("v", "h", "d", deleted=kind is Kind.GONE)
