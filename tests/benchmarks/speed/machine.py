"""On what the figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.speed.measuring import ROOT

_PACKAGES = ("dlt", "duckdb", "pyarrow", "httpx", "numpy", "orjson")


def description() -> dict[str, str]:
    """Date, machine and versions, by what they are called."""
    about = {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": f"{_line_of('/proc/cpuinfo', 'model name') or platform.machine()},"
        f" {len(os.sched_getaffinity(0))} cores",
        "Memory": _memory(),
        "Load before": f"{os.getloadavg()[0]:.2f} (1 minute)",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }
    if commit := _commit():
        about["Commit"] = commit
    return about


def _memory() -> str:
    kilobytes = int((_line_of("/proc/meminfo", "MemTotal") or "0").split()[0])
    return f"{kilobytes / 2**20:.0f} GiB" if kilobytes else "unknown"


def _line_of(path: str, name: str) -> str | None:
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
