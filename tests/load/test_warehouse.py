"""What a warehouse leaves behind in its process."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.pipeline.pipeline import Pipeline

from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.settings import Settings
from oa_sync.tables.batches import WORKSPACE, Batch, TableHints

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


def test_others_read_the_file_while_batches_are_still_made(tmp_path: Path) -> None:
    """A night that waits for its quota takes hours, and DuckDB lets no one in while it has a file open."""
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    seen: list[str] = []

    def with_a_reader() -> Iterator[Batch]:
        for batch in batches(2):
            seen.append(_read_by_another_process(settings.database))
            yield batch

    with Warehouse(settings, tmp_path / "work") as target:
        target.load(batches(1))
        assert len(target.known("parts", KEY)) == 1
        target.load(with_a_reader())

    assert seen == ["1", "1"]
    assert _read_by_another_process(settings.database) == "2"


def test_a_file_that_is_held_open_is_read_by_us_and_by_others_afterwards(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    with Warehouse(settings, tmp_path / "work") as target:
        target.load(batches(1))
        with target.held_open():
            assert len(target.known("parts", KEY)) == 1
            with pytest.raises(subprocess.CalledProcessError):
                _read_by_another_process(settings.database)
        assert _read_by_another_process(settings.database) == "1"


def test_the_file_is_held_open_while_a_package_is_normalized_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else dlt opens and closes it for every step."""
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")
    normalize, refused = Pipeline.normalize, []

    def tried_by_others(self: Pipeline) -> object:
        with pytest.raises(subprocess.CalledProcessError) as error:
            _read_by_another_process(settings.database)
        refused.append("lock" in error.value.stderr)
        return normalize(self)

    with Warehouse(settings, tmp_path / "work") as target:
        target.load(batches(1))
        monkeypatch.setattr(Pipeline, "normalize", tried_by_others)
        target.load(batches(2))
    assert refused == [True, True]


def _read_by_another_process(database: Path) -> str:
    code = (
        "import duckdb, sys; found = duckdb.connect(sys.argv[1], read_only=True);"
        " print(*found.execute('SELECT count(*) FROM openanalyst.parts').fetchone())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_a_load_that_needs_more_memory_than_its_bound_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("oa_sync.load.dlt.warehouse.NARROW_MEMORY", "1MB")
    settings = Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")

    with caplog.at_level("INFO"), Warehouse(settings, tmp_path / "work") as target:
        assert target.load(batches(1)) == {"parts": 1, "wholes": 1}
        assert target.query("SELECT count(*) FROM openanalyst.parts") == [(1,)]

    assert "loading without bound" in caplog.text
