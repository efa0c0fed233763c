"""A sync of many loads holds no more than a sync of one."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from oa_sync.emulator.synthetic import Size, synthetic_workspace
from oa_sync.journal.segment_writer import SegmentWriter
from oa_sync.load.dlt.warehouse import Warehouse
from tests.support.emulator import emulator
from tests.support.syncing import run_sync, settings_for

REPORTS, ROWS = 8, 1_500


@pytest.fixture
def seldom_collected() -> Iterator[None]:
    """As on the command line, where the garbage collector looks for cycles seldom; here never."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("seldom_collected")
def test_a_load_begins_with_nothing_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dlt leaves frames in cycles, and in them the last batches of a package."""
    held: list[int] = []
    load = Warehouse.load

    def measured(self: Warehouse, batches: Any) -> dict[str, int]:
        held.append(pa.total_allocated_bytes())
        return load(self, batches)

    monkeypatch.setattr(Warehouse, "load", measured)
    monkeypatch.setitem(SegmentWriter.__init__.__kwdefaults__, "max_bytes", 100_000)
    with emulator(synthetic_workspace(Size(reports=REPORTS, rows=ROWS))) as api:
        run_sync(settings_for(api.base_url, tmp_path, report_rows="typed"), "reports")

    assert len(held) >= REPORTS
    assert max(held[2:]) - held[1] < 100_000, held
