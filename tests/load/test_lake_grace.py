"""What a Parquet file keeps of the versions that it replaced, for how long, and that it lets go of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oa_sync.load.lake.kept import noted
from tests.support.clock import ManualClock
from tests.support.lake_model import (
    childless,
    children,
    lake,
    parents,
    seen_by_duckdb,
    seen_by_pyarrow,
)


class Night:
    """Loads into one file, each by a sync of its own, at times of a clock that the test moves."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.root, self._home, self._settings = folder / "lake", folder / "home", settings
        self.clock = ManualClock()

    @property
    def file(self) -> Path:
        (path,) = (self.root / "data/reports").iterdir()
        return path

    def load(self, number: int, count: int = 300) -> None:
        rows = [{"id": str(n), "text": _noise(f"{number}-{n}")} for n in range(count)]
        with self._lake() as target:
            target.load([parents(rows, text="text")])

    def sync_without_changes(self) -> None:
        with self._lake():
            pass

    def _lake(self) -> Any:
        return lake(self.root, self._home, clock=self.clock, **self._settings)


def _noise(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()


def _read(path: Path, metadata: pq.FileMetaData) -> pa.Table:
    return pq.ParquetFile(path, metadata=metadata).read()


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_readers_of_every_version_of_the_grace_time_find_its_pages(tmp_path: Path) -> None:
    night, versions = Night(tmp_path), []
    for number, count in enumerate((300, 40, 310, 2_000, 1, 300)):
        night.load(number, count)
        versions.append((pq.read_metadata(night.file), pq.read_table(night.file)))
        night.clock.advance(50)
        for metadata, rows in versions:
            assert _read(night.file, metadata) == rows


def test_what_is_older_than_the_grace_time_goes_with_the_next_replacement(tmp_path: Path) -> None:
    night = Night(tmp_path, grace_seconds=60)
    night.load(0)
    night.load(1)
    assert len(noted(night.file)) == 1
    night.load(2)
    assert len(noted(night.file)) == 2
    night.clock.advance(61)
    night.load(3)
    assert len(noted(night.file)) == 1


@pytest.mark.parametrize("loads", [2, 3])
def test_a_sync_after_the_grace_time_frees_the_room_and_disturbs_no_reader(
    tmp_path: Path, loads: int
) -> None:
    night = Night(tmp_path)
    for number in range(loads):
        night.load(number, 6_000)
        night.clock.advance(100)
    rows, metadata, before = pq.read_table(night.file), pq.read_metadata(night.file), _stat(night)
    night.sync_without_changes()
    assert _stat(night) == before, "not over yet"

    taken = _allocated(night.file)
    night.clock.advance(201)
    night.sync_without_changes()
    assert _allocated(night.file) < taken * 0.7
    assert _read(night.file, metadata) == rows == pq.read_table(night.file)
    assert pq.read_metadata(night.file).metadata == metadata.metadata
    root = str(night.root)
    assert seen_by_duckdb(root, "reports") == seen_by_pyarrow(root, "reports")

    after = _stat(night)
    night.sync_without_changes()
    assert _stat(night) == after, "nothing left to do"
    night.load(loads, 6_000)
    assert _read(night.file, metadata) == rows


def _stat(night: Night) -> tuple[int, int]:
    status = night.file.stat()
    return status.st_ino, status.st_mtime_ns


def test_a_clock_that_was_wrong_once_does_not_keep_pages_for_ever(tmp_path: Path) -> None:
    ahead = Night(tmp_path)
    ahead.clock.advance(1e6)
    ahead.load(0)
    ahead.load(1)
    night = Night(tmp_path)
    night.load(2)
    [kept] = noted(night.file)
    assert kept.until == night.clock.now().timestamp() + 300


def test_older_versions_are_kept_up_to_a_bound_and_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(tmp_path)
    night.load(0)
    night.load(1)
    monkeypatch.setattr("oa_sync.load.lake.kept.KEPT_BYTES", 10)
    metadata, rows = pq.read_metadata(night.file), pq.read_table(night.file)
    night.load(2)
    assert len(noted(night.file)) == 1
    assert _read(night.file, metadata) == rows


def test_without_a_grace_time_nothing_is_kept(tmp_path: Path) -> None:
    night = Night(tmp_path, grace_seconds=0)
    for number in range(3):
        night.load(number)
        metadata = pq.read_metadata(night.file)
        assert metadata.row_group(0).column(0).file_offset < 1_000
        assert night.file.stat().st_size < 45_000


def test_a_file_that_is_emptied_still_serves_who_reads_its_rows(tmp_path: Path) -> None:
    def load(values: list[str]) -> Path:
        with lake(tmp_path / "lake", tmp_path / "home") as target:
            target.load([children({"r1": values}) if values else childless("r1")])
        (path,) = (tmp_path / "lake/data/report_rows").iterdir()
        return path

    path = load([f'"{_noise(str(n))}"' for n in range(100)])
    metadata, rows = pq.read_metadata(path), pq.read_table(path)
    load([])
    assert len(pq.read_table(load([]))) == 0
    assert _read(path, metadata) == rows
