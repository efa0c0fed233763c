"""The clean-Parquet target: what it promises to readers, on a disk and on S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from oa_sync.errors import ConfigurationError, DestinationError
from oa_sync.tables.batches import WORKSPACE, Batch, LoadedColumn
from tests.support.clock import ManualClock
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
from tests.support.s3 import (
    BUCKET,
    aws_environment,
    dlt_environment,
    only_in_environment,
    running_s3,
)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with running_s3() as endpoint:
        yield endpoint


class Place:
    """A bucket URL, and how readers get at it."""

    def __init__(self, url: str, root: str, filesystem: Any = None) -> None:
        self.url, self.root, self.filesystem = url, root, filesystem

    def check(self, model: Model) -> None:
        for table in model.tables:
            expected = model.rows(table)
            root = self.filesystem.unstrip_protocol(self.root) if self.filesystem else self.root
            assert seen_by_duckdb(root, table, self.filesystem) == expected
            assert seen_by_pyarrow(self.root, table, self.filesystem) == expected


class Renaming(MemoryFileSystem):
    """A store like SFTP: an upload is seen while it runs, only a rename is atomic."""

    protocol = "renaming"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("renaming:")))

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        assert not rpath.endswith(".parquet"), "uploaded in sight of readers"
        super().put_file(lpath, rpath, **options)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self.store[path2] = self.store.pop(path1)


@pytest.fixture(params=["folder", "s3", "memory", "renaming"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, folder = request.param, tmp_path / "lake"
    if kind == "folder":
        yield Place(str(folder), str(folder))
    elif kind == "s3":
        endpoint = request.getfixturevalue("s3")
        with only_in_environment(dlt_environment(endpoint)):
            filesystem = fsspec.filesystem(
                "s3", key="key", secret="secret", endpoint_url=endpoint, use_listings_cache=False
            )
            root = f"{BUCKET}/{tmp_path.name}"
            yield Place(f"s3://{root}", root, filesystem)
    else:
        fsspec.register_implementation("renaming", Renaming, clobber=True)
        filesystem = fsspec.filesystem(kind)
        yield Place(f"{kind}://{tmp_path.name}", f"/{tmp_path.name}", filesystem)


def _three_syncs() -> list[list[Batch]]:
    """First load; edits, a deletion, shrinking lists; new columns."""
    return [
        [
            parents(
                [{"id": f"r{n}", "name": f"Report {n}", "_oa_version": "1"} for n in range(20)],
                name="text",
            ),
            children({f"r{n}": [f'{{"v":{i}}}' for i in range(n)] for n in range(20)}),
        ],
        [
            parents(
                [
                    {"id": "r3", "name": "renamed", "_oa_version": "2"},
                    {"id": "r5", "name": "gone", "_oa_version": "1", "_oa_deleted_at": INSTANT},
                    {"id": "r99", "name": "new", "_oa_version": "1"},
                ],
                name="text",
            ),
            children({"r3": ["1"], "r19": ['"a"', '"b"'], "r99": ["[]"]}),
            childless("r5", "r7"),
        ],
        [
            parents(
                [{"id": "r3", "name": "again", "owner__id": 7}], name="text", owner__id="bigint"
            ),
            childless("r3"),
        ],
    ]


def test_three_syncs_leave_each_key_once_for_any_reader(place: Place, tmp_path: Path) -> None:
    model = Model()
    for number, batches in enumerate(_three_syncs()):
        with lake(place.url, tmp_path / f"home{number}", target_bytes=2_000) as target:
            counts = target.load(batches)
        model.load(batches)
        assert sum(counts.values()) == sum(b.rows.num_rows for b in batches if not b.removes)
        place.check(model)


@pytest.mark.parametrize("place", ["folder", "renaming"], indirect=True)
def test_repeating_a_load_changes_nothing(place: Place, tmp_path: Path) -> None:
    model = Model()
    for batches in _three_syncs():
        with lake(place.url, tmp_path / "home", target_bytes=2_000) as target:
            target.load(batches)
            target.load(batches)
        model.load(batches)
    place.check(model)


@pytest.mark.parametrize("place", ["folder", "s3"], indirect=True)
def test_what_is_loaded_is_read_back_without_any_local_state(place: Place, tmp_path: Path) -> None:
    for number, batches in enumerate(_three_syncs()):
        with lake(place.url, tmp_path / f"home{number}") as target:
            target.load(batches)
    with lake(place.url, tmp_path / "lost") as target:
        assert LoadedColumn("reports", "owner__id", "bigint", "owner__id") in target.columns()
        assert LoadedColumn("report_rows", "row", "json", "row") in target.columns()
        assert target.has_table("reports")
        assert not target.has_table("dashboards")
        known = target.known("reports", ["id"])
        assert len(known) == 21
        assert known["r5",].deleted
        assert known["r99",].version == "1"
        assert target.current_rows("reports", ["id"], [("nobody",)]) == []
        (row,) = target.current_rows("reports", ["id"], [("r3",), ("nobody",)])
        assert row["owner__id"] == 7
        assert row["_oa_synced_at"] == INSTANT
        assert target.current_rows("report_rows", ["report_id"], [("r99",)])[0]["row"] == "[]"
        assert target.distinct("report_rows", "report_id") == {
            *(f"r{n}" for n in range(1, 20) if n not in (3, 5, 7)),
            "r99",
        }
        assert target.distinct("dashboards", "id") == set()


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    with lake((tmp_path / "lake").as_uri(), tmp_path / "home") as target:
        target.load([parents([{"id": "a"}])])
    assert len(seen_by_pyarrow(str(tmp_path / "lake"), "reports")) == 1


@pytest.mark.parametrize("environment", [dlt_environment, aws_environment])
def test_credentials_are_found_under_the_names_of_dlt_and_of_aws(
    s3: str, tmp_path: Path, environment: Any
) -> None:
    url = f"s3://{BUCKET}/{tmp_path.name}"
    with only_in_environment(environment(s3)), lake(url, tmp_path) as target:
        target.load([parents([{"id": "a"}])])
        assert target.known("reports", ["id"]).keys() == {("a",)}


def test_widened_columns_are_of_one_type_in_all_files(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "lake"), str(tmp_path / "lake"))
    types = {"n": "bigint", "when": "timestamp", "word": "text", "flag": "bool", "x": "double"}
    first = {"n": 7, "when": INSTANT, "word": 'say "hé"', "flag": True, "x": 1.5}
    with lake(place.url, tmp_path / "home", target_bytes=1) as target:
        for id_ in ("a", "b"):
            target.load([parents([{"id": id_, **first}], **types)])
        target.load([parents([{"id": "none"}], **types)])
        wide = {"n": "double", "when": "text", "word": "json", "flag": "json", "x": "json"}
        for column, data_type in wide.items():
            target.widen("reports", column, data_type)
            target.widen("reports", "never_loaded", data_type)
        converted = {
            "n": 7.0,
            "when": "2026-03-02T09:00:00.000000Z",
            "word": json.dumps(first["word"], ensure_ascii=False),
            "flag": "true",
            "x": "1.5",
        }
        (row,) = target.current_rows("reports", ["id"], [("a",)])
        assert {name: row[name] for name in wide} == converted, "before the files follow"
        target.load([parents([{"id": "c", "n": 0.5, "when": "soon"}], **wide)])
        rows = {row["id"]: row for row in seen_by_duckdb(place.root, "reports")}
        assert all(rows["b"][name] == converted[name] for name in wide)
        assert rows["c"]["n"] == 0.5
        assert not rows["none"].keys() & wide.keys()
    assert len({str(_types(path)) for path in (tmp_path / "lake/data/reports").iterdir()}) == 1


def test_a_key_column_that_widens_keeps_each_key_once(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=1) as target:
        for n in (1, 20, 3):
            target.load([parents([{"id": n}], id="bigint")])
        target.widen("reports", "id", "json")
        target.load([parents([{"id": "20"}, {"id": '"x"'}], id="json")])
        assert target.known("reports", ["id"]).keys() == {("1",), ("20",), ("3",), ('"x"',)}
    assert len(seen_by_pyarrow(str(tmp_path / "lake"), "reports")) == 4


def test_wider_values_that_nobody_announced_are_kept_exactly(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=1) as target:
        target.load([parents([{"id": "a", "n": 1}], n="bigint")])
        target.load([parents([{"id": "b", "n": 1.5}], n="double")])
        target.load([parents([{"id": "c", "n": 2}], n="bigint")])
    rows = seen_by_pyarrow(str(tmp_path / "lake"), "reports")
    assert [row["n"] for row in rows] == [1.0, 1.5, 2.0]


def test_new_columns_reach_the_older_files_by_the_end_of_the_sync(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=1) as target:
        target.load([parents([{"id": "a"}])])
        target.load([parents([{"id": "b", "new": "x"}], new="text")])
        assert len(seen_by_duckdb(str(tmp_path / "lake"), "reports", union_by_name=True)) == 2
    files = list((tmp_path / "lake/data/reports").iterdir())
    assert len(files) == 2
    assert all("new" in _types(path) for path in files)


def test_a_killed_sync_s_new_columns_reach_the_older_files_with_the_next(tmp_path: Path) -> None:
    killed = lake(tmp_path / "lake", tmp_path / "home", target_bytes=1).__enter__()
    killed.load([parents([{"id": "a"}])])
    killed.load([parents([{"id": "b", "new": "x"}], new="text")])
    with lake(tmp_path / "lake", tmp_path / "home"):
        pass
    assert all("new" in _types(path) for path in (tmp_path / "lake/data/reports").iterdir())


def test_workspaces_share_a_folder_and_touch_only_their_own_rows(tmp_path: Path) -> None:
    labels = ["default", "Default", "a b", "a_b", "../x", "é"]
    for label in labels:
        with lake(tmp_path / "lake", tmp_path / "home", label) as target:
            assert target.known("reports", ["id"]) == {}
            target.load([parents([{"id": "a", "n": 1}], workspace=label, n="bigint")])
    with lake(tmp_path / "lake", tmp_path / "home", "a b") as target:
        target.widen("reports", "n", "double")
        target.load([parents([{"id": "a", "n": 0.5}], workspace="a b", n="double")])
        assert len(target.current_rows("reports", ["id"], [("a",)])) == 1
    rows = seen_by_duckdb(str(tmp_path / "lake"), "reports")
    assert {row[WORKSPACE]: row["n"] for row in rows} == dict.fromkeys(labels, 1.0) | {"a b": 0.5}
    assert len(rows) == len(labels)
    assert {path.parent for path in tmp_path.rglob("*.parquet")} == {tmp_path / "lake/data/reports"}


def test_all_rows_of_all_workspaces_are_read_for_an_export(tmp_path: Path) -> None:
    for label in ("one", "two"):
        with lake(tmp_path / "lake", tmp_path / "home", label, target_bytes=1) as target:
            target.load([parents([{"id": "a"}], workspace=label)])
            target.load([parents([{"id": "b", "extra": "[]"}], workspace=label, extra="json")])
    with lake(tmp_path / "lake", tmp_path / "home", "two") as target:
        batches = list(target.batches("reports"))
        assert sorted(row["id"] for batch in batches for row in batch.to_pylist()) == [*"aabb"]
        assert batches[0].schema.field("extra").metadata == {b"data_type": b"json"}
        assert target.distinct("reports", "id") == {"a", "b"}


def test_a_lake_that_could_not_be_opened_can_be_closed(tmp_path: Path) -> None:
    lake(tmp_path / "lake", tmp_path / "home").__exit__(None, None, None)


def test_a_key_stays_in_its_file_and_new_keys_fill_the_newest(tmp_path: Path) -> None:
    folder = tmp_path / "lake/data/reports"
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=100_000) as target:
        homes: dict[str, str] = {}
        for number in range(4):
            rows = [{"id": f"{number}-{n}", "text": _noise(f"{number}-{n}")} for n in range(1_500)]
            target.load([parents([*rows, {"id": "0-5", "text": str(number)}], text="text")])
            now = {key: path.name for path in folder.iterdir() for key in _ids(path)}
            assert homes.items() <= now.items()
            homes = now
    sizes = [_row_bytes(path) for path in folder.iterdir()]
    assert 2 <= len(sizes) <= 4
    assert max(sizes) < 120_000


def test_a_file_that_is_replaced_again_and_again_does_not_grow(tmp_path: Path) -> None:
    folder = tmp_path / "lake/data/reports"
    clock = ManualClock()
    with lake(tmp_path / "lake", tmp_path / "home", clock=clock) as target:
        for number in range(12):
            rows = [{"id": str(n), "text": _noise(f"{number}-{n}")} for n in range(300)]
            clock.advance(301)
            target.load([parents(rows, text="text")])
            (path,) = folder.iterdir()
            assert path.stat().st_size < 3 * _row_bytes(path) + 20_000
            assert len(seen_by_duckdb(str(tmp_path / "lake"), "reports")) == 300


def test_pages_of_the_file_before_are_found_by_who_has_read_its_footer(tmp_path: Path) -> None:
    folder, seen = tmp_path / "lake/data/reports", []
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        for number, count in enumerate((5, 400, 10, 410, 420, 3_000, 2, 1, 0, 7)):
            rows = [{"id": str(n), "text": _noise(f"{number}-{n}")} for n in range(count or 1)]
            if seen:
                (path,) = folder.iterdir()
                before = pq.read_table(path)
                metadata = pq.read_metadata(path)
            target.load([parents(rows, text="text")])
            (path,) = folder.iterdir()
            if seen:
                assert pq.ParquetFile(path, metadata=metadata).read() == before
            seen.append(pq.read_table(path)["text"][0].as_py())
    assert len(set(seen)) == 10


def test_a_large_load_is_cut_into_files_between_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oa_sync.load.lake.writing.ROW_GROUP_ROWS", 2_048)
    rows = {f"r{n:02d}": [f'"{_noise(f"{n}-{i}")}"' for i in range(1_000)] for n in range(30)}
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=20_000) as target:
        target.load([children({key: values}) for key, values in rows.items()])
    folder = tmp_path / "lake/data/report_rows"
    held = [set(pq.read_table(path)["report_id"].to_pylist()) for path in folder.iterdir()]
    assert len(held) > 3
    assert sum(map(len, held)) == len(rows)
    model = Model()
    model.load([children(rows)])
    assert seen_by_pyarrow(str(tmp_path / "lake"), "report_rows") == model.rows("report_rows")


def test_only_files_with_changed_keys_are_rewritten(tmp_path: Path) -> None:
    folder = tmp_path / "lake/data/reports"
    with lake(tmp_path / "lake", tmp_path / "home", target_bytes=1) as target:
        for id_ in "abc":
            target.load([parents([{"id": id_, "name": "old"}], name="text")])
        before = {path.name: path.stat().st_ino for path in folder.iterdir()}
        target.load([parents([{"id": "b", "name": "new"}], name="text")])
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert [name for name in sorted(after) if after[name] != before[name]] == [
        "default-00001.parquet"
    ]


def test_files_are_sorted_compressed_and_say_what_they_are(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        target.load([parents([{"id": f"{n * 37 % 100:02d}"} for n in range(100)])])
    (path,) = (tmp_path / "lake/data/reports").iterdir()
    file = pq.ParquetFile(path)
    assert _ids(path) == sorted(_ids(path))
    group = file.metadata.row_group(0)
    assert [group.column(s.column_index).path_in_schema for s in group.sorting_columns] == [
        WORKSPACE,
        "id",
    ]
    column = group.column(file.schema_arrow.get_field_index("id"))
    assert column.compression == "ZSTD"
    assert (column.statistics.min, column.statistics.max) == ("00", "99")
    metadata = file.metadata.metadata
    assert metadata[b"oa_sync.source"] == b"https://api.openanalyst.com/v1"
    assert metadata[b"oa_sync.written_at"].endswith(b"Z")
    assert json.loads(metadata[b"oa_sync.schema"])["version"] == 1


def test_json_columns_are_strings_that_say_so(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        target.load([children({"r": ["1"]})])
    (path,) = (tmp_path / "lake/data/report_rows").iterdir()
    field = pq.read_schema(path).field("row")
    assert (str(field.type), field.metadata[b"data_type"]) == ("string", b"json")


def test_a_file_changed_by_someone_else_meanwhile_is_not_overwritten(
    s3: str, tmp_path: Path
) -> None:
    url = f"s3://{BUCKET}/{tmp_path.name}"
    with only_in_environment(dlt_environment(s3)), lake(url, tmp_path / "one") as target:
        target.load([parents([{"id": "a"}])])

        def meanwhile() -> dict[str, str]:
            with lake(url, tmp_path / "two") as other:
                other.load([parents([{"id": "b"}])])
            return {}

        target._description = meanwhile  # type: ignore[method-assign]
        with pytest.raises(DestinationError, match="changed by another sync"):
            target.load([parents([{"id": "c"}])])
        assert target.known("reports", ["id"]).keys() == {("a",), ("b",)}


def test_leftovers_of_a_killed_run_are_removed_and_were_never_seen(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        target.load([parents([{"id": "a"}])])
        mine = target._store.scratch("default", "reports")
        other = target._store.scratch("other", "reports")
        mine.write_bytes(b"half")
        other.write_bytes(b"in use")
        assert len(seen_by_pyarrow(str(tmp_path / "lake"), "reports")) == 1
        assert list((tmp_path / "lake").rglob("*.parquet")) == [
            tmp_path / "lake/data/reports/default-00000.parquet"
        ]
    with lake(tmp_path / "lake", tmp_path / "home"):
        assert not mine.exists()
        assert other.exists()


def test_files_of_others_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "lake/data/reports"
    folder.mkdir(parents=True)
    duckdb.sql(f"COPY (SELECT 1 AS x) TO '{folder}/theirs.parquet'")
    before = (folder / "theirs.parquet").read_bytes()
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        target.load([parents([{"id": "a"}])])
        assert target.known("reports", ["id"]).keys() == {("a",)}
    assert (folder / "theirs.parquet").read_bytes() == before
    assert "theirs.parquet was not written by this program" in caplog.text


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "lake/data/reports"
    folder.mkdir(parents=True)
    (folder / "default-00000.parquet").write_bytes(b"PAR1 not really")
    with (
        pytest.raises(DestinationError, match=r"reports/default-00000\.parquet cannot be read"),
        lake(tmp_path / "lake", tmp_path / "home"),
    ):
        pass


def test_a_table_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    good = parents([{"id": "a"}])
    for name in ("../evil", ".hidden", "a/b", ""):
        hints = type(good.hints)(name, primary_key=good.hints.primary_key)
        with (
            lake(tmp_path / "lake", tmp_path / "home") as target,
            pytest.raises(DestinationError, match="cannot be the name of a folder"),
        ):
            target.load([Batch(hints, good.rows)])
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_place_without_library_or_credentials_is_a_matter_of_configuration(
    tmp_path: Path,
) -> None:
    with (
        only_in_environment({"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}),
        pytest.raises(ConfigurationError, match="DESTINATION__FILESYSTEM__CREDENTIALS"),
        lake("s3://bucket/x", tmp_path / "home"),
    ):
        pass
    with (
        pytest.raises(ConfigurationError, match="nowhere://"),
        lake("nowhere://bucket/x", tmp_path / "home"),
    ):
        pass


def test_the_last_row_of_a_repeated_key_wins(tmp_path: Path) -> None:
    with lake(tmp_path / "lake", tmp_path / "home") as target:
        repeated = [{"id": "a", "n": n} for n in range(5)]
        target.load([parents(repeated, n="bigint"), parents([{"id": "a", "n": 9}], n="bigint")])
        target.load([parents([{"id": "b", "n": 1}, *repeated], n="bigint")])
        assert target.current_rows("reports", ["id"], [("a",)])[0]["n"] == 4
    assert len(seen_by_duckdb(str(tmp_path / "lake"), "reports")) == 2


def _noise(seed: str) -> str:
    """A text that does not compress."""
    return hashlib.sha256(seed.encode()).hexdigest()


def _types(path: Path) -> dict[str, str]:
    return {field.name: str(field.type) for field in pq.read_schema(path)}


def _row_bytes(path: Path) -> int:
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return sum(g.column(c).total_compressed_size for g in groups for c in range(g.num_columns))


def _ids(path: Path) -> list[str]:
    return list(pq.read_table(path, columns=["id"])["id"].to_pylist())
