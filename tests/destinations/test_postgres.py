"""PostgreSQL: what it stores of what arrives, its indexes, its transactions, and workspaces beside each other."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from oa_sync.errors import ConfigurationError, DestinationError
from oa_sync.load.postgres import Postgres
from oa_sync.load.postgres.catalog import short
from oa_sync.settings import Settings
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, TableHints
from tests.destinations.places import in_environment
from tests.support.lake_model import Model, batch, canonical, childless, children, parents
from tests.support.postgres import shared_postgres
from tests.support.properties import examples


@pytest.fixture
def url() -> Iterator[str]:
    address = shared_postgres().create_database("loaded")
    with in_environment({"DESTINATION__POSTGRES__CREDENTIALS": address}):
        yield address


def target(folder: Path, workspace: str = "default", **options: Any) -> Postgres:
    chosen = Settings(destination="postgres", dataset_name="data", workspace=workspace)
    return Postgres(chosen, folder / f"work-{workspace}", **options)


def query(url: str, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text.encode(), parameters).fetchall()


def table_of(url: str, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        rows = connection.execute(f"SELECT * FROM data.{table}".encode()).fetchall()
    return canonical(
        {k: json.dumps(v) if k == "row" else v for k, v in row.items()} for row in rows
    )


def test_loads_merge_rows_by_key_and_lists_by_parent(url: str, tmp_path: Path) -> None:
    model = Model()
    loads = [
        [
            parents([{"id": "a", "n": 1}, {"id": "b", "n": 2}], n="bigint"),
            children({"a": ["1", "2"]}),
        ],
        [parents([{"id": "b", "n": 3}], n="bigint"), children({"b": ["[]"], "a": ["3"]})],
        [childless("a"), parents([{"id": "c", "extra": 1.5}], extra="double")],
    ]
    with target(tmp_path) as loaded:
        for batches in [*loads, loads[-1]]:
            loaded.load(batches)
            model.load(batches)
            for table in model.tables:
                assert table_of(url, table) == model.rows(table)


TEXTS = st.lists(st.none() | st.text(), min_size=1, max_size=20)


@given(TEXTS)
@example(["", None, "\\N", "\\.", "a\n\\.\nb", "\r\\.", '"', ",", "\0", "a\0b", "\x7f"])
@settings(examples(25), suppress_health_check=list(HealthCheck))
def test_texts_are_stored_as_they_are_but_for_nul(
    url: str, tmp_path: Path, texts: list[str | None]
) -> None:
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    with target(tmp_path) as loaded:
        loaded.load([parents(rows, text="text")])
        back = [b.to_pylist() for b in loaded.batches("reports")]
    stored = dict(query(url, "SELECT id, text FROM data.reports"))
    expected = [text and text.replace("\0", "\ufffd") for text in texts]
    assert [stored[row["id"]] for row in rows] == expected
    assert {row["id"]: row["text"] for part in back for row in part} == stored


@pytest.mark.parametrize(
    ("arriving", "stored"),
    [
        (r'"a\u0000b"', "a\ufffdb"),
        (r'"\ud83d\ude00 \ud83d \ude00"', "\U0001f600 \ufffd \ufffd"),
        (r'"\\u0000"', r"\u0000"),
        (r'{"\u0000": [1, "\\\u0000"]}', {"\ufffd": [1, "\\\ufffd"]}),
        ("1e300000", "1e300000"),
        ("1" * 140_000, "1" * 140_000),
        ("[" * 20_000 + "]" * 20_000, "[" * 20_000 + "]" * 20_000),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("null", None),
    ],
)
def test_json_that_jsonb_cannot_hold_is_kept_as_near_as_can_be(
    url: str, tmp_path: Path, arriving: str, stored: Any
) -> None:
    with target(tmp_path) as loaded:
        loaded.load([children({"a": [arriving, '{"b": 1}']})])
    rows = query(url, "SELECT row FROM data.report_rows ORDER BY position")
    assert rows == [(stored,), ({"b": 1},)]


def test_keys_are_indexed_after_the_first_load(url: str, tmp_path: Path) -> None:
    with target(tmp_path) as loaded:
        loaded.load([parents([{"id": "a"}]), children({"a": ["1"]})])
    found = dict(query(url, "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'data'"))
    assert found["reports"].startswith("CREATE UNIQUE INDEX")
    assert found["reports"].endswith(f"({WORKSPACE}, id)")
    assert found["report_rows"].endswith(f"({WORKSPACE}, report_id)")
    assert not found["report_rows"].startswith("CREATE UNIQUE")


def test_a_key_too_long_for_an_index_costs_the_index_and_no_row(url: str, tmp_path: Path) -> None:
    noise = random.Random(1)
    long_key = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(9_000))
    with target(tmp_path) as loaded:
        loaded.load([parents([{"id": "a"}])])
        for _ in range(2):
            loaded.load([parents([{"id": long_key}, {"id": "b"}])])
    assert {key for (key,) in query(url, "SELECT id FROM data.reports")} == {"a", "b", long_key}


def test_a_load_is_all_or_nothing(url: str, tmp_path: Path) -> None:
    with target(tmp_path) as loaded:
        loaded.load([parents([{"id": "a", "n": 1}], n="bigint"), children({"a": ["1"]})])
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE data.reports ADD CHECK (n < 5)")
        with pytest.raises(DestinationError, match="violates check constraint") as failure:
            loaded.load([parents([{"id": "a", "n": 9}], n="bigint"), children({"a": ["2"]})])
        assert "Failing row" not in str(failure.value)
    assert query(url, "SELECT row FROM data.report_rows") == [(1,)]


def test_names_that_postgres_would_cut_off_stay_apart(url: str, tmp_path: Path) -> None:
    one, two = "é" * 40 + "_one", "é" * 40 + "_two"
    hints = TableHints("t" * 70, primary_key=(WORKSPACE, "id"))
    types = {"id": "text", WORKSPACE: "text", one: "bigint", two: "text"}
    row = {"id": "a", WORKSPACE: "default", one: 1, two: "x"}
    with target(tmp_path) as loaded:
        for _ in range(2):
            loaded.load([batch(hints, [row], types)])
        [back] = loaded.current_rows("t" * 70, ["id"], [("a",)])
        assert {column.name for column in loaded.columns()} == set(types)
    assert back == row
    [(count,)] = query(url, f'SELECT count(*) FROM data."{short("t" * 70)}"')
    assert count == 1


WIDENINGS = [
    ("bigint", "double", 7, 7.0),
    ("bigint", "json", 7, "7"),
    ("double", "json", 1.5, "1.5"),
    ("text", "json", 'a "b"', r'"a \"b\""'),
    ("bool", "json", True, "true"),
    ("bigint", "text", 7, "7"),
]


@pytest.mark.parametrize(("before", "after", "value", "widened"), WIDENINGS)
def test_a_column_becomes_wider_and_keeps_its_values(
    url: str, tmp_path: Path, before: str, after: str, value: Any, widened: Any
) -> None:
    with target(tmp_path) as loaded:
        loaded.load([parents([{"id": "a", "x": value}, {"id": "b", "x": None}], x=before)])
        loaded.widen("reports", "x", after)
        rows = {
            row["id"]: row["x"] for row in loaded.current_rows("reports", ["id"], [("a",), ("b",)])
        }
    with target(tmp_path) as again:
        assert {c.name: c.data_type for c in again.columns()}["x"] == after
    assert rows == {"a": widened, "b": None}


def test_workspaces_load_beside_each_other(url: str, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run(workspace: str) -> None:
        try:
            for number in range(6):
                with target(tmp_path, workspace) as loaded:
                    rows = [{"id": str(n), f"c{number}": number} for n in range(50)]
                    own = parents(rows, workspace, **{f"c{number}": "bigint"})
                    loaded.load([own, children({"1": ["1"] * number}, workspace)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[f"w{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert query(url, f"SELECT {WORKSPACE}, count(*) FROM data.reports GROUP BY 1 ORDER BY 1") == [
        (f"w{n}", 50) for n in range(4)
    ]
    assert query(url, "SELECT count(*) FROM data.report_rows") == [(20,)]


def test_what_was_dropped_by_hand_is_made_anew(url: str, tmp_path: Path) -> None:
    with target(tmp_path) as loaded:
        loaded.load([parents([{"id": "a", "n": 1}], n="bigint"), children({"a": ["1"]})])
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE data.report_rows")
        connection.execute("ALTER TABLE data.reports DROP COLUMN n")
    with target(tmp_path) as loaded:
        assert not loaded.has_table("report_rows")
        loaded.load([parents([{"id": "a", "n": 2}], n="bigint"), children({"a": ["2"]})])
    assert query(url, "SELECT n FROM data.reports") == [(2,)]
    assert query(url, "SELECT row FROM data.report_rows") == [(2,)]


def test_a_schema_made_by_somebody_else_can_be_used_without_the_right_to_make_one(
    url: str, tmp_path: Path
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE loader LOGIN PASSWORD 'unused'")
        connection.execute("CREATE SCHEMA data AUTHORIZATION loader")
    with in_environment({"DESTINATION__POSTGRES__CREDENTIALS__USERNAME": "loader"}):
        pass
    limited = url.replace("postgres:unused@", "loader:unused@")
    with (
        in_environment({"DESTINATION__POSTGRES__CREDENTIALS": limited}),
        target(tmp_path) as loaded,
    ):
        loaded.load([parents([{"id": "a"}])])
    assert query(url, "SELECT id FROM data.reports") == [("a",)]


def test_a_mark_that_says_nothing_stays_in_a_table_of_somebody_else(
    url: str, tmp_path: Path
) -> None:
    """The table has no row, and the role may do anything with it but change it. No sync fails for that."""
    empty = replace(children({}), rows=children({"a": ["1"]}).rows.slice(0, 0))
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'unused'")
        connection.execute("CREATE SCHEMA data AUTHORIZATION guest")
    limited = url.replace("postgres:unused@", "guest:unused@")
    with in_environment({"DESTINATION__POSTGRES__CREDENTIALS": limited}):
        with target(tmp_path) as loaded:
            loaded.declare([empty])
        with psycopg.connect(url) as connection:
            [(text,)] = query(url, "SELECT schema FROM data._oa_schemas")
            schema = json.loads(text)
            schema["columns"].append({"name": DELETED_AT, "data_type": "timestamp"})
            connection.execute("UPDATE data._oa_schemas SET schema = %s", [json.dumps(schema)])
            connection.execute("ALTER TABLE data.report_rows ADD COLUMN _oa_deleted_at timestamptz")
            connection.execute("ALTER TABLE data.report_rows OWNER TO postgres")
            connection.execute("GRANT ALL ON data.report_rows TO guest")
        with target(tmp_path) as loaded:
            loaded.declare([empty])
    assert query(url, "SELECT _oa_deleted_at FROM data.report_rows") == []


def test_probe_leaves_nothing_behind(url: str, tmp_path: Path) -> None:
    with target(tmp_path) as loaded:
        assert "may make tables" in loaded.probe()
    assert not query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'data'")


def test_a_reader_cannot_write(url: str, tmp_path: Path) -> None:
    with target(tmp_path, read_only=True) as loaded, pytest.raises(DestinationError):
        loaded.load([parents([{"id": "a"}])])


def test_a_child_row_without_null_in_its_list_survives_a_removal_of_another(
    url: str, tmp_path: Path
) -> None:
    with target(tmp_path) as loaded:
        loaded.load([children({"a": ["1", "2"], "b": ["3"]})])
        loaded.load([childless("a"), children({"b": ["4"]})])
    assert query(url, "SELECT report_id, row FROM data.report_rows") == [("b", 4)]


def test_without_credentials_the_message_says_where_they_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ConfigurationError, match="DESTINATION__POSTGRES__CREDENTIALS"),
        target(tmp_path),
    ):
        pass


@pytest.mark.parametrize("written", ["postgres//x:s3cret@h", "s3cret", "postgresql://[s3cret/d"])
def test_credentials_that_are_no_address_are_told_without_repeating_them(
    written: str, tmp_path: Path
) -> None:
    with (
        in_environment({"DESTINATION__POSTGRES__CREDENTIALS": written}),
        pytest.raises(ConfigurationError, match="not an address of PostgreSQL") as caught,
        target(tmp_path),
    ):
        pass
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://postgres@{host}:{port}/{database}",
        "postgresql:///{database}?host={host}&port={port}&user=postgres",
        "postgres://{host}:{port}/{database}?user=postgres",
        "host={host} port={port} dbname={database} user=postgres",
    ],
)
def test_an_address_may_leave_to_libpq_what_libpq_finds_itself(
    form: str, url: str, tmp_path: Path
) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    written = form.format(host=parts["host"], port=parts["port"], database=parts["dbname"])
    with (
        in_environment({"DESTINATION__POSTGRES__CREDENTIALS": written}),
        target(tmp_path) as loaded,
    ):
        loaded.load([parents([{"id": "a"}])])
    assert query(url, "SELECT id FROM data.reports") == [("a",)]


def test_no_password_and_no_row_stands_in_an_error(url: str, tmp_path: Path) -> None:
    wrong = url.replace("/loaded", "/nowhere").replace("unused", "s3cret")
    with (
        in_environment({"DESTINATION__POSTGRES__CREDENTIALS": wrong}),
        pytest.raises(DestinationError) as failure,
        target(tmp_path),
    ):
        pass
    assert "s3cret" not in str(failure.value)


def test_batches_come_back_with_their_types(url: str, tmp_path: Path) -> None:
    types = {"n": "bigint", "x": "double", "b": "bool", "d": "decimal", "j": "json"}
    row = {"id": "a", "n": -(2**63), "x": float("-inf"), "b": False, "j": "[1, 2]"}
    with target(tmp_path) as loaded:
        loaded.load([parents([row, {"id": "b"}], **types)])
        table = pa.Table.from_batches(loaded.batches("reports"))
    kinds = {f.name: (f.metadata or {})[b"data_type"].decode() for f in table.schema}
    assert {name: kinds[name] for name in types} == types
    [back] = [r for r in table.to_pylist() if r["id"] == "a"]
    assert {name: back[name] for name in row} == row
