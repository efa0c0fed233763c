"""The workloads by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.benchmarks.speed.alone import cold, growth, memory
from tests.benchmarks.speed.cases import Plan
from tests.benchmarks.speed.compared import latency, rows, runs
from tests.benchmarks.speed.results import Result

WORKLOADS: Mapping[str, Callable[[Plan], Result]] = {
    "rows": rows,
    "runs": runs,
    "latency": latency,
    "memory": memory,
    "growth": growth,
    "cold": cold,
}
