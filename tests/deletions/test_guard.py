"""Many deletions at once: proof from elsewhere, or the rows are kept and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import PAGERS, Body, FaultyList, Told, faulty_list, things

HOUR = 3600.0


def _empty(body: Body, query: dict[str, str]) -> Body:
    return {"data": [], "meta": {"total": 0, "next": None}}


def _first_half(body: Body, query: dict[str, str]) -> Body:
    start = int(query.get("offset", query.get("after", "0")))
    if "page" in query:
        start = (int(query["page"]) - 1) * 10
    last = start + 10 >= 50
    return {
        "data": body["data"] if start < 50 else [],
        "meta": {"total": 50, "next": None if last else body["meta"]["next"]},
    }


LIES: list[Callable[[Body, dict[str, str]], Body]] = [_empty, _first_half]


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", PAGERS)
@pytest.mark.parametrize("lie", LIES, ids=["empty", "half"])
def test_a_list_that_leaves_out_many_rows_deletes_none_of_them(
    lie: Any, by: str, has_detail: bool, tmp_path: Path
) -> None:
    source = FaultyList(things(100), PAGERS[by], has_detail)
    with faulty_list(tmp_path, source):
        assert source.sync().status == "complete"
        source.fault = lie
        for night in range(3):
            before = len(source.asked("/"))
            report = source.sync()
            assert (report.status, report.exit_code) == ("failed", 1), night
            assert report.as_json()["error"]["code"] in ("mass_deletion", "incomplete")
            assert "t00" in str(report.error), "it names rows"
            assert len(source.asked("/")) - before <= 4
            assert source.living() == source.ids
            assert report.tallies["things"].deleted == 0
            source.clock.advance(HOUR)
        source.fault = None
        assert source.sync().status == "complete"
        assert source.living() == source.ids


def test_an_empty_list_never_confirms_itself(tmp_path: Path) -> None:
    source = FaultyList(things(30))
    with faulty_list(tmp_path, source):
        source.sync()
        source.fault = _empty
        for _ in range(5):
            assert source.sync().exit_code == 1
            source.clock.advance(24 * HOUR)
        assert source.living() == source.ids


def test_a_list_confirms_itself_after_a_day(tmp_path: Path) -> None:
    source = FaultyList(things(100))
    with faulty_list(tmp_path, source):
        source.sync()
        del source.rows[50:]
        assert source.sync().exit_code == 1
        source.clock.advance(19 * HOUR)
        assert source.sync().exit_code == 1
        source.clock.advance(1.1 * HOUR)
        report = source.sync()
        assert report.status == "complete", report.error
        assert (source.living(), report.tallies["things"].deleted) == (source.ids, 50)
        assert [warned.code for warned in report.tallies["things"].warnings] == ["deletions"]


def test_what_a_list_leaves_out_a_day_later_is_not_confirmed_by_other_rows(tmp_path: Path) -> None:
    source = FaultyList(things(100))
    with faulty_list(tmp_path, source):
        source.sync()
        kept = source.rows[:50]
        source.rows[:50] = []
        assert source.sync().exit_code == 1
        source.rows[:] = [*kept, *things(20, 50)]
        source.clock.advance(24 * HOUR)
        assert source.sync().exit_code == 1, "other rows are absent now"
        assert len(source.living()) == 100


def test_the_flag_lets_go_what_was_kept_and_named_and_no_more(tmp_path: Path) -> None:
    source = FaultyList(things(100))
    with faulty_list(tmp_path, source):
        source.sync()
        gone = source.rows[60:]
        del source.rows[60:]
        first = source.sync(allow_mass_delete=True)
        assert first.exit_code == 1, "nothing was named before"
        assert len(source.living()) == 100
        second = source.sync(allow_mass_delete=True)
        assert (second.exit_code, second.tallies["things"].deleted) == (0, 40)
        assert source.living() == source.ids
        # The flag stays in a cron line, and the list fails once more.
        source.rows.extend(gone)
        assert source.sync(allow_mass_delete=True).exit_code == 0
        source.fault = _empty
        assert source.sync(allow_mass_delete=True).exit_code == 1
        assert source.living() == source.ids


@pytest.mark.parametrize("by", PAGERS)
def test_details_confirm_true_deletions_in_the_same_sync(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(100), PAGERS[by], has_detail=True)
    with faulty_list(tmp_path, source):
        source.sync()
        del source.rows[70:]
        before = len(source.asked("/"))
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert (source.living(), report.tallies["things"].deleted) == (source.ids, 30)
        told = len(source.asked("/")) - before
        # A list that tells no total proves nothing on its own, so each row is asked for.
        assert told == (31 if by == "link" else 4)
        assert report.as_json()["warnings"][0]["code"] == "deletions"


def test_a_broken_detail_route_confirms_nothing(tmp_path: Path) -> None:
    source = FaultyList(things(100), has_detail=True)
    with faulty_list(tmp_path, source):
        source.sync()
        source.fault, source.detail = _first_half, lambda row: None
        report = source.sync()
        assert report.as_json()["error"]["code"] == "mass_deletion"
        assert source.living() == source.ids


def test_few_rows_may_go_as_ever(tmp_path: Path) -> None:
    source = FaultyList(things(100))
    with faulty_list(tmp_path, source):
        source.sync()
        del source.rows[80:]
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 20)
        small = FaultyList(things(4))
    with faulty_list(tmp_path / "small", small):
        small.sync()
        del small.rows[1:]
        assert small.sync().exit_code == 0
        assert small.living() == small.ids


def test_the_guard_blocks_no_new_or_changed_row(tmp_path: Path) -> None:
    source = FaultyList(things(60))
    with faulty_list(tmp_path, source):
        source.sync()
        del source.rows[30:]
        source.rows[0] = {**source.rows[0], "name": "changed", "changed": "2026-02-01T00:00:00.1Z"}
        source.rows.append({"id": "new", "name": "new", "changed": "2026-02-01T00:00:00.1Z"})
        report = source.sync()
        assert report.exit_code == 1
        assert (report.tallies["things"].new, report.tallies["things"].changed) == (1, 1)
        assert {row["name"] for row in source.loaded()} >= {"changed", "new"}


def test_a_lost_home_keeps_rows_once_more(tmp_path: Path) -> None:
    source = FaultyList(things(60))
    with faulty_list(tmp_path, source):
        source.sync()
        del source.rows[30:]
        source.sync()
        for file in (source.settings.home / "memory").iterdir():
            assert b"t0030" not in file.read_bytes(), "no id stands in the files of home"
            file.unlink()
        assert source.sync(allow_mass_delete=True).exit_code == 1
        assert source.sync(allow_mass_delete=True).exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
def test_the_last_row_of_a_list_is_kept_in_words_that_fit(has_detail: bool, tmp_path: Path) -> None:
    source = FaultyList(things(1), has_detail=has_detail)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows.clear()
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "mass_deletion")
        assert "the list is empty, and 1 row of it is loaded (t0000)" in str(report.error)
        assert "`oa-sync sync --allow-mass-delete`" in str(report.error)
        assert source.sync(allow_mass_delete=True).exit_code == 0
        assert source.living() == set()
        assert source.sync().exit_code == 0, "an empty list of which nothing is loaded"


def test_a_list_whose_rows_were_all_replaced_is_believed_after_a_day(tmp_path: Path) -> None:
    source = FaultyList(things(5))
    with faulty_list(tmp_path, source):
        source.sync()
        source.rows[:] = things(5, 100)
        report = source.sync()
        assert "none of the loaded rows is in the list any more" in str(report.error)
        assert "in a day is believed" in str(report.error)
        source.clock.advance(20 * HOUR)
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


# -- details -----------------------------------------------------------------------------------------


def test_a_detail_route_that_answers_404_for_a_night_deletes_nothing(tmp_path: Path) -> None:
    source = FaultyList(things(50), has_detail=True)
    with faulty_list(tmp_path, source):
        source.sync()
        source.detail = lambda row: None
        source.rows[:] = [{**row, "changed": "2026-02-01T00:00:00.1Z"} for row in source.rows]
        for options in ({}, {"full_refresh": True}):
            report = source.sync(**options)
            tally = report.tallies["things"]
            assert (report.exit_code, tally.deleted, tally.backlog) == (1, 0, 50)
            assert "though the list shows t00" in str(report.error)
            assert source.living() == source.ids
        source.detail = lambda row: row
        assert source.sync().exit_code == 0


def test_a_first_sync_without_details_loads_the_list_and_says_so(tmp_path: Path) -> None:
    source = FaultyList(things(100), has_detail=True, detail=lambda row: None)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].backlog) == (1, 100)
        assert source.living() == source.ids
        assert len(source.asked("/")) <= 12, "the circuit breaker"


def test_one_detail_that_is_not_there_is_a_failure_of_that_row(tmp_path: Path) -> None:
    source = FaultyList(things(30), has_detail=True)
    source.detail = lambda row: None if row is None or row["id"] == "t0007" else row
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].backlog) == (1, 1)
        assert report.tallies["things"].details_fetched == 29
        assert source.living() == source.ids


def test_a_404_of_an_absent_row_counts_unless_the_route_is_broken(tmp_path: Path) -> None:
    """A list without a total proves nothing on its own."""
    source = FaultyList(things(40), PAGERS["link"], has_detail=True)
    with faulty_list(tmp_path, source):
        source.sync()
        hidden = source.rows.pop(20)
        source.rows[0] = {**source.rows[0], "changed": "2026-02-01T00:00:00.1Z"}
        source.detail = lambda row: None
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        assert hidden["id"] in source.living()
        source.detail = lambda row: row
        assert source.sync().tallies["things"].deleted == 1
        assert source.living() == source.ids


def test_a_detail_that_is_gone_with_410_is_as_one_with_404(tmp_path: Path) -> None:
    source = FaultyList(things(30), has_detail=True, detail=lambda row: Told({}, 410))
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 1
        assert source.living() == source.ids


# -- an optional list --------------------------------------------------------------------------------


def test_an_optional_list_that_was_there_is_not_silenced_by_one_404(tmp_path: Path) -> None:
    endpoint = {"path": "things", "data_selector": "data", "optional": True}
    source = FaultyList(
        things(10), definition={"endpoint": {**endpoint, "paginator": PAGERS["page"]}}
    )
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.fault = lambda body, query: None
        assert source.sync().exit_code == 1
        source.fault = None
        source.rows.append({"id": "new", "name": "new"})
        assert source.sync().exit_code == 0
        assert source.living() == source.ids
        # Only after days of it the list counts as one that the API does not offer.
        source.fault = lambda body, query: None
        codes = []
        for _ in range(5):
            report = source.sync()
            codes.append((report.exit_code, report.tallies["things"].missing))
            source.clock.advance(24 * HOUR)
        assert codes == [(1, False)] * 3 + [(0, True)] * 2
        assert source.living() == source.ids
