"""What the workloads are made of: their size, the command under test, and how its rows are counted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.speed.measuring import OA_SYNC, module

DATABASE = "oa.duckdb"
ROWS_A_REPORT = 5_000


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
