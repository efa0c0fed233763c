"""Whole processes, measured by the kernel: wall time, CPU time and peak memory from `wait4`.

This process stays small on purpose (standard library only): Linux counts the memory of the process that
forks into the peak of its child.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

OA_SYNC = (sys.executable, "-c", "from oa_sync.cli import main; main()")
KEY = "oa_test_benchmark"
ROOT = Path(__file__).parents[3]
_KEPT = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: seconds on the clock, seconds of CPU (user and system, children included), peak
    resident memory in MB of 10**6 bytes (of its largest process)."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Case:
    """One command to measure. `command` gets a folder of its own, fresh unless `folder` names one that
    lasts; `prepare` runs before the clock; `count` prints what was loaded and runs after it."""

    name: str
    command: Callable[[Path], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    count: Callable[[Path], Sequence[str]] | None = None
    folder: Path | None = None
    once: bool = False


@dataclass
class Measured:
    """The samples of a case, in order, and what it loaded, as `count` printed it."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    loaded: str = ""

    @property
    def wall(self) -> float:
        """Median seconds."""
        return median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """Median seconds of CPU."""
        return median(sample.cpu for sample in self.samples)

    @property
    def peak(self) -> float:
        """Median peak in MB."""
        return median(sample.peak for sample in self.samples)


def in_turn(cases: Sequence[Case], repeat: int) -> dict[str, Measured]:
    """Run the cases in turn, `repeat` times round (a `once` case in the first round only)."""
    measured = {case.name: Measured(case.name) for case in cases}
    for turn in range(repeat):
        for case in cases:
            if turn and case.once:
                continue
            tell(f"  {turn + 1}/{repeat} {case.name} …", end=" ")
            _measure(case, measured[case.name])
            sample = measured[case.name].samples[-1]
            tell(f"{sample.wall:.2f} s, {sample.peak:.0f} MB")
    return measured


def _measure(case: Case, into: Measured) -> None:
    with tempfile.TemporaryDirectory(prefix="oa-sync-bench-") as fresh:
        folder = case.folder or Path(fresh)
        if case.prepare:
            case.prepare()
        # What the last command wrote is written back now, not under the next one's clock.
        os.sync()
        into.samples.append(run(case.command(folder), folder, case.environment))
        if case.count and not into.loaded:
            into.loaded = output_of(case.count(folder))


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Sample:
    """Run `command` in `folder` and measure it. SystemExit with its output if it fails."""
    log = folder / "output.log"
    # In the folder, so that no .dlt of the place where the benchmark was started is read.
    with log.open("wb") as output, contextlib.chdir(folder):
        begin = time.perf_counter()
        pid = os.posix_spawn(
            command[0],
            list(command),
            plain_environment(folder, environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - begin
    if (code := os.waitstatus_to_exitcode(status)) != 0:
        raise SystemExit(f"{' '.join(command)}\nended with {code}:\n{log.read_text()[-4000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def output_of(command: Sequence[str]) -> str:
    """What a command prints, run without a clock. SystemExit with its errors if it fails."""
    done = subprocess.run(
        command, env=plain_environment(Path.home(), {}), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-4000:]}"
        )
    return done.stdout.strip()


def module(name: str, *arguments: object) -> list[str]:
    """The command of a script of this folder."""
    return [sys.executable, "-m", f"tests.benchmarks.speed.{name}", *map(str, arguments)]


def plain_environment(folder: Path, added: Mapping[str, str]) -> dict[str, str]:
    """An environment without settings of the machine; HOME is `folder`."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OPENANALYST_API_KEY": KEY,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **added,
    }


def tell(text: str, end: str = "\n") -> None:
    """Progress, on stderr."""
    print(text, end=end, file=sys.stderr, flush=True)
