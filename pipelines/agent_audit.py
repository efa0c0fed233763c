"""Agent runs alone, into a DuckDB file of their own, and a few questions that an auditor asks of them.

    python agent_audit.py

Each check is a query for the runs that fail it. Exit code 1 if there are any; add your own to `CHECKS`.
"""

from __future__ import annotations

import sys

import duckdb

from oa_sync import OaSyncError, Settings, resolve_settings, sync

DATABASE = "agent_runs.duckdb"
CHECKS = {
    "every run that ended has at least one step": """
        SELECT id FROM agent_runs AS run
        WHERE status IN ('completed', 'failed', 'cancelled', 'timed_out')
          AND NOT EXISTS (FROM agent_run_steps WHERE run_id = run.id)""",
    "no run is still going a day after it was made": """
        SELECT id FROM agent_runs
        WHERE status NOT IN ('completed', 'failed', 'cancelled', 'timed_out')
          AND created_at < now() - INTERVAL 1 DAY""",
    "the steps of a run are numbered without a gap": """
        SELECT run_id FROM agent_run_steps
        GROUP BY run_id HAVING count(*) <> max(position) + 1""",
    "every tool call belongs to a step that is there": """
        SELECT DISTINCT run_id FROM agent_run_tool_calls AS call
        WHERE NOT EXISTS (
          FROM agent_run_steps WHERE run_id = call.run_id AND position = call.step_position)""",
    "no run has disappeared from the API": """
        SELECT id FROM agent_runs WHERE _oa_deleted_at IS NOT NULL""",
}


def main() -> int:
    """Sync the runs, then check them; the exit code."""
    try:
        settings = resolve_settings({"database": DATABASE})
        report = sync(settings, ["agent_runs"])
    except OaSyncError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    if report.error is not None:
        print(f"{report.status}: {report.error}", file=sys.stderr)
        return report.exit_code
    return 1 if failures(settings) else 0


def failures(settings: Settings) -> int:
    """Print every check with the runs that fail it; how many checks failed."""
    failed = 0
    with duckdb.connect(str(settings.database), read_only=True) as database:
        database.execute(f"USE {settings.dataset_name}")
        # The table of a workspace without a run has no column for its ids yet.
        ids = "FROM duckdb_columns() WHERE table_name = 'agent_runs' AND column_name = 'id'"
        if not database.execute(ids).fetchall():
            print("no agent runs: this API does not list them (see `oa-sync runs add`)")
            return 0
        for name, query in CHECKS.items():
            runs = [run for (run,) in database.execute(query).fetchall()]
            print(f"{'FAILED' if runs else 'ok':<7}{name}{': ' + ', '.join(runs) if runs else ''}")
            failed += bool(runs)
    return failed


if __name__ == "__main__":
    sys.exit(main())
