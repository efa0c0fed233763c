"""The workloads: what is served, which commands run in turn, and the bounds they are held to."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.speed.dlt_rest_api import DATABASE as DLT_DATABASE
from tests.benchmarks.speed.dlt_rest_api import tuned
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

DATABASE = "oa.duckdb"
TYPED, JSON, RUNS = "oa-sync, typed rows", "oa-sync, JSON rows", "oa-sync"
INFERRED = "DuckDB read_json, types inferred"
DECLARED = "DuckDB read_json, types declared (floor)"
SAME_TABLES = "DuckDB read_json, types inferred, into our tables"
DLT_TUNED, DLT_DEFAULT = "dlt rest_api, tuned", "dlt rest_api, defaults"
ROWS_A_REPORT = 5_000
LAST_SYNC = (
    "SELECT requests_made, rows_written FROM openanalyst.syncs ORDER BY started_at DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to run: rounds, the size as a share of the full one, and whether to leave out what
    takes minutes."""

    repeat: int
    scale: float
    skip_slow: bool

    def scaled(self, count: int) -> int:
        """`count` at this scale, at least 1."""
        return max(1, round(count * self.scale))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of a block."""
    with tempfile.TemporaryDirectory(prefix="oa-sync-bench-") as folder:
        yield Path(folder)


def sync(base_url: str, *arguments: str, dialect: str = "page") -> Callable[[Path], list[str]]:
    """`oa-sync sync` without limits into a DuckDB file in the folder of the case."""

    def command(folder: Path) -> list[str]:
        where = ["--base-url", base_url, "--dialect", dialect, "--plan", "enterprise"]
        place = ["--home", str(folder / "home"), "--database", str(folder / DATABASE)]
        return [*OA_SYNC, "sync", *arguments, *where, "--rpm", "0", "--rpd", "0", *place]

    return command


def counted(database: str, sql: str) -> Callable[[Path], list[str]]:
    """The command that asks a DuckDB file in the folder of the case."""
    return lambda folder: module("duckdb_json", "count", folder / database, sql)


# -- rows and runs: the same bytes for everyone ---------------------------------------------------


def rows(plan: Plan) -> Result:
    """200 reports of 5,000 rows."""
    reports = plan.scaled(200)
    count = "SELECT count(*) FROM openanalyst."
    with scratch() as folder:
        output_of(module("sources", "reports", folder, reports, ROWS_A_REPORT))
        with serving("--data", folder) as url:
            size = _keep("reports", url, folder)
            ours = [
                Case(
                    name,
                    sync(url, "reports", "--report-rows", mode),
                    count=counted(DATABASE, f"{count}report_rows"),
                )
                for name, mode in ((TYPED, "typed"), (JSON, "json"))
            ]
            nested = "SELECT sum(len(data))::BIGINT FROM reports"
            flat = "SELECT count(*) FROM report_rows"
            theirs = f"{count}report_details__data"
            rivals = _rivals("reports", url, folder, nested, flat, theirs, plan, reports)
            measured = in_turn([*ours, *rivals], plan.repeat)
    require_same_rows(measured)
    mine = measured[TYPED].wall
    bounds = [
        Bound("typed rows, wall over DuckDB inferred", mine / measured[INFERRED].wall, 1.0),
        Bound("times faster than tuned dlt", measured[DLT_TUNED].wall / mine, 5.0, at_least=True),
    ]
    if DLT_DEFAULT in measured:
        faster = measured[DLT_DEFAULT].wall / mine
        bounds.append(Bound("times faster than dlt's defaults", faster, 50.0, at_least=True))
    title = (
        f"{reports:,} reports of {ROWS_A_REPORT:,} rows, {size / 1e6:,.0f} MB of JSON, into DuckDB."
    )
    return Result("rows", title, measured, TYPED, bounds)


def runs(plan: Plan) -> Result:
    """50,000 agent runs, three levels deep, all of it in the list."""
    number = plan.scaled(50_000)
    with scratch() as folder:
        output_of(module("sources", "runs", folder, number))
        with serving("--data", folder, "--dialect", "cursor", "--full-lists") as url:
            size = _keep("runs", url, folder)
            ours = Case(
                RUNS,
                sync(url, "agent_runs", dialect="cursor"),
                count=counted(
                    DATABASE, _three("openanalyst.agent_run", "s", "_steps", "_tool_calls")
                ),
            )
            nested = (
                "SELECT count(*), sum(len(steps))::BIGINT, sum(list_sum(list_transform(steps,"
                " lambda s: len(s.tool_calls))))::BIGINT FROM runs"
            )
            flat = _three("agent_run", "s", "_steps", "_tool_calls")
            theirs = _three("openanalyst.runs", "", "__steps", "__steps__tool_calls")
            rivals = _rivals("runs", url, folder, nested, flat, theirs, plan, number)
            measured = in_turn([ours, *rivals], plan.repeat)
    require_same_rows(measured)
    mine = measured[RUNS].wall
    bounds = [
        Bound("wall over DuckDB inferred", mine / measured[INFERRED].wall, 1.0),
        Bound("times faster than tuned dlt", measured[DLT_TUNED].wall / mine, 10.0, at_least=True),
    ]
    title = f"{number:,} agent runs with steps and tool calls, {size / 1e6:,.0f} MB of JSON, into DuckDB."
    return Result("runs", title, measured, RUNS, bounds)


def _keep(kind: str, url: str, folder: Path) -> int:
    """Warm the server, keep the bytes it serves for DuckDB and return how many they are."""
    (folder / "bodies").mkdir()
    size = int(output_of(module("sources", "keep", kind, url, folder / "bodies")))
    columns = output_of(module("duckdb_json", "describe", folder / "bodies"))
    (folder / "columns.txt").write_text(columns, encoding="utf-8")
    return size


def _rivals(
    kind: str, url: str, source: Path, nested: str, flat: str, theirs: str, plan: Plan, items: int
) -> list[Case]:
    """DuckDB over the kept bytes and dlt over HTTP; `nested`, `flat` and `theirs` count their rows."""
    bodies, columns = source / "bodies", str(source / "columns.txt")

    def duckdb(name: str, how: str, count: str, *declared: str) -> Case:
        return Case(
            name,
            lambda folder: module("duckdb_json", how, kind, bodies, folder / DATABASE, *declared),
            count=counted(DATABASE, count),
        )

    cases = [
        duckdb(INFERRED, "nested", nested),
        duckdb(DECLARED, "nested", nested, columns),
        duckdb(SAME_TABLES, "tables", flat),
        Case(
            DLT_TUNED,
            lambda folder: module("dlt_rest_api", "tuned", kind, url, folder),
            tuned(items),
            count=counted(DLT_DATABASE, theirs),
        ),
    ]
    if not plan.skip_slow and kind == "reports":
        cases.append(
            Case(
                DLT_DEFAULT,
                lambda folder: module("dlt_rest_api", "default", kind, url, folder),
                count=counted(DLT_DATABASE, theirs),
                once=True,
            )
        )
    return cases


def _three(stem: str, *ends: str) -> str:
    return f"SELECT {', '.join(f'(SELECT count(*) FROM {stem}{end})' for end in ends)}"


def require_same_rows(measured: Mapping[str, Measured]) -> None:
    """SystemExit unless every case counted the same."""
    loaded = {case.name: case.loaded for case in measured.values()}
    if len(set(loaded.values())) != 1:
        raise SystemExit(f"not the same rows were loaded: {loaded}")


# -- latency --------------------------------------------------------------------------------------


def latency(plan: Plan) -> Result:
    """1,000 details behind 80 ms each, no limit."""
    reports = plan.scaled(1_000)
    made = f"reports={reports},rows=20,datasets=0,dashboards=0,runs=0"
    with serving("--synthetic", made, "--latency-ms", "80") as url:
        count = "SELECT count(DISTINCT {}) FROM openanalyst.{}"
        ours = Case(
            RUNS,
            sync(url, "reports"),
            count=counted(DATABASE, count.format("report_id", "report_rows")),
        )
        dlt = Case(
            DLT_TUNED,
            lambda folder: module("dlt_rest_api", "tuned", "reports", url, folder),
            tuned(reports),
            count=counted(DLT_DATABASE, count.format("id", "report_details")),
        )
        measured = in_turn([ours, dlt], plan.repeat)
    require_same_rows(measured)
    bounds = [Bound("wall", measured[RUNS].wall, 3.0, " s")]
    return Result(
        "latency", f"{reports:,} details, each answered after 80 ms.", measured, RUNS, bounds
    )


# -- memory ---------------------------------------------------------------------------------------


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


# -- growth ---------------------------------------------------------------------------------------


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


# -- cold -----------------------------------------------------------------------------------------


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


WORKLOADS: Mapping[str, Callable[[Plan], Result]] = {
    "rows": rows,
    "runs": runs,
    "latency": latency,
    "memory": memory,
    "growth": growth,
    "cold": cold,
}
