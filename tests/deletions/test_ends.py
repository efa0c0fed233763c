"""Not recognised is not nonexistent: a list whose end is not proven is not complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import PAGERS, Body, FaultyList, Told, faulty_list, things

Fault = Callable[[Body, dict[str, str]], Any]


def _paging_left_out(body: Body, query: dict[str, str]) -> Body:
    return {"data": body["data"]}


def _paging_renamed(body: Body, query: dict[str, str]) -> Body:
    return {"data": body["data"], "paging": body["meta"]}


@pytest.mark.parametrize("by", PAGERS)
@pytest.mark.parametrize("fault", [_paging_left_out, _paging_renamed], ids=["left out", "renamed"])
def test_an_absent_field_is_no_statement(fault: Fault, by: str, tmp_path: Path) -> None:
    source = FaultyList(things(24), PAGERS[by])
    with faulty_list(tmp_path, source):
        source.fault = fault
        first = source.sync()
        assert (first.exit_code, first.as_json()["error"]["code"]) == (1, "incomplete")
        assert "meta." in str(first.error)
        source.fault = None
        assert source.sync().exit_code == 0
        source.fault = fault
        assert source.sync().exit_code == 1
        assert source.living() == source.ids


def test_a_typo_in_a_definition_is_told(tmp_path: Path) -> None:
    pager = {"type": "cursor", "cursor_path": "meta.nxt", "cursor_param": "after"}
    source = FaultyList(things(400), pager)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 1
        assert "meta.nxt" in str(report.error)
        assert "keys are data, meta" in str(report.error)


def served(source: FaultyList, form: str, query: dict[str, str]) -> Any:
    """A page of 10, in a form that real servers have."""
    start = int(query.get("from", 0))
    for name in ("page_token", "pageToken", "cursor"):
        start = int(query.get(name, start))
    if "page" in query:
        start = (int(query["page"]) - 1) * 10
    rows, more = source.rows[start : start + 10], start + 10 < len(source.rows)
    url, following = f"/things?from={start + 10}", str(start + 10)
    body: Body = {"items": rows}
    headers: dict[str, str] = {}
    match form:
        case "Next-Page, a link":
            headers = {"Next-Page": url} if more else {}
        case "X-Next-Page, a number":
            headers = {"X-Next-Page": str(start // 10 + 2) if more else ""}
        case "links":
            body["links"] = [{"rel": "self", "href": "/"}]
            body["links"] += [{"rel": "next", "href": url}] if more else []
        case "next_page_token":
            body["next_page_token"] = following if more else ""
        case "nextPageToken":
            body |= {"nextPageToken": following} if more else {}
        case "odata":
            body = {"value": rows, **({"@odata.nextLink": url} if more else {})}
        case "REL":
            headers = {"Link": f'</>; REL="first", <{url}>; REL="Next"'} if more else {}
        case "no quotes":
            headers = {"Link": f"<{url}>; title=x; rel=next"} if more else {}
        case "two rels":
            headers = {"Link": f'<{url}>; rel="last next"'} if more else {}
    return Told(body, headers=headers)


FORMS = [
    *("Next-Page, a link", "X-Next-Page, a number", "links", "next_page_token", "nextPageToken"),
    *("odata", "REL", "no quotes", "two rels"),
]


@pytest.mark.parametrize("form", FORMS)
def test_auto_knows_the_forms_of_real_servers(form: str, tmp_path: Path) -> None:
    source = FaultyList(things(35), definition={"endpoint": {"path": "things"}})
    source.fault = lambda body, query: served(source, form, query)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        del source.rows[34:]
        assert source.sync().exit_code == 0


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        ({"total": 5}, "total says that there are 5"),
        ({"count": 323}, "count says"),
        ({"meta": {"has_more": True}}, "meta.has_more is true"),
        ({"limit": 2, "offset": 0}, "as many as limit allows"),
        ({"next_offset": 2}, "next_offset is 2"),
    ],
)
def test_auto_without_proof_of_an_end_says_what_it_saw(
    envelope: Body, said: str, tmp_path: Path
) -> None:
    source = FaultyList(things(2), definition={"endpoint": {"path": "things"}})
    source.fault = lambda body, query: {**envelope, "items": source.rows}
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert said in str(report.error)
        assert "single_page" in str(report.error)


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Total-Count": "5"}, {"X-Total": "5"}, {"X-WP-TotalPages": "2"}),
        *({"Content-Range": "items 0-1/5"}, {"X-Next-Cursor": "c2"}, {"x-ms-continuation": "c2"}),
    ],
    ids=str,
)
def test_what_a_header_says_of_more_rows_counts_as_well(
    headers: dict[str, str], tmp_path: Path
) -> None:
    source = FaultyList(things(2), definition={"endpoint": {"path": "things"}})
    source.fault = lambda body, query: Told(source.rows, headers=headers)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert next(iter(headers)).lower() in str(report.error)


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-Total-Count": "2"}, {"X-Total-Pages": "1"}, {"Content-Range": "items 0-1/2"}),
        *({"Content-Range": "items 0-1/*"}, {"X-RateLimit-Total": "5"}, {"X-Nextjs-Cache": "HIT"}),
        *({"X-Total-Time": "45"}, {"X-Next-Cursor": ""}, {"X-Total-Count": "many"}),
    ],
    ids=str,
)
def test_a_header_that_tells_of_no_more_rows_ends_nothing(
    headers: dict[str, str], tmp_path: Path
) -> None:
    source = FaultyList(things(2), definition={"endpoint": {"path": "things"}})
    source.fault = lambda body, query: Told(source.rows, headers=headers)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize(
    "envelope", [{}, {"total": 2}, {"limit": 50}, {"next": None}, {"count": 2}]
)
def test_auto_takes_a_single_page_for_what_it_is(envelope: Body, tmp_path: Path) -> None:
    source = FaultyList(things(2), definition={"endpoint": {"path": "things"}})
    source.fault = lambda body, query: {**envelope, "items": source.rows}
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 1


def test_a_declared_link_that_is_not_there_beside_one_of_another_kind_proves_no_end(
    tmp_path: Path,
) -> None:
    """A healthy server, newest first, with its next page in a header of its own: the window moves."""
    source = FaultyList(things(25), {"type": "header_link"})
    source.fault = lambda body, query: Told(
        {"data": source.rows[:10]}, headers={"Next-Page": "/things?from=10"}
    )
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 1
        assert "Next-Page" in str(report.error)


def test_a_declared_link_beside_a_total_is_followed(tmp_path: Path) -> None:
    source = FaultyList(things(25), {"type": "header_link"})

    def linked(body: Body, query: dict[str, str]) -> Told:
        end = int(query.get("from", 0)) + 10
        link = {"Link": f"</things?from={end}>; rel=next"} if end < 25 else {}
        return Told({"data": source.rows[end - 10 : end], "total": 25}, headers=link)

    source.fault = linked
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


def test_a_total_that_becomes_that_of_its_page_deletes_nothing(tmp_path: Path) -> None:
    """Found out by `auto`: the answer counts its pages as it did, and its total is another one overnight."""
    source = FaultyList(things(12), {"type": "auto"})

    def answer(body: Body, query: dict[str, str]) -> Body:
        number = int(query.get("page", "1"))
        shown = source.rows[(number - 1) * 10 : number * 10]
        total = len(shown) if source.loaded() else len(source.rows)
        return {"data": shown, "page": number, "total_pages": 2, "total": total}

    source.fault = answer
    with faulty_list(tmp_path, source):
        assert [source.sync().exit_code for _ in range(2)] == [0, 0]
        assert source.living() == source.ids


@pytest.mark.parametrize("by", PAGERS)
def test_pages_that_bring_no_new_row_end_a_list_that_never_ends(by: str, tmp_path: Path) -> None:
    """The server knows no position, and a field changes in every answer."""
    source = FaultyList(things(10), PAGERS[by])
    answers = iter(range(10_000))

    def endless(body: Body, query: dict[str, str]) -> Body:
        number = next(answers)
        rows = [{**row, "age": number} for row in source.rows]
        link = f"/things?after={number}" if by == "link" else str(number)
        return {"data": rows, "meta": {"total": 323, "next": link}}

    source.fault = endless
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 1
        assert "no new row" in str(report.error)
        assert len(source.asked()) <= 20, "a hundred rows again, ten a page, and pages read ahead"


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("by", PAGERS)
def test_a_row_of_the_last_page_that_moves_to_the_top_is_no_fault(
    by: str, is_first: bool, tmp_path: Path
) -> None:
    """The latest change stands first; the last page then shows one row of the page before."""
    source = FaultyList(things(21), PAGERS[by])

    def moving(body: Body, query: dict[str, str]) -> Body:
        if source.rows[-1]["id"] == "t0020" and body["data"][0]["id"] == "t0010":
            source.rows.insert(0, {**source.rows.pop(), "changed": "2026-11-30T00:00:00Z"})
        return body

    with faulty_list(tmp_path, source):
        if not is_first:
            assert source.sync().exit_code == 0
        source.fault = moving
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.rows[0]["id"] == "t0020"
        if by == "link" and is_first:
            assert source.sync().exit_code == 0, "a list without a total has to be read once more"
        assert source.living() == source.ids


@pytest.mark.parametrize("selector", [None, "data"])
@pytest.mark.parametrize(
    "shown",
    [{"data": None, "meta": {"total": 0}}, {"meta": {"total": 0}}, {"data": None, "total": 0}],
    ids=["null", "absent", "flat"],
)
@pytest.mark.parametrize("by", ["page", "cursor", "auto"])
def test_null_in_place_of_the_rows_is_an_empty_list_where_the_total_says_so(
    by: str, shown: Body, selector: str | None, tmp_path: Path
) -> None:
    endpoint: Body = {"path": "things", "paginator": PAGERS.get(by, {"type": "auto"})}
    if selector is not None:
        endpoint["data_selector"] = selector
    source = FaultyList([], definition={"endpoint": endpoint})
    source.fault = lambda body, query: body if source.rows else shown
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        source.fault = None
        source.rows.extend(things(3))
        assert source.sync().exit_code == 0
        assert source.living() == source.ids
        source.fault = lambda body, query: shown
        assert source.sync().exit_code == 1, "all rows at once"
        source.fault = lambda body, query: {"data": None, "meta": {"total": 3}}
        assert source.sync().exit_code == 1
        source.fault = lambda body, query: {"data": None}
        assert source.sync().exit_code == 1
        assert source.living() == source.ids


def test_a_total_of_0_beside_rows_that_stand_elsewhere_is_no_empty_list(tmp_path: Path) -> None:
    """A typo in the `data_selector`, or a key that was renamed."""
    endpoint: Body = {"path": "things", "data_selector": "dta", "paginator": PAGERS["offset"]}
    source = FaultyList(things(3), definition={"endpoint": endpoint})
    source.fault = lambda body, query: {**body, "meta": {"total": 0}}
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 1
