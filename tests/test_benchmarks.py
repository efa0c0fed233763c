"""The benchmark suite runs from end to end, on next to no data; no figure of it is judged here."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.benchmarks.speed import page
from tests.benchmarks.speed.alone import loaded_table
from tests.benchmarks.speed.cases import Plan
from tests.benchmarks.speed.compared import TYPED, require_same_rows
from tests.benchmarks.speed.measuring import Measured, Sample, in_turn
from tests.benchmarks.speed.results import Bound, Result
from tests.benchmarks.speed.workloads import WORKLOADS
from tests.support.command import run

ROOT = Path(__file__).parents[1]


def benchmark(folder: Path, *arguments: str) -> str:
    """Run the suite, one round on the smallest scale, into `folder`, and return the page it wrote."""
    command = (sys.executable, "-m", "tests.benchmarks.speed", "--repeat", 1, "--scale", 0.001)
    done = run(
        *command, "--output", folder, *arguments, cwd=folder, timeout=600, PYTHONPATH=str(ROOT)
    )
    assert done.returncode == 0, done.stderr
    return (folder / page.PAGE).read_text(encoding="utf-8")


def row_of(text: str, case: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {case} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_rival_loads_the_same_rows_over_the_same_bytes(tmp_path: Path) -> None:
    text = benchmark(tmp_path, "--workloads", "rows,runs", "--skip-slow")
    of_rows, of_runs = text.split("## runs")
    for case in (
        "oa-sync, typed rows",
        "DuckDB read_json, types inferred",
        "dlt rest_api, tuned",
        "dlt, finished tables from disk (floor)",
    ):
        assert row_of(of_rows, case)[-1] == "5,000"
    assert row_of(of_runs, "oa-sync")[-1] == row_of(of_runs, "dlt rest_api, tuned")[-1]
    assert row_of(of_runs, "oa-sync")[-1].startswith("50 / 300 / ")


def test_an_unchanged_sync_reads_the_list_and_a_change_costs_its_detail() -> None:
    with ExitStack() as stack:
        unchanged, one, _ = loaded_table(stack, "1 x", reports=2).cases
        measured = in_turn([unchanged, one], repeat=1)
    assert measured[unchanged.name].loaded == "1 / 0"
    assert measured[one.name].loaded == "2 / 5,001"


def test_a_difference_in_rows_ends_the_benchmark() -> None:
    measured = {name: Measured(name, loaded=rows) for name, rows in (("a", "10"), ("b", "9"))}
    with pytest.raises(SystemExit, match="not the same rows"):
        require_same_rows(measured)


def test_the_part_by_hand_outlives_a_new_run(tmp_path: Path) -> None:
    path = tmp_path / page.PAGE
    slow = Result("cold", "Slow.", {TYPED: Measured(TYPED, [Sample(9.0, 8.0, 7.0)])})
    fast = Result("cold", "Fast.", {TYPED: Measured(TYPED, [Sample(1.0, 1.0, 1.0)])})
    page.write(path, [slow], {}, "first", None)
    path.write_text(path.read_text().replace("Nothing noted yet.", "Threads did not help."))
    page.write(path, [fast], {}, "second", None)
    text = path.read_text()
    assert "Threads did not help." in text
    assert "Fast." in text
    assert "Slow." not in text


def test_a_page_that_lost_a_marker_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / page.PAGE
    path.write_text(f"{page.BEGIN}\nnotes without an end")
    with pytest.raises(ValueError, match="missing"):
        page.write(path, [], {}, "again", None)
    assert "notes without an end" in path.read_text()


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (Bound("wall", 1.0, 1.0), "met"),
        (Bound("wall", 1.5, 1.0), "missed by 50 %"),
        (Bound("times faster", 12.0, 10.0, at_least=True), "met"),
        (Bound("times faster", 5.0, 10.0, at_least=True), "missed by 50 %"),
    ],
)
def test_a_bound_is_met_or_missed_by_a_share(bound: Bound, verdict: str) -> None:
    assert bound.verdict == verdict


def test_sizes_shrink_with_the_scale_but_never_to_nothing() -> None:
    plan = Plan(repeat=1, scale=0.001, skip_slow=True)
    assert plan.scaled(50_000) == 50
    assert plan.scaled(200) == 1
    assert set(WORKLOADS) == {"rows", "runs", "latency", "memory", "growth", "cold"}
