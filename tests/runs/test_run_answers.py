"""What the answers of agent runs are written as, and which runs other rows refer to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, content_hash
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.runs.known import Announcement
from oa_sync.extract.tally import Tally
from oa_sync.journal.items import Item, Kind, Sighting
from oa_sync.shape.document import read_document
from tests.extract.moving_list import PageRead
from tests.runs.one_sync import (
    BEGIN,
    DEFINED,
    LATE,
    REPORTS,
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
from tests.support.clock import ManualClock

# -- the answers --------------------------------------------------------------------------------------


def test_the_detail_of_a_followed_run_has_its_own_version_and_no_list_row() -> None:
    runs = Runs(heard=[heard("add", payload={"at": V3, "x": 1})]).read()
    event, item = runs.detail("r", at=V1, status="running")
    assert events([event]) == [("running", "poll")]
    assert (item.version, item.detail_version, item.row_hash) == (V1, V1, None)
    assert item.row == b'{"id":"r"}'
    assert item.first_seen == Sighting(SOON, "add")


def test_the_detail_of_a_listed_run_keeps_its_list_row() -> None:
    runs = Runs(listed=[{"id": "r", "at": V2, "status": "queued"}]).read()
    _, item = runs.detail("r", at=V1, status="running")
    assert (item.version, item.detail_version) == (V2, V1)
    assert json.loads(item.row) == {"id": "r", "at": V2, "status": "queued"}
    assert item.row_hash


@pytest.mark.parametrize(("at", "written"), [(V1, False), (V2, True), (V3, True), (None, True)])
def test_an_answer_older_than_what_is_loaded_is_left_out(at: str | None, written: bool) -> None:
    runs = Runs({"r": known(V2, V2)}, {"r": loaded()}, now=LATE).read()
    items = runs.detail("r", at=at, status="running")
    assert [item.kind for item in items] == ([Kind.DETAIL] if written else [])
    assert runs.runs.gone_unseen({("runs", "r")}) == []


def test_an_answer_without_a_version_has_the_hash_of_its_content() -> None:
    runs = Runs(heard=[heard("add")]).read()
    *_, item = runs.detail("r", status="running")
    assert item.version == item.detail_version == content_hash({"id": "r", "status": "running"})


def test_a_followed_run_that_is_gone_is_written_as_gone() -> None:
    runs = Runs({"r": known()}, {"r": loaded()}, now=LATE).read()
    gone = Item(Kind.GONE, "runs", "r", LATE, replaces=True)
    assert runs.runs.completed(gone) == [replace(gone, first_seen=Sighting(BEGIN, "add"))]


def test_a_followed_row_without_its_detail_is_written_with_the_keys_that_were_said() -> None:
    runs = Runs(heard=[heard("webhook", "new", payload={"z": 1})]).read()
    row = Item(Kind.ROW, "runs", "r", SOON, row_hash="", row=runs.scan.pending["r"].raw)
    (item,) = runs.runs.completed(row)
    assert (item.row_hash, item.list_keys) == (None, ("id", "z"))
    listed = Runs(listed=[{"id": "r"}]).read()
    (kept,) = listed.runs.completed(replace(row, row_hash="h"))
    assert (kept.row_hash, kept.list_keys) == ("h", ())


def test_a_first_sighting_that_an_item_has_is_kept() -> None:
    seen = Sighting(BEGIN, "sql")
    (item,) = Runs().runs.completed(Item(Kind.GONE, "runs", "r", SOON, first_seen=seen))
    assert item.first_seen == seen
    other = Item(Kind.ROW, "reports", "x", SOON, row=b"{}")
    assert Runs().runs.completed(other) == [other]


def test_an_id_that_never_existed_is_written_as_gone_and_others_are_not() -> None:
    runs = Runs({"k": known()}, {"k": loaded()}, [heard("add")], now=LATE).read()
    assert set(runs.asked) == {"r", "k"}
    assert runs.runs.gone_unseen(set()) == []
    (item,) = runs.runs.gone_unseen({("runs", "r"), ("runs", "k")})
    assert (item.kind, item.key, item.deleted, item.full) == (Kind.ROW, "r", True, False)
    assert (item.row, item.list_keys) == (b'{"id":"r"}', ("id",))
    assert item.version == content_hash({"id": "r"})
    assert item.first_seen == Sighting(SOON, "add")


def test_a_run_that_was_answered_is_not_gone() -> None:
    runs = Runs(heard=[heard("add")]).read()
    runs.detail("r", status="running")
    assert runs.runs.gone_unseen({("runs", "r")}) == []


# -- the answer that `runs start --wait` has already ----------------------------------------------------


def ended(at: str = V2) -> Announcement:
    return heard("poll", "done", body=orjson.dumps({"id": "r", "at": at, "status": "done"}))


def test_an_answer_that_is_here_already_is_written_and_not_asked_for() -> None:
    runs = Runs(heard=[ended()]).read()
    detail = runs.items[-1]
    assert (detail.kind, detail.version, detail.row_hash) == (Kind.DETAIL, V2, None)
    assert events(runs.items) == [("done", "poll")]
    assert (runs.asked, runs.counted) == ([], (1, 0, 0))
    loaded_one = Runs({"r": known()}, {"r": loaded()}, [ended()]).read()
    assert (loaded_one.asked, loaded_one.counted) == ([], (0, 0, 0))
    assert loaded_one.items[-1].replaces


@pytest.mark.parametrize(("version", "asked"), [(V2, []), (V3, ["r"]), (V1, ["r"])])
def test_an_answer_counts_for_the_version_that_the_list_shows(
    version: str, asked: list[str]
) -> None:
    runs = Runs(heard=[ended()], listed=[{"id": "r", "at": version}]).read()
    assert runs.asked == asked
    written = [item for item in runs.items if item.kind is Kind.DETAIL]
    assert bool(written) is not bool(asked)
    if written:
        assert written[0].list_keys == ("at", "id")
        assert json.loads(written[0].row) == {"id": "r", "at": V2}


def test_an_answer_of_a_run_that_had_ended_already_is_written_too() -> None:
    runs = Runs({"r": known()}, {"r": loaded("done")}, [ended()]).read()
    assert [item.kind for item in runs.items] == [Kind.DETAIL]


def test_an_answer_older_than_what_is_loaded_is_left_out_before_the_details_too() -> None:
    runs = Runs({"r": known(V3, V3)}, {"r": loaded()}, [ended()]).read()
    assert [item.kind for item in runs.items] == [Kind.EVENTS]


@pytest.mark.parametrize("row_hash", [content_hash({"id": "r", "at": V2}), "another row"])
def test_an_answer_is_not_written_for_a_listed_row_that_wants_no_detail(row_hash: str) -> None:
    """What is loaded has this version of it; the row itself is written where it changed."""
    row = Known(V2, row_hash, V2, deleted=False)
    runs = Runs({"r": row}, {"r": loaded("done")}, [ended()], [{"id": "r", "at": V2}]).read()
    assert runs.items == []
    assert ("r" in runs.scan.pending) is (row_hash == "another row")


# -- references -----------------------------------------------------------------------------------------


def refer(runs: Runs, **row: Any) -> None:
    body = orjson.dumps({"id": "x", **row})
    document = read_document(REPORTS, body)
    runs.runs.completed(
        Item(Kind.DETAIL, "reports", "x", SOON, row=b'{"id":"x"}', body=body, document=document)
    )


def test_runs_that_rows_refer_to_are_asked_for_once() -> None:
    runs = Runs({"k": known()}, {"k": loaded("done")}, listed=[{"id": "s"}]).read()
    refer(runs, made_by="b", config={"run": ["a", "k", "s", "a"]})
    tallies = {"runs": runs.tally}
    assert runs.runs.referenced(tallies) == {("runs", "a"), ("runs", "b")}
    assert runs.tally.new == 2
    assert runs.runs.first_seen("runs", "a", LATE) == Sighting(SOON, "reference")
    refer(runs, made_by="b")
    assert runs.runs.referenced(tallies) == set()


def test_ids_are_taken_from_list_rows_and_details_and_from_nothing_else() -> None:
    runs = Runs().read()
    row = Item(Kind.ROW, "reports", "x", SOON, row=b'{"made_by":"a"}')
    gone = Item(Kind.GONE, "reports", "y", SOON, row=b'{"made_by":"b"}')
    empty = Item(Kind.ROW, "reports", "z", SOON)
    for item in (row, gone, empty):
        assert runs.runs.completed(item) == [item]
    assert runs.runs.referenced({"runs": runs.tally}) == {("runs", "a")}


def test_references_to_runs_that_cannot_be_asked_for_are_not_followed() -> None:
    resource = Resource.model_validate({**DEFINED, "detail": {"path": "of/{team}/runs/{id}"}})
    runs = Runs(resource=resource).read()
    refer(runs, made_by="a")
    assert runs.runs.referenced({"runs": runs.tally}) == set()


def test_references_to_a_resource_that_is_not_followed_are_not_looked_for() -> None:
    """Such as one that is left out of this sync."""
    alone = FollowedRuns([REPORTS], {}, {}, ManualClock(SOON))
    item = Item(Kind.ROW, "reports", "x", SOON, row=b'{"made_by":"a"}')
    assert alone.completed(item) == [item]
    assert alone.referenced({}) == set()


def test_a_resource_without_status_has_no_runs_to_follow() -> None:
    scan = Scan(REPORTS, {})
    scan.add(PageRead([{"id": "x", "status": "done"}], None, 0, True, SOON, True))
    before = dict(scan.pending)
    runs = Runs()
    assert runs.runs.listed(scan, list(before.values())) == []
    assert runs.runs.after_list(scan, Tally()) == []
    assert scan.pending == before
