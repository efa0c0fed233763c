"""Batches that wait on the local disk until others are loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from oa_sync.private import fresh_folder
from oa_sync.tables.batches import Batch, TableHints


class HeldBack:
    """Takes batches and gives them back, in their order. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[tuple[TableHints, Path]] = []

    def __enter__(self) -> HeldBack:
        fresh_folder(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, batch: Batch) -> None:
        """Keep `batch`."""
        path = self._folder / f"{len(self._held)}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.rows.schema) as writer:
            writer.write_table(batch.rows)
        self._held.append((batch.hints, path))

    def batches(self) -> Iterator[Batch]:
        """The kept batches. A file is opened only when its batch is asked for."""
        for hints, path in self._held:
            with pa.memory_map(str(path)) as file:
                yield Batch(hints, pa.ipc.open_file(file).read_all())
