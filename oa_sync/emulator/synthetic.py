"""A made-up workspace of any size, the same for the same seed.

Rows and steps are made when they are asked for: 200 reports of 5,000 rows are 200 MB of JSON on
the wire and almost nothing in memory. Making a megabyte takes about a millisecond, so a benchmark
does not measure the server.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from oa_sync.clock import isoformat
from oa_sync.emulator.data import Record, Workspace
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.order import digest

START = datetime(2025, 1, 1, tzinfo=UTC)
POOL = 1021
WORDS = ("alpha", "Berlin", "naïve", "東京", "delta", "São Paulo", "echo", "forty two", "Ωmega")
FORMATS = ("table", "bar", "line", "pie")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: `rows` and `columns` of each report, `panels` of each dashboard,
    `steps` of each run."""

    datasets: int = 10
    reports: int = 100
    dashboards: int = 2
    runs: int = 5
    rows: int = 20
    columns: int = 8
    panels: int = 6
    steps: int = 6

    @classmethod
    def parse(cls, spec: str) -> Size:
        """Read `reports=5000,rows=20`; what is not named keeps its default. ValueError if odd."""
        names = [field.name for field in fields(cls)]
        size = cls()
        for item in filter(None, (part.strip() for part in spec.split(","))):
            name, _, value = item.partition("=")
            if name not in names or not value.isascii() or not value.isdigit():
                raise ValueError(f"{item!r} is not NAME=NUMBER with one of {', '.join(names)}")
            size = replace(size, **{name: int(value)})
        if size.columns < 1:
            raise ValueError("columns must be at least 1")
        return size


def synthetic_workspace(size: Size | str, seed: int = 0) -> Workspace:
    """A workspace of `size` (or the spec of one)."""
    size = Size.parse(size) if isinstance(size, str) else size
    workspace = Workspace()
    datasets = [f"ds_{digest(seed, f'dataset:{n}')}" for n in range(size.datasets)]
    reports = [f"rpt_{digest(seed, f'report:{n}')}" for n in range(size.reports)]
    columns = encode([{"name": name, "type": kind} for name, kind in _columns(size.columns)])
    for n, dataset_id in enumerate(datasets):
        light = _head(dataset_id, f"Dataset {n}", n) | {"type": "csv", "status": "connected"}
        workspace["datasets"].add(Record(dataset_id, light, columns, size.columns))
    rows = _rows_of(size, seed)
    for n, report_id in enumerate(reports):
        light = _head(report_id, f"Report {n}", n) | {
            "dataset_id": datasets[n % len(datasets)] if datasets else None,
            "format": FORMATS[n % len(FORMATS)],
            "status": "completed",
            "row_count": size.rows,
        }
        workspace["reports"].add(Record(report_id, light, rows, size.rows))
    for n in range(size.dashboards):
        workspace["dashboards"].add(_dashboard(n, reports, size, seed))
    steps = _steps_of(size)
    for n in range(size.runs):
        workspace["agent_runs"].add(_run(n, steps, size, seed))
    return workspace


def _head(record_id: str, name: str, number: int) -> dict[str, Any]:
    # Times begin again after 376 days, so that a workspace of any size was made before today.
    created = START + timedelta(seconds=number % 9000 * 3607)
    updated = created + timedelta(seconds=int(record_id[-4:], 16) * 60)
    times = {"created_at": isoformat(created), "updated_at": isoformat(updated)}
    return {"id": record_id, "name": name, "description": None, **times}


def _columns(count: int) -> list[tuple[str, str]]:
    kinds = ("integer", "string", "number", "boolean", "datetime")
    return [(f"{kinds[n % 5]}_{n}", kinds[n % 5]) for n in range(count)]


def _rows_of(size: Size, seed: int) -> Callable[[Record], bytes]:
    """A maker of report rows: `n` is each row's own number, the rest comes from a shared pool."""
    chance = random.Random(seed)
    columns = _columns(size.columns)[1:]
    pool = [encode({name: _value(kind, chance) for name, kind in columns})[1:] for _ in range(POOL)]
    name = _columns(1)[0][0].encode()
    separator = b"," if columns else b""
    wide = pool * (size.rows // POOL + 2)

    def rows(record: Record) -> bytes:
        base = int(record.id[-8:], 16) + record.revision
        tails = wide[base % POOL : base % POOL + size.rows]
        numbered = enumerate(tails, base)
        return b"[%b]" % b",".join(
            [b'{"%b":%d%b%b' % (name, n, separator, tail) for n, tail in numbered]
        )

    return rows


def _value(kind: str, chance: random.Random) -> Any:
    if chance.random() < 0.05:
        return None
    match kind:
        case "integer":
            return chance.randrange(-1_000_000, 1_000_000)
        case "number":
            return round(chance.gauss(0, 1000), 3)
        case "boolean":
            return chance.random() < 0.5
        case "datetime":
            return isoformat(START + timedelta(seconds=chance.randrange(10**7)))
        case _:
            return f"{chance.choice(WORDS)} {chance.randrange(1000)}"


def _dashboard(number: int, reports: list[str], size: Size, seed: int) -> Record:
    dashboard_id = f"dash_{digest(seed, f'dashboard:{number}')}"
    panels = [
        {
            "id": f"CHART-{n}",
            "type": "CHART",
            "title": f"Panel {n}",
            "report_id": reports[(number * size.panels + n) % len(reports)] if reports else None,
        }
        for n in range(size.panels)
    ]
    light = _head(dashboard_id, f"Dashboard {number}", number) | {"panels": panels}
    return Record(dashboard_id, light)


def _run(number: int, steps: Callable[[Record], bytes], size: Size, seed: int) -> Record:
    run_id = f"run_{digest(seed, f'run:{number}')}"
    light = _head(run_id, "", number)
    del light["name"], light["description"]
    light |= {
        "agent_id": f"agent_{number % 3}",
        "status": "completed",
        "task": f"Find what changed in report {number}",
        "model": "synthetic-1",
        "context": {},
        "usage": {"input_tokens": 100 * size.steps, "output_tokens": 20 * size.steps},
        "result": {"text": f"Nothing unusual in report {number}"},
        "error": None,
        "completed_at": light["updated_at"],
    }
    return Record(run_id, light, steps, size.steps)


def _steps_of(size: Size) -> Callable[[Record], bytes]:
    def steps(record: Record) -> bytes:
        return encode([_step(record, index) for index in range(size.steps)])

    return steps


def _step(record: Record, index: int) -> dict[str, Any]:
    calls = 1 + (int(record.id[-2:], 16) + index) % 2
    return {
        "index": index,
        "thought": f"Step {index} of {record.id}, revision {record.revision}",
        "observation": f"{index * 7} rows",
        "started_at": record.light["created_at"],
        "duration_ms": 40.0 + index,
        "tool_calls": [
            {
                "id": f"call_{index}_{n}",
                "type": "sql",
                "name": "query",
                "arguments": {"sql": f"SELECT {index}, {n}"},
            }
            for n in range(calls)
        ],
    }
