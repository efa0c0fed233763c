"""`make mutants MODULE=…`: change one thing of a module at a time, and see whether a test fails.

A change that no test sees (a *survivor*) says that a decision has no test. Read each: write the test, or
say in `SURVIVORS.md` why there can be none (the code does the same with the change) or needs none. Such a
line begins as the survivor was printed, and what stands there is not printed again. Exit code 1 where a
survivor is left over.

    make mutants MODULE=oa_sync.extract.lists.early_stop
    make mutants MODULE='oa_sync.quota.book oa_sync.quota.limits'
    make mutants                       # all modules of the table below, in turn

`REACHED` names the tests that are to see a module's mutants: those that say what it decides. A test of
whole syncs sees much less than it seems to, since later steps repair what a wrong one did. Of these files
only the tests run that enter the changed function.

Why not a library, in November 2026: **mutmut 3.8** has a fork server too, but leaves out every decorated
function, and so all properties, which is where `evidence.py` and `scan.py` decide. **cosmic-ray 8.7**
starts a new process of tests for each mutant, and writes the change into the working tree.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutants.changes import Mutant
from tests.mutants.running import run

ACCEPTED = Path(__file__).with_name("SURVIVORS.md")
EXTRACT, QUOTA, SHAPE = "tests/extract/test_", "tests/quota/test_", "tests/shape/test_"
RUNS, QUERIES = "tests/runs/test_", "tests/queries/test_"
FAULTS, JOURNAL = "tests/faults/test_", "tests/journal/test_"
WEBHOOKS = "tests/webhooks/test_"

REACHED: Mapping[str, Sequence[str]] = {
    "oa_sync.extract.deletions": [
        *(
            f"tests/deletions/test_{name}.py"
            for name in (
                "decisions",
                "decisions_in_doubt",
                "decisions_by_parents",
                "missing_runs",
            )
        )
    ],
    "oa_sync.extract.lists.changes": [EXTRACT + "changes.py"],
    "oa_sync.extract.lists.scan": [
        *(
            EXTRACT + f"scan_{name}.py"
            for name in ("decisions", "absent", "set_aside", "hands_on", "take_in")
        ),
        EXTRACT + "evidence_doubts.py",
    ],
    "oa_sync.extract.lists.healing": [EXTRACT + "healing.py", EXTRACT + "healing_copies.py"],
    "oa_sync.extract.lists.evidence": [
        *(EXTRACT + f"evidence{name}.py" for name in ("", "_copies", "_doubts"))
    ],
    "oa_sync.extract.lists.early_stop": [EXTRACT + "early_stop.py"],
    "oa_sync.extract.lists.ration": [EXTRACT + "ration.py"],
    "oa_sync.extract.lists.second_look": [EXTRACT + "second_look.py"],
    "oa_sync.extract.lists.resolution": [EXTRACT + "resolution.py"],
    "oa_sync.extract.lists.reading": [
        EXTRACT + "reading.py",
        EXTRACT + "reading_steps.py",
        EXTRACT + "evidence_doubts.py",
    ],
    "oa_sync.extract.lists.absent": [EXTRACT + "absent.py"],
    "oa_sync.extract.lists.order": [EXTRACT + "order.py"],
    "oa_sync.extract.lists.order_memory": [EXTRACT + "order_memory.py"],
    "oa_sync.extract.lists.turns": [EXTRACT + "turns.py"],
    "oa_sync.extract.rationing": [EXTRACT + "rationing.py"],
    "oa_sync.extract.lists.dependent": [EXTRACT + "dependent.py"],
    "oa_sync.extract.details.concurrency": [EXTRACT + "concurrency.py"],
    "oa_sync.extract.details.fetching": [
        *(EXTRACT + name for name in ("fetching.py", "fetching_missing.py", "concurrency.py"))
    ],
    "oa_sync.extract.details.refused": [EXTRACT + "refused.py"],
    "oa_sync.extract.details.tasks": [EXTRACT + "tasks.py"],
    "oa_sync.extract.details.unfinished": [EXTRACT + "unfinished.py"],
    "oa_sync.extract.lists.mass": [EXTRACT + "mass.py"],
    "oa_sync.extract.intervals": [EXTRACT + "intervals.py"],
    "oa_sync.extract.set_aside": [EXTRACT + "set_aside.py"],
    "oa_sync.extract.cost": [EXTRACT + "cost.py"],
    "oa_sync.extract.statuses": [EXTRACT + "statuses.py"],
    "oa_sync.extract.runs.events": [RUNS + "events.py"],
    "oa_sync.extract.runs.followed": [RUNS + "resource_runs.py", RUNS + "run_answers.py"],
    "oa_sync.extract.runs.known": [RUNS + "known.py", RUNS + "schedule.py"],
    "oa_sync.extract.runs.resource_runs": [RUNS + "resource_runs.py", RUNS + "run_answers.py"],
    "oa_sync.extract.runs.schedule": [RUNS + "schedule.py"],
    "oa_sync.extract.jobs.download": [
        QUERIES + "download.py",
        QUERIES + "download_decisions.py",
    ],
    "oa_sync.extract.jobs.exports": [QUERIES + "export_requests.py"],
    "oa_sync.extract.jobs.hosts": [QUERIES + "hosts.py"],
    "oa_sync.extract.jobs.polling": [QUERIES + "polling.py"],
    "oa_sync.extract.jobs.queries": [QUERIES + "running.py", QUERIES + "query_answers.py"],
    "oa_sync.quota": [QUOTA + "open_ledger.py"],
    "oa_sync.quota.ledger": [
        QUOTA + name for name in ("ledger_rules.py", "day_bounds.py", "ledger.py")
    ],
    "oa_sync.quota.book": [QUOTA + "book.py", QUOTA + "day_bounds.py", QUOTA + "schedule.py"],
    "oa_sync.quota.schedule": [QUOTA + "schedule.py", QUOTA + "ledger.py"],
    "oa_sync.quota.limits": [QUOTA + "limits.py", QUOTA + "day_bounds.py", QUOTA + "ledger.py"],
    "oa_sync.quota.headers": [QUOTA + "headers.py"],
    "oa_sync.quota.pacer": [QUOTA + "pacer.py", QUOTA + "recent_requests.py"],
    "oa_sync.quota.account": [QUOTA + "forecast.py"],
    "oa_sync.quota.restarts": [QUOTA + "lasting.py"],
    "oa_sync.quota.steps": [QUOTA + "steps.py", QUOTA + "step_bounds.py"],
    "oa_sync.quota.sqlite_ledger": [QUOTA + "sqlite_decisions.py", QUOTA + "sqlite_ledger.py"],
    "oa_sync.quota.postgres_ledger": [
        *(QUOTA + name for name in ("postgres_decisions.py", "postgres_ledger.py", "restarts.py"))
    ],
    "oa_sync.quota.postgres_address": [QUOTA + "postgres_address.py"],
    "oa_sync.journal.disk": [JOURNAL + "disk.py"],
    "oa_sync.journal.items": [EXTRACT + "changes.py", EXTRACT + "scan.py", JOURNAL + "journal.py"],
    "oa_sync.journal.journal": [JOURNAL + "journal.py", FAULTS + "flow.py"],
    "oa_sync.journal.list_keys": [JOURNAL + "list_keys.py"],
    "oa_sync.journal.queue": [JOURNAL + "queue.py", FAULTS + "flow.py"],
    "oa_sync.journal.segment_writer": [JOURNAL + "segment_writer.py", FAULTS + "flow.py"],
    "oa_sync.webhooks.bodies": [WEBHOOKS + "bodies.py"],
    "oa_sync.webhooks.connections": [WEBHOOKS + "connections.py"],
    "oa_sync.webhooks.inbox": [WEBHOOKS + "inbox.py", WEBHOOKS + "group_commit.py"],
    "oa_sync.webhooks.group_commit": [WEBHOOKS + "group_commit.py"],
    "oa_sync.webhooks.protocol": [WEBHOOKS + "protocol.py"],
    "oa_sync.webhooks.receiver": [WEBHOOKS + "receiver_decisions.py"],
    "oa_sync.webhooks.server": [WEBHOOKS + "server.py"],
    "oa_sync.webhooks.signature": [WEBHOOKS + "signature.py"],
    "oa_sync.webhooks.payload": [WEBHOOKS + "payload.py"],
    "oa_sync.shape.learn": [
        SHAPE + "learn_decisions.py",
        SHAPE + "map_rule.py",
        SHAPE + "learn.py",
    ],
    "oa_sync.shape.schema": [SHAPE + "schema.py", SHAPE + "learn_decisions.py", SHAPE + "learn.py"],
    "oa_sync.shape.shaper": [
        *(SHAPE + name for name in ("shaper.py", "tables.py", "key_columns.py", "exact.py")),
    ],
    "oa_sync.shape.fast": [SHAPE + "fast.py", SHAPE + "key_columns.py", SHAPE + "shaper.py"],
    "oa_sync.shape.exact": [SHAPE + "exact.py", SHAPE + "key_columns.py", SHAPE + "shaper.py"],
    "oa_sync.shape.result": [SHAPE + "result.py"],
    "oa_sync.shape.arrays": [SHAPE + "arrays.py"],
    "oa_sync.shape.body": [SHAPE + "lists.py"],
    "oa_sync.shape.lists": [SHAPE + "lists.py"],
    "oa_sync.shape.spooled": [SHAPE + "lists.py"],
    "oa_sync.shape.learned": [SHAPE + "learned.py"],
    "oa_sync.shape.spec": [SHAPE + "spec.py"],
    "oa_sync.shape.cutting.bits": [SHAPE + "bits.py"],
    "oa_sync.shape.cutting.compact": [SHAPE + "compact.py"],
    "oa_sync.shape.cutting.cut": [SHAPE + "cut_decisions.py"],
    "oa_sync.shape.cutting.elements": [SHAPE + "cut_decisions.py"],
    "oa_sync.shape.cutting.head": [SHAPE + "cut_decisions.py"],
    "oa_sync.shape.cutting.keys": [SHAPE + "outline.py"],
    "oa_sync.shape.cutting.lift": [SHAPE + "lift.py"],
    "oa_sync.shape.cutting.outline": [SHAPE + "outline.py"],
    "oa_sync.shape.cutting.spans": [SHAPE + "spans.py", SHAPE + "cut_decisions.py"],
    "oa_sync.shape.cutting.structure": [SHAPE + "structure.py"],
    "oa_sync.shape.declared": [SHAPE + "declared.py"],
    "oa_sync.shape.document": [SHAPE + "document.py"],
    "oa_sync.shape.tables": [SHAPE + "tables.py", SHAPE + "key_columns.py", SHAPE + "shaper.py"],
    "oa_sync.shape.export_file": [QUERIES + "export_decisions.py"],
    "oa_sync.shape.json_text": [SHAPE + "json_text.py"],
    "oa_sync.shape.observe": [SHAPE + "observe.py"],
    "oa_sync.shape.report_rows": [SHAPE + "report_rows.py"],
    "oa_sync.shape.lattice": [SHAPE + "lattice.py"],
    "oa_sync.shape.naming": [SHAPE + "naming.py"],
    "oa_sync.shape.temporal": [SHAPE + "temporal.py"],
    "oa_sync.shape.rawjson": [SHAPE + "rawjson.py"],
}


def main() -> int:
    """Exit code 1 where a mutant survived that is not accepted, 2 for a module that is not in the table."""
    modules = sys.argv[1:]
    if not modules:
        codes = [subprocess.call([sys.executable, "-m", "tests.mutants", each]) for each in REACHED]
        return max(codes)
    if unknown := [module for module in modules if module not in REACHED]:
        print(f"not in REACHED (tests/mutants/__main__.py): {', '.join(unknown)}")
        return 2
    if len(modules) > 1:  # a pytest each: it imports a test file only once
        return max(
            subprocess.call([sys.executable, "-m", "tests.mutants", each]) for each in modules
        )
    return _one(modules[0])


def is_of(line: str, accepted: str) -> bool:
    """Whether a survivor, as it is printed, is what a line of `SURVIVORS.md` names before its reason."""
    return line == accepted or (accepted.endswith("→") and line.startswith(accepted))


def _one(module: str) -> int:
    lines = ACCEPTED.read_text(encoding="utf-8").splitlines()
    accepted = [each.split(" — ")[0] for each in lines if each.startswith("- ")]
    left: list[Mutant] = []

    def told(mutant: Mutant) -> None:
        line = f"- {module} {mutant}"
        if not any(is_of(line, each) for each in accepted):
            left.append(mutant)
            print(f"{line}  (line {mutant.line})", flush=True)

    outcome = run(module, REACHED[module], told)
    print(
        f"{module}: {outcome.made} mutants, {outcome.killed} killed, {outcome.ended} by the time limit,"
        f" {len(outcome.survivors)} survived, {len(left)} of them not accepted;"
        f" {outcome.seconds / outcome.made:.2f} s a mutant, {outcome.start:.1f} s to start"
    )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
