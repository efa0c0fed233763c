"""An answer that says itself that rows are missing, though its total is that of what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import BY_OFFSET, Body, FaultyList, Told, faulty_list, things

FAILED: dict[str, Body] = {
    "status error": {"status": "error", "message": "shard down"},
    "status fail": {"status": "fail"},
    "status 500": {"status": 500},
    "code": {"code": "503"},
    "errors in meta": {"meta": {"errors": [{"code": 1}]}},
    "code in meta": {"metadata": {"statusCode": 500}},
    "github": {"incomplete_results": True},
    "shards": {"_shards": {"total": 5, "failed": 1}},
    "timed out": {"timed_out": True},
    "partial": {"partial": "true"},
    "truncated": {"truncated": True},
    "IsTruncated": {"IsTruncated": True},
    "error_message": {"error_message": "x"},
    "errorMessages": {"errorMessages": ["x"]},
    "errcode": {"errcode": 40001},
}
WELL: dict[str, Body] = {
    "status ok": {"status": "ok", "errors": []},
    "status success": {"status": "success", "code": 0, "error": None},
    "status 200": {"status": 200, "code": "200", "errors": 0, "errmsg": "ok", "errcode": 0},
    "flags": {"truncated": False, "partial": False, "incomplete_results": False},
    "shards": {"timed_out": False, "_shards": {"total": 5, "failed": 0, "failures": []}},
    "own code": {"code": 20000, "error_message": "", "errorMessages": []},
    "another object": {"id": "r1", "status": "error", "partial": True, "error_message": "x"},
    "codes of no answer": {"meta": {"code": 1000, "status": "done", "errors": None}},
}
HEADS: dict[str, dict[str, str]] = {
    "range": {"Content-Range": "items 0-24/30"},
    "count": {"X-Total-Count": "30"},
    "stale": {"Warning": '111 - "Revalidation Failed"'},
}
WELL_HEADS: dict[str, dict[str, str]] = {
    "range": {"Content-Range": "items 0-24/25"},
    "unknown range": {"Content-Range": "items 0-24/*"},
    "count": {"X-Total-Count": "25"},
    "other warning": {"Warning": '299 - "Deprecated; 111 days left"'},
}


def part(source: FaultyList, body: Body, extra: Body, status: int, head: dict[str, str]) -> Any:
    """25 of 30 rows in one answer, with a total of that."""
    meta = {"total": 25, **extra.get("meta", {})}
    return Told({"data": source.rows[:25], **extra, "meta": meta}, status, head)


@pytest.mark.parametrize(
    ("extra", "head"),
    [*((one, {}) for one in FAILED.values()), *(({}, one) for one in HEADS.values())],
    ids=[*FAILED, *HEADS],
)
def test_it_is_loaded_and_deletes_nothing(
    extra: Body, head: dict[str, str], tmp_path: Path
) -> None:
    source = FaultyList(things(30), BY_OFFSET, largest=100)
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().exit_code == 0
        source.fault = lambda body, query: part(source, body, extra, 206, head)
        report = lists.sync()
        assert report.exit_code == 1
        # A list that says of its last page that it was cut is asked for one more, which is the same here.
        assert re.search(
            "rows may be missing|the same rows as on the page before", str(report.error)
        )
        assert lists.living() == source.ids


@pytest.mark.parametrize(
    ("extra", "head"),
    [*((one, {}) for one in WELL.values()), *(({}, one) for one in WELL_HEADS.values())],
    ids=[*WELL, *WELL_HEADS],
)
def test_words_of_success_are_no_failure(extra: Body, head: dict[str, str], tmp_path: Path) -> None:
    source = FaultyList(things(30), BY_OFFSET, largest=100)
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().exit_code == 0
        source.fault = lambda body, query: part(source, body, extra, 200, head)
        report = lists.sync()
        assert report.exit_code == 0, report.error
        assert report.tallies["things"].deleted == 5


@pytest.mark.parametrize("flag", ["truncated", "IsTruncated"])
def test_a_flag_of_every_page_but_the_last_is_about_paging(flag: str, tmp_path: Path) -> None:
    source = FaultyList(things(30), BY_OFFSET)

    def flagged(body: Body, query: dict[str, str]) -> Body:
        return {**body, flag: int(query.get("offset", 0)) + len(body["data"]) < 30}

    source.fault = flagged
    with faulty_list(tmp_path, source) as lists:
        for _ in range(2):
            report = lists.sync()
            assert report.exit_code == 0, report.error
            assert lists.living() == source.ids
