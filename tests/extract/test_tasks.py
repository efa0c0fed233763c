"""Which details are asked for first, and what an answer or a list row is written as."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.details.tasks import (
    DetailTask,
    detail_item,
    in_order,
    newer,
    row_item,
    second_ends,
)
from oa_sync.extract.lists.changes import Change, Known, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.journal.items import Item, Kind, Sighting

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
VERSION = "2026-03-02T08:00:00Z"


def resource(name: str = "reports", priority: int = 0) -> Resource:
    return Resource.model_validate(
        {
            "name": name,
            "endpoint": {"path": name, "incremental": {"cursor_path": "at"}},
            "primary_key": ["id"],
            "detail": {"path": name + "/{id}"},
            "priority": priority,
        }
    )


def pending(key: str = "a", loaded: Any = False, **changes: Any) -> Pending:
    """A row that wants its detail. `loaded`: the loaded detail's version; False: nothing is loaded."""
    known = None if loaded is False else Known("v", "h", loaded or None, deleted=False)
    entry = Listed(key, (key,), VERSION, "hash", full=False, row={"id": key})
    change = Change.NEW if known is None else Change.CHANGED
    return replace(Pending(entry, change, known, b'{"id":1}', wants_detail=True), **changes)


def scan_of(name: str, *rows: Pending, priority: int = 0) -> Scan:
    by_key = {row.listed.key: row for row in rows}
    return Scan(resource(name, priority), {}, list_keys={"id", "at"}, pending=by_key)


def keys(*scans: Scan) -> list[str]:
    return [task.pending.listed.key for task in in_order(scans)]


# -- the order --------------------------------------------------------------------------------------


def test_rows_never_loaded_come_first_then_those_whose_detail_is_oldest() -> None:
    scan = scan_of(
        "reports",
        pending("newest", "2026-02"),
        pending("oldest", "2026-01"),
        pending("new"),
        pending("never fetched", None),
    )
    assert keys(scan) == ["new", "never fetched", "oldest", "newest"]


def test_rows_that_failed_come_last_in_their_resource() -> None:
    scans = [
        scan_of("one", pending("failed", "2026-01"), pending("stale", "2026-02"), pending("new")),
        scan_of("two", pending("failed", "2026-01")),
    ]
    order = [task.row for task in in_order(scans, {("one", "failed")})]
    assert [key for name, key in order if name == "one"] == ["new", "stale", "failed"]
    assert order.index(("two", "failed")) == 1


def test_the_higher_priority_comes_first_and_within_one_priority_resources_take_turns() -> None:
    scans = [
        scan_of("low", pending("low"), priority=-1),
        scan_of("long", *(pending(f"long{n}") for n in range(3))),
        scan_of("short", pending("short")),
        scan_of("high", pending("high1"), pending("high2"), priority=5),
    ]
    assert keys(*scans) == ["high1", "high2", "long0", "short", "long1", "long2", "low"]


def test_rows_that_wait_for_no_detail_are_not_asked_for() -> None:
    assert keys(scan_of("reports", pending("a", wants_detail=False), pending("b"))) == ["b"]


def test_a_task_knows_its_row_its_path_and_the_keys_of_its_list() -> None:
    (task,) = in_order([scan_of("reports", pending("a/b"))])
    assert task.row == ("reports", "a/b")
    assert task.path() == "reports/a%2Fb"
    assert task.list_keys == ("at", "id")


def test_a_row_without_what_the_path_names_is_refused_by_name() -> None:
    row = pending()
    task = DetailTask(resource(), replace(row, listed=replace(row.listed, row={})), ())
    with pytest.raises(InvalidResponseError, match=r"reports: \{id\} has no text or number"):
        task.path()


# -- what is written --------------------------------------------------------------------------------


def detail(row: Pending, **fields: Any) -> Item:
    return detail_item(DetailTask(resource(), row, ("id",)), b"{}", "document", fields, NOW)


def test_a_detail_is_written_with_its_list_row_and_the_later_of_both_versions() -> None:
    later = "2026-03-02T08:00:01Z"
    item = detail(pending(), at=later)
    assert item == Item(
        Kind.DETAIL,
        "reports",
        "a",
        NOW,
        version=later,
        row_hash="hash",
        detail_version=later,
        row=b'{"id":1}',
        body=b"{}",
        list_keys=("id",),
    )
    assert item.document == "document"


def test_a_detail_older_than_its_list_row_stays_a_backlog() -> None:
    """It came from a stale replica: the version of the row is written, and differs from the detail's."""
    item = detail(pending(), at="2026-03-02T07:59:59Z")
    assert (item.version, item.detail_version) == ("2026-03-02T08:00:00Z", "2026-03-02T07:59:59Z")


def test_a_detail_without_a_version_has_that_of_its_list_row() -> None:
    item = detail(pending())
    assert item.version == item.detail_version == "2026-03-02T08:00:00Z"


@pytest.mark.parametrize(("loaded", "replaces"), [(False, False), (None, True), ("v", True)])
def test_an_item_replaces_what_is_loaded_of_its_row(loaded: Any, replaces: bool) -> None:
    row = pending("a", loaded)
    assert detail(row).replaces is replaces
    written = row_item(resource(), row, (), NOW)
    assert written is not None
    assert written.replaces is replaces


def test_an_unchanged_row_is_not_written() -> None:
    assert row_item(resource(), pending("a", "v", change=Change.UNCHANGED), (), NOW) is None


