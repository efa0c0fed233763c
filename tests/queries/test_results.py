"""Results in tables: replaced whole, appended whole, merged by key, typed by all their values."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.errors import ConfigurationError, InvalidResponseError
from oa_sync.settings import Settings
from tests.queries.loading import load, settings, table_of
from tests.support.postgres import Postgres
from tests.support.properties import examples


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.create_database("results")
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    return settings(request.param, tmp_path)


@pytest.fixture
def lake(tmp_path: Path) -> Settings:
    return settings("parquet", tmp_path)


def numbered(rows: list[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    return [{"position": first + n, **row} for n, row in enumerate(rows)]


def test_a_new_result_replaces_all_rows_of_the_old_one(place: Settings) -> None:
    load(place, [{"a": n} for n in range(7)])
    loaded = load(place, [{"a": 70}, {"a": 71}, {"a": 72}])
    assert table_of(place) == numbered([{"a": 70}, {"a": 71}, {"a": 72}])
    assert (loaded.count, loaded.rows) == (3, {"query_x": 3})


def test_an_empty_result_empties_the_table(place: Settings) -> None:
    load(place, [])
    assert table_of(place) == []
    load(place, [{"a": 1}])
    load(place, [])
    assert table_of(place) == []
    load(place, [{"a": 2}])
    assert table_of(place) == numbered([{"a": 2}])


def test_appended_results_go_on_counting_and_a_replaced_one_removes_them_all(
    place: Settings,
) -> None:
    load(place, [{"a": 1}, {"a": 2}, {"a": 3}], "append")
    load(place, [{"a": 4}, {"a": 5}], "append")
    load(place, [], "append")
    load(place, [{"a": 6}], "append")
    assert table_of(place) == numbered([{"a": n} for n in range(1, 7)])
    load(place, [{"a": 9}])
    assert table_of(place) == numbered([{"a": 9}])


def test_merged_rows_replace_those_with_their_key_and_the_last_of_a_result_wins(
    place: Settings,
) -> None:
    rows = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}]
    load(place, rows, "merge", key=("id",))
    load(place, [{"id": 2, "v": "d"}, {"id": 3, "v": "e"}], "merge", key=("id",))
    load(place, [], "merge", key=("id",))
    found = sorted(table_of(place), key=lambda row: row["id"])
    assert found == [{"id": 1, "v": "c"}, {"id": 2, "v": "d"}, {"id": 3, "v": "e"}]


def test_merging_without_a_key_value_loads_nothing(lake: Settings) -> None:
    with pytest.raises(InvalidResponseError, match="1 of 3 rows have no id"):
        load(lake, [{"id": 1}, {"id": None, "v": 1}, {"id": 2}], "merge", key=("id",))
    assert table_of(lake) == []


def test_workspaces_share_a_table_and_leave_each_other_alone(
    place: Settings, tmp_path: Path
) -> None:
    other = settings(place.destination, tmp_path, "other")
    load(place, [{"a": 1}, {"a": 2}], "append")
    load(other, [{"a": 10}], "append")
    load(other, [{"a": 11}])
    load(place, [{"a": 3}], "append")
    assert table_of(place) == numbered([{"a": 1}, {"a": 2}, {"a": 3}])
    assert table_of(other) == numbered([{"a": 11}])


def test_lists_of_objects_become_a_table_that_goes_with_its_rows(place: Settings) -> None:
    load(place, [{"a": 1, "l": [{"b": 1}, {"b": 2}]}, {"a": 2, "l": [{"b": 3}]}], "append")
    load(place, [{"a": 3, "l": [{"b": 4}]}], "append")
    assert [list(row.values()) for row in table_of(place, "query_x__l")] == [
        [0, 0, 1],
        [0, 1, 2],
        [1, 0, 3],
        [2, 0, 4],
    ]
    load(place, [{"a": 3, "l": [{"b": 5}]}])
    assert [list(row.values()) for row in table_of(place, "query_x__l")] == [[0, 0, 5]]
    load(place, [{"a": 3, "l": []}])
    assert table_of(place, "query_x__l") == []
    assert table_of(place) == numbered([{"a": 3}])


def test_merged_rows_lose_the_child_rows_that_they_no_longer_have(place: Settings) -> None:
    first = [{"id": n, "l": [{"b": n}, {"b": n}]} for n in (1, 2, 3)]
    load(place, first, "merge", key=("id",))
    load(place, [{"id": 1, "l": [{"b": 9}]}, {"id": 2, "l": []}], "merge", key=("id",))
    found = table_of(place, "query_x__l")
    assert sorted((row["query_x_id"], row["b"]) for row in found) == [(1, 9), (3, 3), (3, 3)]


def test_a_type_is_what_all_values_of_the_result_need(place: Settings) -> None:
    rows: list[dict[str, Any]] = [
        {"n": 1, "d": "2026-01-01", "t": "2026-01-01T10:00:00Z", "x": "2026-01-01"},
        {"n": 2, "d": None, "t": "2026-01-01 12:00:00.5+02:00"},
        {"n": 2.5, "d": "2026-01-03", "t": None, "x": "soon"},
    ]
    load(place, rows, block=1)
    [one, two, three] = table_of(place)
    assert [one["n"], two["n"], three["n"]] == [1.0, 2.0, 2.5]
    assert one["d"] == date(2026, 1, 1)
    assert one["t"] == two["t"].replace(microsecond=0) == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert (one["x"], three["x"]) == ("2026-01-01", "soon")


def test_a_column_widens_with_a_later_result_and_says_so(place: Settings) -> None:
    load(place, [{"n": 1, "d": "2026-01-01"}], "append")
    loaded = load(place, [{"n": 0.5, "d": "soon"}], "append")
    assert table_of(place) == numbered([{"n": 1.0, "d": "2026-01-01"}, {"n": 0.5, "d": "soon"}])
    changes = {(change["column"], change["before"], change["after"]) for change in loaded.drift}
    assert changes == {("n", "bigint", "double"), ("d", "date", "text")}


def test_names_of_the_result_that_are_ours_keep_their_values(lake: Settings) -> None:
    load(lake, [{"position": 7, "_oa_result": 8, "_dlt_id": 9, "Total (US)": 1}])
    assert table_of(lake) == [
        {
            "position": 0,
            "field_position": 7,
            "field_oa_result": 8,
            "field_dlt_id": 9,
            "total_usx": 1,
        }
    ]


@pytest.mark.parametrize("row", [[1], 1, None, "text"])
def test_a_row_that_is_no_object_leaves_the_table_as_it_was(lake: Settings, row: Any) -> None:
    load(lake, [{"a": 1}])
    with pytest.raises(InvalidResponseError, match="row 3 of the result is not an object"):
        load(lake, [{"a": 2}, {"a": 3}, {"a": 4}, row])
    assert table_of(lake) == numbered([{"a": 1}])


def test_a_table_is_loaded_by_position_or_by_key_but_not_both(lake: Settings) -> None:
    load(lake, [{"id": 1}])
    with pytest.raises(ConfigurationError, match="loaded by position already"):
        load(lake, [{"id": 1}], "merge", key=("id",))
    load(lake, [{"id": 1}], "merge", key=("id",), table="query_y")
    with pytest.raises(ConfigurationError, match="loaded by primary key already"):
        load(lake, [{"id": 1}], table="query_y")


RESULTS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "append"]),
        st.lists(
            st.fixed_dictionaries(
                {"a": st.integers(0, 9)},
                optional={"l": st.lists(st.fixed_dictionaries({"b": st.integers(0, 9)}))},
            ),
            max_size=5,
        ),
    ),
    max_size=4,
)


@examples(8)
@given(RESULTS)
def test_any_order_of_results_leaves_what_a_list_would_hold(results: list[Any]) -> None:
    expected: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        lake = settings("parquet", Path(folder))
        for disposition, rows in results:
            load(lake, rows, disposition)
            expected = rows if disposition == "replace" else expected + rows
        assert [row["a"] for row in table_of(lake)] == [row["a"] for row in expected]
        assert [row["b"] for row in table_of(lake, "query_x__l")] == [
            item["b"] for row in expected for item in row.get("l", ())
        ]
