"""What a scan counts, keeps and concludes, page by page."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Change, Known
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import REPORTS, START, MovingList, PageRead, loaded, row_of, rows_of
from tests.extract.scanning import scanned

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})
WITHOUT_KEY = WITHOUT_DETAIL.model_copy(update={"primary_key": (), "write_disposition": "replace"})
APPENDED = WITHOUT_DETAIL.model_copy(update={"write_disposition": "append"})
OF_PARENTS = Resource.model_validate(
    {
        "name": "notes",
        "primary_key": ["id"],
        "endpoint": {
            "path": "reports/{report_id}/notes",
            "params": {"report_id": {"type": "resolve", "resource": "reports", "field": "id"}},
        },
    }
)
WITH_STEPS = Resource.model_validate(
    {
        "name": "reports",
        "endpoint": {"path": "reports"},
        "primary_key": ["id"],
        "detail": {"path": "reports/{id}"},
        "children": {"steps": {"table": "steps", "parent_key": ["report_id"]}},
    }
)


def page(*rows: dict[str, Any], total: int | None = None) -> PageRead:
    return PageRead(list(rows), total, 0, True, START, True)


def row(key: str, **more: Any) -> dict[str, Any]:
    return {**row_of(key, START), **more}


def counts(scan: Scan) -> tuple[int, int, int]:
    return scan.new, scan.changed, scan.unchanged


# -- a row that stands on two pages -----------------------------------------------------------------


def test_a_row_seen_twice_counts_once_and_its_later_state_is_kept() -> None:
    scan = Scan(REPORTS, {})
    scan.add(page(row("a", name="first"), row("b")))
    scan.add(page(row("a", name="second")))
    assert counts(scan) == (2, 0, 0)
    assert json.loads(scan.pending["a"].raw)["name"] == "second"


def test_a_changed_row_that_is_as_loaded_on_a_later_page_is_no_longer_pending() -> None:
    scan = Scan(REPORTS, loaded(REPORTS, [row("a")]))
    scan.add(page(row("a", name="changed")))
    assert counts(scan) == (0, 1, 0)
    scan.add(page(row("a")))
    assert counts(scan) == (0, 0, 1)
    assert not scan.pending


def test_an_unchanged_row_that_has_changed_on_a_later_page_counts_as_changed_alone() -> None:
    scan = Scan(REPORTS, loaded(REPORTS, [row("a")]))
    scan.add(page(row("a")))
    scan.add(page(row("a", name="changed")))
    assert counts(scan) == (0, 1, 0)
    assert scan.pending["a"].change is Change.CHANGED


# -- full rows that are handed on while the list is read --------------------------------------------


def test_only_rows_that_wait_for_no_detail_are_handed_on() -> None:
    scan = Scan(WITH_STEPS, {})
    scan.add(page({"id": "full", "steps": []}, {"id": "counted", "steps": 3}))
    assert [taken.listed.key for taken in scan.take_full()] == ["full"]
    assert list(scan.pending) == ["counted"]
    assert scan.take_full() == []


def test_a_row_that_is_not_full_is_not_handed_on_though_its_detail_is_loaded() -> None:
    """Its list row changed without a new version."""
    known = {"a": Known("v", "h", "v", deleted=False)}
    scan = Scan(REPORTS, known)
    scan.add(page({"id": "a", "updated_at": "v"}))
    assert not scan.pending["a"].wants_detail
    assert scan.take_full() == []


def test_a_full_row_handed_on_that_stands_on_a_later_page_too_is_not_written_again() -> None:
    scan = Scan(WITHOUT_DETAIL, {})
    scan.add(page(row("a"), row("b")))
    assert len(scan.take_full()) == 2
    scan.add(page(row("b"), row("c")))
    assert list(scan.pending) == ["c"]
    assert counts(scan) == (3, 0, 0)


def test_a_full_row_handed_on_that_has_changed_on_a_later_page_is_written_again() -> None:
    """It is compared with what was handed on, and still counts as the new row that it is."""
    scan = Scan(WITHOUT_DETAIL, {})
    scan.add(page(row("a")))
    (first,) = scan.take_full()
    scan.add(page(row("a", name="changed")))
    again = scan.pending["a"]
    assert (first.change, again.change) == (Change.NEW, Change.CHANGED)
    assert again.known == Known(
        first.listed.version, first.listed.row_hash, first.listed.version, deleted=False
    )
    assert counts(scan) == (1, 0, 0)


def test_a_row_handed_on_as_changed_and_then_as_loaded_is_written_again_and_counts_as_unchanged() -> (
    None
):
    scan = Scan(WITHOUT_DETAIL, loaded(WITHOUT_DETAIL, [row("a")]))
    scan.add(page(row("a", name="changed")))
    scan.take_full()
    scan.add(page(row("a")))
    assert scan.pending["a"].change is Change.CHANGED
    assert counts(scan) == (0, 0, 1)
    scan.take_full()
    scan.add(page(row("a", name="changed again")))
    assert counts(scan) == (0, 1, 0)


# -- what absence says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "complete"),
    [
        ({"finished": True, "proven": True, "rest_known": 0}, True),
        ({"finished": False, "proven": True, "rest_known": 0}, False),
        ({"finished": True, "proven": False, "rest_known": 0}, False),
        ({"finished": True, "proven": True, "rest_known": 1}, False),
    ],
)
def test_an_absent_id_is_gone_only_by_a_finished_and_proven_scan_of_the_whole_list(
    state: dict[str, Any], complete: bool
) -> None:
    scan = Scan(REPORTS, loaded(REPORTS, [row("a"), row("b")]), **state)
    scan.add(page(row("a")))
    assert scan.absent() == ["b"]
    assert scan.gone() == (["b"] if complete else [])
    assert scan.is_complete is complete


def test_an_id_that_was_known_to_be_deleted_is_not_absent() -> None:
    known = {"a": Known("v", "h", "v", deleted=True), "b": Known("v", "h", "v", deleted=False)}
    scan = Scan(REPORTS, known, finished=True)
    assert scan.absent() == ["b"]
    assert [scan.is_loaded(key) for key in ("a", "b", "c")] == [False, True, False]


def test_rows_that_were_appended_are_never_gone() -> None:
    scan = Scan(APPENDED, loaded(APPENDED, [row("a")]), finished=True)
    assert scan.is_complete
    assert len(scan.absent()) == 1
    assert scan.gone() == []


def test_ids_left_unread_count_as_unchanged() -> None:
    scan = Scan(REPORTS, loaded(REPORTS, rows_of(3)))
    scan.add(page(rows_of(3)[0]))
    scan.leave_rest(2)
    assert (scan.rest_known, counts(scan)) == (2, (0, 0, 3))


def test_rows_behind_the_last_page_are_found_where_no_detail_can_be_asked_for() -> None:
    """Pages 2 and 3 are read at once, page 3 first. Then three rows leave the top: now page 2 and its total
    say that all is read, and three rows stand behind page 3, in no seam between two pages."""

    def three_leave(source: MovingList) -> None:
        if source.requests == 2:
            del source.rows[:3]

    source = MovingList(rows_of(33), 10, change=three_leave, chance=random.Random(0), at_once=2)
    result = scanned(WITHOUT_DETAIL, source, loaded(WITHOUT_DETAIL, rows_of(33)))
    assert result.seen == {f"r{n}" for n in range(33)}
    assert result.is_complete
    assert not result.gone()


# -- what is kept of the pages ----------------------------------------------------------------------


def test_the_total_is_that_of_the_newest_page_that_tells_one() -> None:
    scan = Scan(REPORTS, {})
    scan.add(page(row("a"), total=9))
    scan.add(page(row("b"), total=7))
    scan.add(page(row("c"), total=None))
    assert (scan.total, scan.pages) == (7, 3)


def test_the_lists_of_several_parents_have_no_total_together() -> None:
    scan = Scan(OF_PARENTS, {})
    scan.add(page(row("a"), total=9))
    assert scan.total is None


def test_each_pending_row_has_its_own_bytes() -> None:
    scan = Scan(REPORTS, loaded(REPORTS, [row("b")]))
    scan.add(page(row("a"), row("b"), row("c")))
    assert {key: json.loads(one.raw)["id"] for key, one in scan.pending.items()} == {
        "a": "a",
        "c": "c",
    }


class Counting(PageRead):
    """Counts how often it is cut into the bytes of its rows."""

    cuts = 0

    def raw_rows(self) -> list[bytes]:
        Counting.cuts += 1
        return super().raw_rows()


@pytest.mark.parametrize(("known", "cuts"), [({}, 1), (loaded(REPORTS, rows_of(3)), 0)])
def test_a_page_is_cut_once_and_only_where_a_row_is_pending(
    known: dict[str, Known], cuts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counting, "cuts", 0)
    Scan(REPORTS, known).add(Counting(rows_of(3), 3, 0, True, START, True))
    assert Counting.cuts == cuts


def test_an_unchanged_row_whose_detail_is_not_loaded_is_pending() -> None:
    known = {
        key: Known(one.version, one.row_hash, None, deleted=False)
        for key, one in loaded(REPORTS, [row("a")]).items()
    }
    scan = Scan(REPORTS, known)
    scan.add(page(row("a")))
    assert counts(scan) == (0, 0, 1)
    assert scan.pending["a"].wants_detail


@pytest.mark.parametrize("kept", [None, {}])
def test_decoded_rows_are_kept_only_where_another_resource_is_asked_for_by_them(
    kept: dict[str, dict[str, Any]] | None,
) -> None:
    scan = Scan(REPORTS, {}, rows=kept)
    scan.add(page(row("a")))
    assert scan.rows == (None if kept is None else {"a": row("a")})


def test_equal_rows_of_a_list_without_key_are_told_apart_by_their_number() -> None:
    scan = Scan(WITHOUT_KEY, {})
    first, second = scan.add(page(row("a"), row("a")))
    (third,) = scan.add(page(row("a")))
    (other,) = scan.add(page(row("b")))
    assert first.key == first.row_hash
    assert [second.key, third.key] == [f"{first.key}-2", f"{first.key}-3"]
    assert (second.version, second.row_hash, second.key_values) == (
        second.key,
        second.key,
        (second.key,),
    )
    assert other.key == other.row_hash
    assert scan.new == 4


def test_all_top_level_keys_of_all_rows_are_remembered() -> None:
    scan = Scan(REPORTS, {})
    scan.add(page(row("a", extra=1)))
    scan.add(page(row("b", more=[])))
    assert scan.list_keys == {"id", "updated_at", "name", "extra", "more"}
