"""The workloads with rivals: the same bytes for everyone, in turn, and the same rows at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.speed.cases import DATABASE, ROWS_A_REPORT, Plan, counted, scratch, sync
from tests.benchmarks.speed.dlt_rest_api import DATABASE as DLT_DATABASE
from tests.benchmarks.speed.dlt_rest_api import tuned
from tests.benchmarks.speed.measuring import Case, Measured, in_turn, module, output_of
from tests.benchmarks.speed.results import Bound, Result
from tests.benchmarks.speed.serving import serving

TYPED, JSON, RUNS = "oa-sync, typed rows", "oa-sync, JSON rows", "oa-sync"
INFERRED = "DuckDB read_json, types inferred"
DECLARED = "DuckDB read_json, types declared (floor)"
SAME_TABLES = "DuckDB read_json, types inferred, into our tables"
DLT_FINISHED = "dlt, finished tables from disk (floor)"
DLT_TUNED, DLT_DEFAULT = "dlt rest_api, tuned", "dlt rest_api, defaults"


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
            rivals = [
                *_rivals("reports", url, folder, nested, flat, theirs, plan, reports),
                _finished(folder, f"{count}report_rows"),
            ]
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
            rivals = [
                *_rivals("runs", url, folder, nested, flat, theirs, plan, number),
                _finished(folder, _three("openanalyst.agent_run", "s", "_steps", "_tool_calls")),
            ]
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
    output_of(module("duckdb_json", "tables", kind, folder / "bodies", folder / DATABASE))
    output_of(module("dlt_finished", "keep", folder / DATABASE, folder / "finished"))
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


def _finished(source: Path, count: str) -> Case:
    """dlt over the tables that are kept."""
    return Case(
        DLT_FINISHED,
        lambda folder: module("dlt_finished", "load", source / "finished", folder),
        count=counted(DLT_DATABASE, count),
    )


def _three(stem: str, *ends: str) -> str:
    return f"SELECT {', '.join(f'(SELECT count(*) FROM {stem}{end})' for end in ends)}"


def require_same_rows(measured: Mapping[str, Measured]) -> None:
    """SystemExit unless every case counted the same."""
    loaded = {case.name: case.loaded for case in measured.values()}
    if len(set(loaded.values())) != 1:
        raise SystemExit(f"not the same rows were loaded: {loaded}")


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