@pytest.mark.parametrize(
    ("loaded", "full", "version"),
    [
        (False, False, None),
        ("v1", False, "v1"),
        (False, True, "2026-03-02T08:00:00Z"),
        ("v1", True, "2026-03-02T08:00:00Z"),
    ],
    ids=["new", "loaded", "new and full", "loaded and full"],
)
def test_a_row_without_its_detail_keeps_the_version_of_the_loaded_one(
    loaded: Any, full: bool, version: str | None
) -> None:
    """A full row is its own detail."""
    row, seen = pending("a", loaded), Sighting(NOW, "list")
    row.listed = replace(row.listed, full=full)
    assert row_item(resource(), row, ("id",), NOW, seen) == Item(
        Kind.ROW,
        "reports",
        "a",
        NOW,
        version="2026-03-02T08:00:00Z",
        row_hash="hash",
        detail_version=version,
        row=b'{"id":1}',
        list_keys=("id",),
        full=full,
        replaces=loaded is not False,
        first_seen=seen,
    )


# -- versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("9", "10"),
        ("1.5", "1.25e1"),
        ("2026-03-02T08:00:00Z", "2026-03-02T08:00:00.5Z"),
        ("2026-03-02T09:00:00+02:00", "2026-03-02T08:00:00Z"),
        ("2026-03-02T07:59:59", "2026-03-02T08:00:00Z"),
        ("2026-03-02T08:00:00+00:00", "2026-03-02T08:00:01"),
    ],
)
def test_the_later_of_two_versions_is_the_newer_one_on_either_side(
    earlier: str, later: str
) -> None:
    assert newer(earlier, later) == newer(later, earlier) == later


@pytest.mark.parametrize(
    ("one", "other"), [("abc", "abd"), ("abd", "abc"), ("7", "2026-03-02T08:00:00Z"), ("a", "7")]
)
def test_of_versions_that_do_not_compare_the_other_is_the_newer_one(one: str, other: str) -> None:
    assert newer(one, other) == other


@pytest.mark.parametrize(
    ("one", "other"), [("10", "1e1"), ("2026-03-02T08:00:00Z", "2026-03-02T08:00:00+00:00")]
)
def test_of_equal_versions_in_other_words_that_of_the_row_is_kept(one: str, other: str) -> None:
    """Or a detail that is up to date would count as another version than its row."""
    assert newer(one, other) == other


@given(st.floats(0, 59.999), st.sampled_from(["Z", "", "+00:00"]))
def test_a_version_is_racy_until_its_second_is_over(after: float, zone: str) -> None:
    version = "2026-03-02T09:00:30" + zone
    begins, server = NOW + timedelta(seconds=30), NOW + timedelta(seconds=after)
    ends = begins + timedelta(seconds=1)
    assert second_ends(version, server) == (ends - server if server < ends else None)


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0.0, 1.0), (0.999, 0.001), (1.0, None), (-60.0, 61.0), (-60.001, None)],
    ids=["at once", "in its end", "over", "a minute ahead", "more than a minute ahead"],
)
def test_a_version_of_the_future_is_waited_for_only_where_clocks_may_explain_it(
    seconds: float, left: float | None
) -> None:
    ends = second_ends("2026-03-02T09:00:00Z", NOW + timedelta(seconds=seconds))
    assert ends == (None if left is None else timedelta(seconds=left))


@pytest.mark.parametrize("version", [None, "7", "2026-03-02T09:00:00.000Z", "not a time"])
def test_a_version_that_is_no_time_in_whole_seconds_is_never_racy(version: str | None) -> None:
    assert second_ends(version, NOW) is None


@pytest.mark.parametrize("version", ["1772442000", "2026-03-02T09:00:00Z"])
def test_seconds_since_1970_are_a_time_as_well(version: str) -> None:
    assert second_ends(version, NOW) == timedelta(seconds=1)
    assert second_ends(version, NOW + timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    "version", ["177244200", "17724420000", "1772442000.5", "-177244200", "١٧٧٢٤٤٢٠٠٠"]
)
def test_other_numbers_are_none(version: str) -> None:
    assert second_ends(version, NOW) is None


def test_a_day_has_ten_characters_and_is_none_either() -> None:
    assert second_ends("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)) == timedelta(seconds=1)


def test_only_ten_digits_are_taken_for_seconds_since_1970() -> None:
    for power in range(1, 12):
        at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=10**power)
        told = second_ends(str(10**power), at)
        assert told == (timedelta(seconds=1) if power == 9 else None)


@pytest.mark.parametrize(
    ("words", "loaded"),
    [({}, None), ({"wants_detail": False}, VERSION), ({"full": True}, VERSION)],
)
def test_a_row_whose_detail_may_be_another_one_by_now_is_written_as_without_it(
    words: dict[str, Any], loaded: str | None
) -> None:
    """Its version names a day, so it does not tell."""
    row = pending("a", VERSION)
    if words.pop("full", False):
        row.listed = replace(row.listed, full=True)
    written = row_item(resource(), replace(row, **words), (), NOW)
    assert written is not None
    assert written.detail_version == loaded


def test_a_row_with_an_older_detail_keeps_that_version() -> None:
    written = row_item(resource(), pending("a", "older"), (), NOW)
    assert written is not None
    assert written.detail_version == "older"
