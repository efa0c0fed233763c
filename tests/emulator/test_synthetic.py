"""Made-up workspaces: the same for the same seed, whatever was asked first."""

from __future__ import annotations

import json

import pytest

from oa_sync.emulator.synthetic import Size, synthetic_workspace
from tests.support.emulator import HEADERS, HTTP, emulator

SPEC = "reports=30,rows=12,datasets=4,runs=3,columns=6,dashboards=2,steps=4"


def test_the_seed_alone_decides_what_is_in_it() -> None:
    contents = []
    for seed in (1, 1, 2):
        with emulator(synthetic_workspace(SPEC, seed)) as server:
            names = ("datasets", "reports", "dashboards", "agent_runs")
            contents.append({name: server.state.rows(name) for name in names})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    assert {name: len(rows) for name, rows in contents[0].items()} == {
        "datasets": 4,
        "reports": 30,
        "dashboards": 2,
        "agent_runs": 3,
    }


def test_rows_have_the_columns_and_numbers_asked_for() -> None:
    with emulator(synthetic_workspace(SPEC)) as server:
        report = server.state.rows("reports")[7]
        url = f"{server.base_url}/reports/{report['id']}"
        assert HTTP.get(url, headers=HEADERS).json() == report
        datasets = server.state.rows("datasets")
    assert len(report["data"]) == report["row_count"] == 12
    assert all(len(row) == 6 for row in report["data"])
    assert len({json.dumps(row) for row in report["data"]}) == 12
    assert [column["name"] for column in datasets[0]["columns"]] == list(report["data"][0])


def test_a_touched_report_has_other_rows() -> None:
    with emulator(synthetic_workspace(SPEC)) as server:
        before = {row["id"]: row for row in server.state.rows("reports")}
        touched = server.state.touch(5)
        after = {row["id"]: row for row in server.state.rows("reports")}
    changed = {i for i in after if after[i]["data"] != before[i]["data"]}
    assert changed == set(touched)


@pytest.mark.parametrize("spec", ["reports", "reports=-1", "rowz=3", "columns=0", "rows=1.5"])
def test_a_wrong_size_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=NUMBER|columns"):
        Size.parse(spec)
