"""Batches that wait on the local disk until others are loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from oa_sync.private import fresh_folder
from oa_sync.tables.batches import Batch


class HeldBack:
    """Takes batches and gives them back, in their order. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[tuple[Batch, Path]] = []

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
        self._held.append((replace(batch, rows=batch.rows.schema.empty_table()), path))

    def batches(self) -> Iterator[Batch]:
        """The kept batches. A file is opened only when its batch is asked for."""
        for batch, path in self._held:
            with pa.memory_map(str(path)) as file:
                yield replace(batch, rows=pa.ipc.open_file(file).read_all())
