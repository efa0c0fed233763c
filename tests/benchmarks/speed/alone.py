"""The workloads without rivals: memory and time over size, little changes in large tables, cold starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.speed.cases import DATABASE, ROWS_A_REPORT, Plan, counted, scratch, sync
from tests.benchmarks.speed.measuring import (
    OA_SYNC,
    Case,
    Measured,
    in_turn,
    module,
    output_of,
    run,
    tell,
)
from tests.benchmarks.speed.results import Bound, Result
from tests.benchmarks.speed.serving import Editor, get, list_pages, serving

LAST_SYNC = (
    "SELECT requests_made, rows_written FROM openanalyst.syncs ORDER BY started_at DESC LIMIT 1"
)


def memory(plan: Plan) -> Result:
    """0.2, 1, 3 and 10 million report rows."""
    sizes = {f"{million:g} M rows": plan.scaled(int(million * 200)) for million in (0.2, 1, 3, 10)}
    with ExitStack() as stack:
        cases = []
        for name, reports in sizes.items():
            folder = stack.enter_context(scratch())
            output_of(module("sources", "reports", folder, reports, ROWS_A_REPORT))
            url = stack.enter_context(serving("--data", folder))
            get(f"{url}/reports?per_page=1")
            cases.append(
                Case(
                    name,
                    sync(url, "reports", "--report-rows", "typed"),
                    count=counted(DATABASE, "SELECT count(*) FROM openanalyst.report_rows"),
                )
            )
        measured = in_turn(cases, plan.repeat)
    for name, reports in sizes.items():
        if measured[name].loaded != f"{reports * ROWS_A_REPORT:,}":
            raise SystemExit(f"memory: {name}: {measured[name].loaded} rows were loaded")
    each = {name: measured[name].wall / sizes[name] / ROWS_A_REPORT * 1e6 for name in sizes}
    small, one, _, ten = sizes
    peaks = [measured[one].peak, measured[ten].peak]
    bounds = [
        Bound("peak memory at 1 M rows", peaks[0], 350, " MB"),
        Bound("peak memory at 10 M rows", peaks[1], 350, " MB"),
        Bound("the higher of both over the lower", max(peaks) / min(peaks), 1.1),
        Bound("time per row, 10 M over 0.2 M rows", each[ten] / each[small], 1.1),
        Bound("time per row, 10 M over 1 M rows", each[ten] / each[one], 1.1),
    ]
    extra = {
        "µs a row": {name: f"{each[name]:.2f}" for name in sizes},
        "µs a row more": _marginal(sizes, measured),
    }
    title = (
        f'Reports of {ROWS_A_REPORT:,} rows, typed, into DuckDB. "µs a row more" is what each row beyond'
        " those of the line above took: start-up is not in it."
    )
    return Result("memory", title, measured, bounds=bounds, extra=extra)


def _marginal(sizes: Mapping[str, int], measured: Mapping[str, Measured]) -> dict[str, str]:
    names = list(sizes)
    steps = {}
    for before, name in pairwise(names):
        more = (sizes[name] - sizes[before]) * ROWS_A_REPORT
        if more:
            steps[name] = f"{(measured[name].wall - measured[before].wall) / more * 1e6:.2f}"
    return steps


def growth(plan: Plan) -> Result:
    """Syncs of little into tables of 0.1, 1 and 10 million rows."""
    with ExitStack() as stack:
        tables = [
            loaded_table(stack, f"{times} x", plan.scaled(20 * times)) for times in (1, 10, 100)
        ]
        small = in_turn([case for table in tables for case in table.cases], plan.repeat)
    first = {table.first.name: table.first for table in tables}
    smallest, largest = tables[0].cases[0].name, tables[-1].cases[0].name
    listing = tables[-1].listing
    bound = Bound(
        "unchanged sync at 100 x; limit: at 1 x + 10 % + reading the list",
        small[largest].wall,
        1.1 * small[smallest].wall + listing,
        " s",
    )
    title = (
        f"Loaded tables of {plan.scaled(20) * ROWS_A_REPORT:,} rows and 10 and 100 times that, typed, in"
        f" DuckDB: nothing, one report ({ROWS_A_REPORT:,} rows) or 1 % of the reports changed at the source."
        f" Reading the list alone takes {listing:.2f} s at 100 x. Loaded: requests made, rows written."
    )
    return Result("growth", title, {**first, **small}, bounds=[bound])


@dataclass(frozen=True)
class LoadedTable:
    """A table after its first sync: how that went, the small syncs to measure now (the unchanged one
    first), and the seconds it takes to read the list of reports once."""

    first: Measured
    cases: Sequence[Case]
    listing: float


def loaded_table(stack: ExitStack, label: str, reports: int) -> LoadedTable:
    """Serve `reports` reports for as long as `stack` is open, and sync them for the first time."""
    made = f"reports={reports},rows={ROWS_A_REPORT},datasets=0,dashboards=0,runs=0"
    url = stack.enter_context(serving("--synthetic", made))
    folder = stack.enter_context(scratch())
    command = sync(url, "reports", "--report-rows", "typed")
    tell(f"  {label}: {reports * ROWS_A_REPORT:,} rows first …")
    first = Measured(f"{label}, first sync", [run(command(folder), folder, {})])
    cases = _small_syncs(label, command, folder, Editor(url), max(1, reports // 100))
    return LoadedTable(first, cases, _seconds(list_pages(url)))


def _small_syncs(
    label: str, command: Callable[[Path], list[str]], folder: Path, editor: Editor, percent: int
) -> list[Case]:
    changes: Sequence[tuple[str, int]] = (
        ("unchanged", 0),
        ("one report changed", 1),
        ("1 % changed", percent),
    )
    return [
        Case(
            f"{label}, {what}",
            command,
            prepare=partial(editor.change, number),
            count=counted(DATABASE, LAST_SYNC),
            folder=folder,
        )
        for what, number in changes
    ]


def _seconds(urls: Sequence[str]) -> float:
    """How long it takes to read the bodies at `urls` one after the other."""
    begin = time.perf_counter()
    for url in urls:
        get(url)
    return time.perf_counter() - begin


def cold(plan: Plan) -> Result:
    """What a command costs that has next to nothing to do."""
    with serving("--runs-list") as url, scratch() as folder:
        command = sync(url)
        run(command(folder), folder, {})
        libraries = "import dlt, duckdb, httpx, pyarrow"
        measured = in_turn(
            [
                Case("oa-sync --help", lambda _: [*OA_SYNC, "--help"]),
                Case("sync of the sample, unchanged", command, folder=folder),
                Case("python, nothing else", lambda _: [sys.executable, "-c", "pass"]),
                Case("python, the libraries imported", lambda _: [sys.executable, "-c", libraries]),
            ],
            plan.repeat,
        )
    bounds = [
        Bound("oa-sync --help", measured["oa-sync --help"].wall, 0.3, " s"),
        Bound("unchanged sync", measured["sync of the sample, unchanged"].wall, 1.5, " s"),
    ]
    title = (
        "Commands that find nothing to do: the help, and a sync of the bundled sample workspace."
    )
    return Result("cold", title, measured, bounds=bounds)
