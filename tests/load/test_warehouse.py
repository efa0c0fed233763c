"""What a warehouse leaves behind in its process."""

from __future__ import annotations

from pathlib import Path

from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext

from oa_sync.load.warehouse import Warehouse
from oa_sync.settings import Settings


def test_a_closed_warehouse_is_no_context_for_other_pipelines(tmp_path: Path) -> None:
    """dlt asks the active pipeline what a destination can do, also when another one is meant."""
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    with Warehouse(settings, tmp_path / "work"):
        assert Container()[PipelineContext].is_active()
    assert not Container()[PipelineContext].is_active()
