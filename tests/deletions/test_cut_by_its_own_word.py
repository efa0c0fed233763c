"""A list whose total and flag both say that it ends where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things

MORE = {"has_more_path": "meta.more"}
FLAGGED: dict[str, Body] = {name: {**PAGERS[name], **MORE} for name in ("page", "offset", "cursor")}


def cut(source: FaultyList, body: Body, *, shows_next: bool) -> Body:
    """The page as the last one of a list that ends with it."""
    end = source.rows.index(body["data"][-1]) + 1 if body["data"] else len(source.rows)
    is_end = end == len(source.rows)
    meta: Body = {"total": end, "more": False, "next": None}
    if shows_next and not is_end:
        meta["next_url"] = f"/things?after={end}"
    return {"data": body["data"], "meta": meta}


def flagged(body: Body, query: dict[str, str]) -> Body:
    """The true page."""
    return {**body, "meta": {**body["meta"], "more": body["meta"]["next"] is not None}}


@pytest.mark.parametrize("by", ["page", "offset"])
def test_a_next_link_beside_them_is_asked_for(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(34), FLAGGED[by])
    source.fault = lambda body, query: cut(source, body, shows_next=True)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        assert len(source.asked()) == 4


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("by", ["page", "offset"])
def test_a_next_link_that_leads_behind_the_end_does_no_harm(
    by: str, status: int, tmp_path: Path
) -> None:
    source = FaultyList(things(24), FLAGGED[by])

    def page(body: Body, query: dict[str, str]) -> Any:
        if not body["data"] and status == 404:
            return None
        told = flagged(body, query)
        return {**told, "meta": {**told["meta"], "next_url": "/things?page=99"}}

    source.fault = page
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            assert report.exit_code == 0, report.error
            assert source.living() == source.ids


@pytest.mark.parametrize(
    ("by", "first"), [*((by, first) for by in FLAGGED for first in (0, 10)), ("link", 0)]
)
def test_an_absent_row_that_answers_disproves_a_list_that_ends_with_a_full_page(
    by: str, first: int, tmp_path: Path
) -> None:
    source = FaultyList(things(first + 14), FLAGGED.get(by, PAGERS["link"]), has_detail=True)
    source.fault = flagged
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows.append({"id": "new", "name": "new"})
        source.fault = lambda body, query: (
            cut(source, body, shows_next=False)
            if body["data"][0]["id"] == f"t{first:04d}"
            else flagged(body, query)
        )
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert source.living() == source.ids - {"new"}
        source.fault = flagged
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize(("gone", "asked"), [(1, 0), (3, 3), (5, 3)])
@pytest.mark.parametrize("by", [*FLAGGED, "link"])
def test_rows_that_are_gone_from_a_list_that_truly_ends_so_cost_three_details_at_most(
    by: str, gone: int, asked: int, tmp_path: Path
) -> None:
    source = FaultyList(things(20 + gone), FLAGGED.get(by, PAGERS["link"]), has_detail=True)
    source.fault = flagged
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        del source.rows[3 : 3 + gone]
        source.server.asked.clear()
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        assert not list(report.warnings())
        if by != "link":  # which tells no total, so each absent row is asked for
            assert len(source.asked("/")) == asked
