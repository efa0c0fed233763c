"""A million rows pass through in bounded memory, whichever dialect brings them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.queries.streaming import endless_query, row
from tests.support.emulator import KEY
from tests.support.syncing import query, settings_for

ROWS = 1_000_000
FEW = 300_000
GROWTH = 64 * 1024
"""KiB that the many rows may take more than the few."""

_RUN = """
import resource, sys
from oa_sync.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(base_url: str, folder: Path, dialect: str) -> int:
    """KiB of memory that `oa-sync query` took at most, mapped files included."""
    ran = subprocess.run(
        [
            *(sys.executable, "-c", _RUN, "query", "ds_1", "SELECT 1", "--table", "large"),
            *("--base-url", base_url, "--dialect", dialect, "--rpm", "0", "--rpd", "0"),
        ],
        cwd=folder,
        env={
            "HOME": str(folder),
            "OA_SYNC_HOME": str(folder / "home"),
            "OPENANALYST_API_KEY": KEY,
            # glibc keeps an arena for each thread, which grows with luck more than with rows.
            "MALLOC_ARENA_MAX": "2",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ran.stdout.split()[-1])


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for rows, dialect in ((FEW, "page"), (ROWS, "cursor")):
        folder = tmp_path / str(rows)
        folder.mkdir()
        with endless_query(rows) as base_url:
            peaks.append(peak(base_url, folder, dialect))
    settings = settings_for(base_url, tmp_path / str(ROWS))
    [found] = query(
        settings,
        "SELECT count(*), count(DISTINCT number), sum(half), min(position), max(position),"
        " any_value(typeof(day)) FROM query_large",
    )
    assert found == (ROWS, ROWS, ROWS * (ROWS - 1) / 2 + ROWS / 2, 0, ROWS - 1, "DATE")
    assert peaks[1] - peaks[0] < GROWTH < len(row(0)) * ROWS / 1024, peaks
