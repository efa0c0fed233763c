"""Any faulty answer at any moment: no living row is marked deleted, and the next good syncs heal everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.destinations.places import Places, Servers, in_environment
from tests.support.faulty_list import BY_PAGE, Body, FaultyList, Told, faulty_list, things

Fault = Callable[[Body, dict[str, str]], Any]


def _start(query: dict[str, str]) -> int:
    return (int(query["page"]) - 1) * int(query["size"])


def _with(body: Body, **meta: Any) -> Body:
    return {**body, "meta": {**body["meta"], **meta}}


FAULTS: dict[str, Fault] = {
    "500": lambda body, query: Told({}, 500),
    "404": lambda body, query: None,
    "no JSON object": lambda body, query: "maintenance",
    "an error with 200": lambda body, query: {"error": "try later"},
    "data is null": lambda body, query: {**body, "data": None},
    "empty": lambda body, query: {"data": [], "meta": {"total": 0, "next": None}},
    "empty with a total": lambda body, query: {**body, "data": []},
    "no total, first page only": lambda body, query: {"data": body["data"]},
    "pages that repeat": lambda body, query: {**body, "data": things(10)},
    "a later page fails": lambda body, query: body if _start(query) < 20 else Told({}, 500),
    "a later page is empty": lambda body, query: (
        body if _start(query) < 20 else {**body, "data": []}
    ),
    "the total falls": lambda body, query: body if _start(query) < 20 else _with(body, total=20),
}
"""Each of them is a failure of a list that was loaded."""

MOMENTS = ["first", "unchanged", "edits", "killed", "history"]


TRUE_TO_THE_EYE = {("empty", "first")}
"""What cannot be told from the truth."""


class Killed(BaseException):
    """The end of a process, as far as a thread can play it."""


@pytest.fixture
def servers() -> Servers:
    return Servers(ExitStack())


def _killed(*step: Any) -> None:
    if step[0] == "detail":
        raise Killed


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "postgres"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_answer_deletes_nothing_and_the_next_syncs_heal(
    fault: str, moment: str, kind: str, tmp_path: Path, servers: Servers
) -> None:
    place = Places(tmp_path, servers).open(kind)
    source = FaultyList(things(45), BY_PAGE, has_detail=moment in ("edits", "killed"), place=place)
    options: dict[str, Any] = {"history": True} if moment == "history" else {}
    with in_environment(place.environment), faulty_list(tmp_path / "api", source):
        if moment != "first":
            assert source.sync(**options).exit_code == 0
        if moment in ("edits", "killed"):
            source.rows[3] = {**source.rows[3], "changed": "2026-02-01T00:00:00.1Z"}
            source.rows.extend(things(3, 100))
        if moment == "killed":
            with pytest.raises(Killed):
                source.sync(progress=_killed)
        before = source.living()
        source.fault = FAULTS[fault]
        report = source.sync(**options)
        assert report.exit_code == (0 if (fault, moment) in TRUE_TO_THE_EYE else 1), report.error
        assert source.living() >= before
        source.fault = None
        gone = source.rows.pop(7)
        assert source.sync(**options).exit_code == 0
        assert source.living() == source.ids
        source.rows.append(gone)
        assert source.sync(**options).exit_code == 0
        assert source.living() == source.ids
