"""`oa-sync copy`: loads a workspace from one destination into another, without a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError
from oa_sync.load.opening import open_for_reading, open_target
from oa_sync.settings import Settings
from oa_sync.shape.learned import HINT
from oa_sync.tables import syncs
from oa_sync.tables.batches import WORKSPACE, Batch, TableHints
from oa_sync.tables.false_marks import without_false_marks
from oa_sync.tables.target import Target
from oa_sync.workspace.lock import sync_lock


@dataclass
class Copied:
    """Rows by table, and the labels of the workspaces whose rows were not copied."""

    rows: dict[str, int] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)


def copy(source: Settings, to: Settings, clock: Clock | None = None) -> Copied:
    """Load every row of the workspace from `source` into `to`, with keys, types and paths.

    The next sync into `to` goes on from there: it asks for what changed since. Child tables are copied
    before their parents and the table `syncs` last, so a copy that was cut off can be repeated.

    Raises:
        ConfigurationError: nothing is loaded in `source`, or something of this workspace in `to`.
        LockHeldError: a sync into one of them is running.
        DestinationError: one of them cannot be read or written.
    """
    clock = clock or Clock()
    if source.fingerprint() == to.fingerprint():
        raise ConfigurationError(f"{source.place}: the copy would go where the original is")
    locks, what = source.home / "locks", f"workspace {source.workspace!r} into "
    with (
        sync_lock(locks, source.fingerprint(), what + source.destination, clock),
        sync_lock(locks, to.fingerprint(), what + to.destination, clock),
        open_for_reading(source) as loaded,
    ):
        tables = sorted({column.table for column in loaded.columns()}) if loaded else []
        if loaded is None or not tables:
            raise ConfigurationError(
                f"nothing is loaded in {source.dataset_name!r} of {source.place}: name the destination"
                " that was synced"
            )
        workdir = to.home / "dlt" / f"copy-{to.fingerprint()}"
        with open_target(to, workdir) as target:
            if target.select(syncs.TABLE, ["sync_id"]):
                raise ConfigurationError(
                    f"{to.place}: workspace {to.workspace!r} is in {to.dataset_name!r} already; choose"
                    " another --to-dataset-name"
                )
            copied = Copied()
            for table in sorted(tables, key=lambda name: _turn(loaded, name)):
                copied.rows[table] = _copy_table(loaded, target, table, to.workspace, copied.left)
    return copied


def _turn(loaded: Target, table: str) -> int:
    if table == syncs.TABLE:
        return 2
    return 1 if loaded.hints(table).primary_key else 0


def _copy_table(loaded: Target, target: Target, table: str, workspace: str, left: set[str]) -> int:
    hints = _as_loaded(loaded.hints(table))
    if not hints.primary_key and not hints.merge_key:
        raise ConfigurationError(f"{table} has no key and cannot be copied; use `oa-sync export`")

    def batches() -> Iterator[Batch]:
        for batch in without_false_marks(loaded.batches(table)):
            rows = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            labels = set(pc.unique(rows[WORKSPACE]).to_pylist())
            left.update(labels - {workspace})
            if labels != {workspace}:
                rows = rows.filter(pc.equal(rows[WORKSPACE], workspace))
            yield Batch(hints, rows)

    return target.load(batches()).get(table, 0)


def _as_loaded(hints: TableHints) -> TableHints:
    """`hints` as a sync gives them: types come from the rows, except JSON, which is text there."""
    columns = {}
    for name, column in hints.columns.items():
        kept = {HINT: column[HINT]} if column.get(HINT) else {}
        if column.get("data_type") == "json":
            kept["data_type"] = "json"
        if kept:
            columns[name] = kept
    return TableHints(hints.name, hints.primary_key, hints.merge_key, columns)
