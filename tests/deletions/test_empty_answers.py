"""Answers without a list: which of them say that the list is empty, and what none of them may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import BY_PAGE, PAGERS, Body, FaultyList, Told, faulty_list, things

FOUND_OUT: Body = {"endpoint": {"path": "things"}}
"""A definition that leaves paginator and selector to be found out."""

STATEMENTS = {
    "null": {"data": None, "total": 0},
    "null beside paging": {"data": None, "meta": {"total": 0, "next": None}},
    "an object for a list": {"data": {}, "total": 0},
    "no key": {"total": 0},
    "no key, of another kind": {"count": 0, "next": None, "previous": None},
    "text": {"total": "0", "errors": []},
}
NO_CONTENT = Told(status=204)
EMPTY_BODY = Told()
SILENT = {"204": NO_CONTENT, "empty body": EMPTY_BODY}

ABSENCES: dict[str, Body] = {
    "nothing": {},
    "null alone": {"data": None},
    "an error": {"error": "the database is away"},
    "an error beside a total": {"data": None, "total": 0, "error": "the database is away"},
    "a failure beside a total": {"data": None, "total": 0, "status": "error"},
    "a total above 0": {"data": None, "total": 3},
    "more to come": {"total": 0, "has_more": True},
    "a next page": {"count": 0, "next": "/things?page=2"},
    "a count of something else": {"viewer": {"count": 0}},
    "rows at another key": {"rows": [{"id": "t0000"}], "total": 0},
    "an empty list at another key": {"items": [], "total": 0},
}


def answering(answer: Any, **more: Any) -> FaultyList:
    return FaultyList([], {"type": "single_page"}, fault=lambda body, query: answer, **more)


@pytest.mark.parametrize("answer", [*STATEMENTS.values(), NO_CONTENT], ids=[*STATEMENTS, "204"])
@pytest.mark.parametrize("definition", [{}, FOUND_OUT], ids=["declared", "auto"])
def test_an_answer_that_says_so_is_an_empty_list(
    definition: Body, answer: Any, tmp_path: Path
) -> None:
    source = answering(answer, definition=definition)
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            assert report.exit_code == 0, report.error
        assert len(source.asked()) == 2, "one request a night"


@pytest.mark.parametrize("definition", [{}, FOUND_OUT], ids=["declared", "auto"])
def test_an_empty_body_is_asked_for_again_and_then_an_empty_list(
    definition: Body, tmp_path: Path
) -> None:
    answers = [EMPTY_BODY, {"data": things(2)}]
    source = answering(None, definition=definition)
    source.fault = lambda body, query: answers.pop(0) if answers else EMPTY_BODY
    with faulty_list(tmp_path, source):
        assert source.sync().tallies["things"].new == 2, "the first body got lost on the way"
    empty = answering(EMPTY_BODY, definition=definition)
    with faulty_list(tmp_path / "other", empty):
        report = empty.sync()
        assert report.exit_code == 0, report.error
        assert [warned.code for _, warned in report.warnings()] == ["empty_answer"]


@pytest.mark.parametrize("answer", ABSENCES.values(), ids=ABSENCES)
def test_an_absent_list_is_no_empty_one(answer: Body, tmp_path: Path) -> None:
    source = answering(answer)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "invalid_response")
        for key in answer:
            assert key in str(report.error), "the message names the keys that it saw"


@pytest.mark.parametrize("by", PAGERS)
@pytest.mark.parametrize(
    "answer", [*STATEMENTS.values(), *SILENT.values()], ids=[*STATEMENTS, *SILENT]
)
@pytest.mark.parametrize("has_detail", [False, True], ids=["list", "detail"])
def test_no_such_answer_deletes_a_row(
    has_detail: bool, answer: Any, by: str, tmp_path: Path
) -> None:
    source = FaultyList(things(24), PAGERS[by], has_detail=has_detail)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.fault = lambda body, query: answer
        for _ in range(3):
            assert source.sync().exit_code == 1
            source.clock.advance(86_400)
            assert source.living() == source.ids
        source.fault = None
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 0)


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT)
def test_an_answer_without_a_body_in_mid_list_ends_no_list(answer: Told, tmp_path: Path) -> None:
    source = FaultyList(things(24), BY_PAGE)
    source.fault = lambda body, query: answer if query["page"] == "2" else body
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 1
