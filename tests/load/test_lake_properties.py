"""Any sequence of loads leaves what the same loads leave in a dictionary, for any reader, after each."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oa_sync.tables.batches import DELETED_AT, Batch
from tests.support.lake_model import (
    INSTANT,
    Model,
    childless,
    children,
    lake,
    parents,
    seen_by_duckdb,
    seen_by_pyarrow,
)
from tests.support.properties import examples

IDS = st.sampled_from(["a", "b", "c", "d", "é", "A"])
WIDENINGS = {"n": ["bigint", "double", "json"], "w": ["text", "json"], "t": ["timestamp", "text"]}
WORDS = st.text('aé"\n\\', max_size=4)
VALUES = {
    "bigint": st.integers(-(2**53), 2**53),
    "double": st.integers(-9, 9).map(lambda n: n + 0.5),
    "text": WORDS,
    "json": WORDS.map(lambda word: json.dumps({"k": word})),
    "timestamp": st.just(INSTANT),
}


@dataclass
class Step:
    """One load: rows to merge, lists to replace, and what happens before."""

    rows: dict[str, Any]
    lists: dict[str, list[str]]
    columns: set[str]
    widen: str | None
    reopen: bool


STEPS = st.builds(
    Step,
    rows=st.dictionaries(IDS, st.booleans(), max_size=4),
    lists=st.dictionaries(IDS, st.lists(WORDS.map(json.dumps), max_size=3), max_size=3),
    columns=st.sets(st.sampled_from(sorted(WIDENINGS))),
    widen=st.sampled_from([None, None, *WIDENINGS]),
    reopen=st.booleans(),
)


class Synced:
    """A model beside the types that its columns have by now."""

    def __init__(self) -> None:
        self.model = Model()
        self.types: dict[str, str] = {}

    def batches(self, step: Step, draw: Any) -> list[Batch]:
        for column in sorted(step.columns):
            self.types.setdefault(column, WIDENINGS[column][0])
        used = {column: self.types[column] for column in sorted(step.columns)}
        rows = [
            {
                "id": id_,
                DELETED_AT: INSTANT if deleted else None,
                **{name: draw(VALUES[kind]) for name, kind in used.items()},
            }
            for id_, deleted in step.rows.items()
        ]
        empty = [id_ for id_, values in step.lists.items() if not values]
        return [parents(rows, **used), children(step.lists), childless(*empty)]

    def widen(self, column: str) -> str | None:
        """Convert the model's values as the lake must; the new type."""
        before = self.types.get(column)
        if before is None or before == WIDENINGS[column][-1]:
            return None
        after = WIDENINGS[column][WIDENINGS[column].index(before) + 1]
        for group in self.model.tables.get("reports", {}).values():
            for row in group:
                if row.get(column) is not None:
                    row[column] = _converted(row[column], after)
        self.types[column] = after
        return after


def _converted(value: Any, after: str) -> Any:
    if after == "double":
        return float(value)
    if after == "text":
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps(value, ensure_ascii=False)


@settings(examples(12), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    steps=st.lists(STEPS, min_size=1, max_size=6),
    target=st.sampled_from([1, 4_000, 1 << 26]),
    data=st.data(),
)
def test_a_lake_equals_its_model_after_every_load(
    steps: list[Step], target: int, data: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, home, synced = f"{folder}/lake", Path(folder) / "home", Synced()
        opened = lake(root, home, target_bytes=target).__enter__()
        for step in steps:
            if step.reopen:
                opened.__exit__(None, None, None)
                opened = lake(root, home, target_bytes=target).__enter__()
            if step.widen and step.rows and (after := synced.widen(step.widen)):
                opened.widen("reports", step.widen, after)
            batches = synced.batches(step, data.draw)
            opened.load(batches)
            synced.model.load(batches)
            _check(root, synced, union_by_name=True)
        opened.__exit__(None, None, None)
        _check(root, synced, union_by_name=False)


def _check(root: str, synced: Synced, *, union_by_name: bool) -> None:
    for table in ("reports", "report_rows"):
        expected = synced.model.rows(table)
        if not list(Path(root, "data", table).glob("*.parquet")):
            assert expected == []
            continue
        if table == "report_rows" or not union_by_name:
            assert seen_by_pyarrow(root, table) == expected
        assert seen_by_duckdb(root, table, union_by_name=union_by_name) == expected
