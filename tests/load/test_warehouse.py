"""What a warehouse leaves behind in its process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext

from oa_sync.load.tables import WORKSPACE, Batch, TableHints
from oa_sync.load.warehouse import Warehouse
from oa_sync.settings import Settings

KEY = (WORKSPACE, "id")
BATCH_BYTES = 1_000_000


def batches(number: int) -> Iterator[Batch]:
    """Two batches of `BATCH_BYTES` each, in tables that are loaded one after the other."""
    for name, key in (("parts", {"merge_key": KEY}), ("wholes", {"primary_key": KEY})):
        rows = pa.table({"id": [str(number)], "text": ["x" * BATCH_BYTES], WORKSPACE: ["default"]})
        yield Batch(TableHints(name, **key), rows)


def test_a_closed_warehouse_is_no_context_for_other_pipelines(tmp_path: Path) -> None:
    """dlt asks the active pipeline what a destination can do, also when another one is meant."""
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    with Warehouse(settings, tmp_path / "work"):
        assert Container()[PipelineContext].is_active()
    assert not Container()[PipelineContext].is_active()


def test_nothing_of_a_load_is_held_when_it_is_over(tmp_path: Path) -> None:
    """dlt keeps a record of every setting that it looks up, with errors whose frames hold the batches."""
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    with Warehouse(settings, tmp_path / "work") as target:
        held = []
        for number in range(4):
            target.load(batches(number))
            gc.collect()
            held.append(pa.total_allocated_bytes())
        assert held[-1] - held[0] < BATCH_BYTES
