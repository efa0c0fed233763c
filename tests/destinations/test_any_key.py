"""Any JSON scalars as keys, whatever is declared of them: unchanged rows are known again, and each stands once."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.commands.sync import sync_async
from oa_sync.definitions.paths import spelled
from oa_sync.errors import MassDeletionError
from tests.destinations.places import DATASET, DuckDB, Parquet, Place, Row
from tests.destinations.test_keys import HUGE, counts
from tests.support.json_api import Answer, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.properties import examples

DECLARED = ("text", "bigint", "double", "decimal", "bool", "date", "timestamp", "json")
DEFINITION = """
name: keys
client: {paginator: single_page}
resources:
  - {name: plain, primary_key: id, endpoint: {path: all}}
  - {name: dated, primary_key: made_at, endpoint: {path: dated}}
  - {name: pairs, primary_key: [id, n], history: true, endpoint: {path: all}}
  - {name: detailed, primary_key: id, endpoint: {path: askable}, detail: {path: "askable/{id}"}}
""" + "\n".join(
    f"  - {{name: {kind}_keys, primary_key: id, columns: {{id: {{data_type: {kind}}}}},"
    " endpoint: {path: all}}"
    for kind in DECLARED
)

scalars = st.one_of(
    st.sampled_from([0, 1, "0", "1", "01", 1.0, True, "true", "k", "\x1e1", "\x1f", "a\0", HUGE]),
    st.sampled_from(["2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.50+00:00", "1.50"]),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
keys = st.lists(scalars, max_size=6, unique_by=spelled)


class Rows(dict[str, Answer]):
    """The API: a row for each of `keys`."""

    keys: list[Any]

    def get(self, path: str, default: Any = None) -> Any:
        name, *key = path.strip("/").split("/")
        if key:
            wanted = unquote(key[0])
            is_there = spelled(wanted) in {spelled(one) for one in self.keys if _askable(one)}
            return (lambda _: {"id": wanted, "v": 1}) if is_there else default
        if name == "dated":
            return lambda _: [{"made_at": key, "n": n} for n, key in enumerate(self.keys)]
        wanted = self.keys if name == "all" else [key for key in self.keys if _askable(key)]
        return lambda _: [{"id": key, "n": n} for n, key in enumerate(wanted)]


def _askable(key: Any) -> bool:
    return not isinstance(key, bool) and key not in ("", ".", "..")


class Memory(Place):
    """The target in memory."""

    destination = "duckdb"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = MemoryStore()

    def read(self, table: str) -> list[Row]:
        return self.store.rows(table)

    def columns(self, table: str) -> dict[str, str]:
        found = self.store.tables.get(table)
        return {name: str(kind) for name, kind in found.schema.columns.items()} if found else {}

    def make(self, table: str, dataset: str = DATASET) -> None:
        assert dataset == DATASET
        self.store.foreign.add(table)


def known_again(place: Place, nights: list[list[Any]]) -> None:
    """Each of `nights` is synced twice; the second sync finds nothing to do."""
    source = place.folder / "keys.yaml"
    source.write_text(DEFINITION)
    served = Rows()
    with json_api(served) as server:
        settings = place.settings(server.base_url, source=str(source), api_key=None)
        target = MemoryTarget(settings, place.store) if isinstance(place, Memory) else None
        for served.keys in nights:
            for is_known in (False, True):
                report = asyncio.run(sync_async(settings, target=target))
                if isinstance(report.error, MassDeletionError):  # another night has other keys
                    assert not is_known
                    report = asyncio.run(
                        sync_async(settings, allow_mass_delete=True, target=target)
                    )
                assert report.status == "complete", report.error
                if is_known:
                    done = {name: seen for name, seen in counts(report).items() if any(seen)}
                    assert done == {}
                check(place, served.keys)


def check(place: Place, expected: list[Any]) -> None:
    for name in ("plain", "dated", *(f"{kind}_keys" for kind in DECLARED)):
        living = [r for r in place.read(name) if r["_oa_deleted_at"] is None]
        assert sorted(r["n"] for r in living) == list(range(len(expected))), name
        if expected and "_oa_key" in living[0]:
            texts = [r["_oa_key"] for r in place.read(name)]
            assert Counter(texts).most_common(1)[0][1] == 1, name
            assert {spelled(key) for key in expected} <= set(texts), name


BOTH: Mapping[str, list[list[Any]]] = {
    "texts after numbers": [[1, 2], ["k", 2]],
    "numbers after texts": [["1", "k"], [1, 2]],
    "huge": [[HUGE, HUGE + 1], [HUGE + 1, "x"]],
    "fractions after numbers": [[0, 1], [0.0, 0, 1]],
    "times after dates": [["2026-01-01"], ["2026-01-01", "2026-01-01T00:00:00+02:00"]],
}


@pytest.mark.parametrize("nights", BOTH.values(), ids=BOTH)
def test_these_keys_are_known_again(nights: list[list[Any]], tmp_path: Path) -> None:
    known_again(Memory(tmp_path), nights)


def test_a_row_whose_key_the_contract_discards_is_left_out_alone(tmp_path: Path) -> None:
    place, served = Memory(tmp_path), Rows()
    source = tmp_path / "keys.yaml"
    source.write_text(
        "name: keys\nclient: {paginator: single_page}\nresources:\n"
        "  - {name: plain, primary_key: id, endpoint: {path: all},"
        " schema_contract: {data_type: discard_value}}\n"
    )
    with json_api(served) as server:
        settings = place.settings(server.base_url, source=str(source), api_key=None)
        for served.keys in ([1, 2], [1, "k", 2, 3]):
            target = MemoryTarget(settings, place.store)
            report = asyncio.run(sync_async(settings, target=target))
            assert report.status == "complete", report.error
    assert sorted(row["id"] for row in place.read("plain")) == [1, 2, 3]


@examples(30)
@given(st.lists(keys, min_size=1, max_size=3))
@example([[1, 2], ["k", 2]])
def test_any_keys_are_known_again_in_memory(nights: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known_again(Memory(Path(folder)), nights)


@examples(6)
@given(st.lists(keys, min_size=1, max_size=2))
@example([[1, 2], ["k", 2]])
def test_any_keys_are_known_again_in_duckdb(nights: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known_again(DuckDB(Path(folder)), nights)


@examples(6)
@given(st.lists(keys, min_size=1, max_size=2))
@example([[1, 2], ["k", 2]])
def test_any_keys_are_known_again_in_parquet(nights: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known_again(Parquet(Path(folder)), nights)
