"""Makes the workspaces and keeps the bytes that the emulator serves of them.

    python -m tests.benchmarks.speed.sources reports FOLDER REPORTS ROWS
    python -m tests.benchmarks.speed.sources runs FOLDER RUNS
    python -m tests.benchmarks.speed.sources keep reports|runs BASE_URL FOLDER

The first two write NDJSON for `oa-sync emulator --data`: served that way a megabyte costs the server
nothing to make, where `--synthetic` makes it anew for every request, on a core that a measured process
could use. `keep` asks for every list page and every detail once, which also warms the server, and writes
each body that carries rows to a file: what DuckDB reads is what the others get over HTTP, byte by byte.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson

from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.emulator.views import Views
from tests.benchmarks.speed.measuring import KEY

_NOUNS = ("orders", "refunds", "sessions", "churn", "margin", "invoices", "visits", "returns")
_PLACES = ("Berlin", "São Paulo", "東京", "Lagos", "Austin", "Kraków", "Pune", "Oslo")


def write_reports(folder: Path, reports: int, rows: int) -> None:
    """`reports.ndjson`: reports of `rows` rows and eight columns."""
    workspace = synthetic_workspace(f"reports={reports},rows={rows},datasets=0,dashboards=0,runs=0")
    views = Views(EmulatorOptions())
    with (folder / "reports.ndjson").open("wb") as file:
        for record in workspace["reports"]:
            file.write(views.detail("reports", record) + b"\n")


def write_runs(folder: Path, runs: int) -> None:
    """`agent_runs.ndjson`: runs of six steps with one or two tool calls each, some 4 kB a run."""
    chance = random.Random(5)
    with (folder / "agent_runs.ndjson").open("wb") as file:
        for number in range(runs):
            file.write(orjson.dumps(_run(number, chance)) + b"\n")


def _run(number: int, chance: random.Random) -> dict[str, Any]:
    day, hour = f"2026-{1 + number % 9:02}-{1 + number % 28:02}", number % 24
    begin = f"{day}T{hour:02}:00:00Z"
    subject = f"{chance.choice(_NOUNS)} in {chance.choice(_PLACES)}"
    return {
        "id": f"run_{number:012x}",
        "agent_id": f"agent_{number % 7}",
        "status": "failed" if number % 50 == 0 else "completed",
        "task": f"Find out why {subject} changed by {chance.randrange(5, 60)} % since {day}",
        "model": "model-1",
        "context": {"dataset_id": f"ds_{number % 100:04}", "priority": number % 3},
        "steps": [_step(index, begin, subject, chance) for index in range(6)],
        "usage": {"input_tokens": chance.randrange(9000), "output_tokens": chance.randrange(900)},
        "result": {
            "text": f"{subject}: the change comes from {chance.randrange(9)} large accounts"
        },
        "error": None,
        "created_at": begin,
        "updated_at": f"{day}T{hour:02}:10:00Z",
        "completed_at": f"{day}T{hour:02}:09:30Z",
    }


def _step(index: int, begin: str, subject: str, chance: random.Random) -> dict[str, Any]:
    return {
        "index": index,
        "thought": f"Look at {subject} by week and by segment before drawing a conclusion; "
        f"the last query returned {chance.randrange(10_000)} rows, which looks plausible.",
        "observation": f"{chance.randrange(500)} rows; the largest group holds "
        f"{chance.random():.3f} of the total, the smallest {chance.random() / 10:.4f}",
        "started_at": begin,
        "duration_ms": round(chance.expovariate(0.002), 3),
        "tool_calls": [
            {
                "id": f"call_{chance.getrandbits(40):010x}",
                "type": "sql",
                "name": "query",
                "arguments": {
                    "sql": f"SELECT segment, count(*) FROM {chance.choice(_NOUNS)} "
                    f"WHERE week = {chance.randrange(53)} GROUP BY 1"
                },
            }
            for _ in range(1 + (chance.random() < 1 / 3))
        ],
    }


def keep(kind: str, base_url: str, folder: Path) -> None:
    """Write the bodies that carry the rows of `kind` to `folder`, and say how many bytes they are."""
    with httpx.Client(
        base_url=base_url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60
    ) as client:
        bodies = _details(client) if kind == "reports" else _run_pages(client)
        total = 0
        for number, body in enumerate(bodies):
            (folder / f"{number:06}.json").write_bytes(body)
            total += len(body)
    print(total)


def _details(client: httpx.Client) -> Any:
    page, pages = 1, 1
    while page <= pages:
        answer = client.get("/reports", params={"per_page": 100, "page": page}).json()
        pages, page = answer["meta"]["total_pages"], page + 1
        for row in answer["data"]:
            yield client.get(f"/reports/{row['id']}").content


def _run_pages(client: httpx.Client) -> Any:
    params: dict[str, Any] = {"limit": 100}
    while True:
        body = client.get("/agents/sessions", params=params).content
        yield body
        pagination = orjson.loads(body)["pagination"]
        if not pagination["has_more"]:
            return
        params["after"] = pagination["cursor"]


def main(arguments: list[str]) -> None:
    match arguments:
        case ["reports", folder, reports, rows]:
            write_reports(Path(folder), int(reports), int(rows))
        case ["runs", folder, runs]:
            write_runs(Path(folder), int(runs))
        case ["keep", kind, base_url, folder] if kind in ("reports", "runs"):
            keep(kind, base_url, Path(folder))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
