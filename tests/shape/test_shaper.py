"""One batch after another: what the tables hold, which pass made them, and what is told of drift."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.errors import ConfigurationError
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.shaper import EXACT_ROWS, Drift, Shaped, Shaper
from oa_sync.shape.spec import ChildSpec, TableSpec
from tests.support import json_rows

RUNS = TableSpec(
    "agent_runs",
    key=("id",),
    children={
        ("steps",): ChildSpec(
            "agent_run_steps",
            ("run_id",),
            children={("tool_calls",): ChildSpec("agent_run_tool_calls", ("run_id",))},
        )
    },
    constants={"_oa_workspace": "default"},
)


def things(**columns: str) -> Shaper:
    return Shaper(TableSpec("things", columns={(name,): t for name, t in columns.items()}))


def shape(shaper: Shaper, *rows: Any) -> Shaped:
    """Shape rows given as values or, where the text matters, as JSON text; both passes agree."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    ndjson = "".join(line + "\n" for line in lines).encode()
    shaped = shaper.shape(ndjson)
    exact = json_rows.exact_tables(shaper, ndjson, {})
    assert exact.keys() == shaped.tables.keys()
    assert all(table.equals(shaped.tables[name]) for name, table in exact.items())
    return shaped


def column(shaped: Shaped, name: str, table: str = "things") -> list[Any]:
    return list(shaped.tables[table].column(name).to_pylist())


# --- tables -----------------------------------------------------------------------------------


def test_a_run_becomes_three_tables_with_natural_keys() -> None:
    run = {
        "id": "run_1",
        "usage": {"input_tokens": 5},
        "steps": [
            {"thought": "a", "tool_calls": [{"name": "ls"}, {"name": "cat"}]},
            {"thought": "b", "tool_calls": []},
            {"thought": "c", "tool_calls": [{"name": "vi"}]},
        ],
    }
    tables = shape(Shaper(RUNS), run, {"id": "run_2", "usage": None, "steps": []}).tables
    assert list(tables) == ["agent_runs", "agent_run_steps", "agent_run_tool_calls"]
    assert tables["agent_runs"].to_pylist() == [
        {"id": "run_1", "usage__input_tokens": 5, "_oa_workspace": "default"},
        {"id": "run_2", "usage__input_tokens": None, "_oa_workspace": "default"},
    ]
    assert tables["agent_run_steps"].drop_columns(["_oa_workspace"]).to_pylist() == [
        {"run_id": "run_1", "position": 0, "thought": "a"},
        {"run_id": "run_1", "position": 1, "thought": "b"},
        {"run_id": "run_1", "position": 2, "thought": "c"},
    ]
    assert tables["agent_run_tool_calls"].drop_columns(["_oa_workspace"]).to_pylist() == [
        {"run_id": "run_1", "step_position": 0, "position": 0, "name": "ls"},
        {"run_id": "run_1", "step_position": 0, "position": 1, "name": "cat"},
        {"run_id": "run_1", "step_position": 2, "position": 0, "name": "vi"},
    ]


def test_columns_from_outside_belong_to_the_rows_and_their_names_to_nobody_else() -> None:
    shaper = Shaper(TableSpec("report_rows", key=("report_id", "position")))
    extras = {"report_id": pa.array(["r", "r"]), "position": pa.array([5, 6])}
    rows = b'{"position": "left", "tags": [{"n": 1}]}\n{"report_id": 7}\n'
    tables = shaper.shape(rows, extras).tables
    assert tables["report_rows"].to_pylist() == [
        {"report_id": "r", "position": 5, "field_position": "left", "field_report_id": None},
        {"report_id": "r", "position": 6, "field_position": None, "field_report_id": 7},
    ]
    assert tables["report_rows__tags"].to_pylist() == [
        {"report_id": "r", "report_row_position": 5, "position": 0, "n": 1}
    ]


def test_an_extra_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="'n' has 1 values for 2 rows"):
        things().shape(b"{}\n{}\n", {"n": pa.array([1])})


def test_an_extra_that_rows_had_before_is_refused() -> None:
    shaper = things()
    shape(shaper, {"n": 1})
    with pytest.raises(ConfigurationError, match="'n' is given from outside"):
        shaper.shape(b'{"n": 1}\n', {"n": pa.array([1])})


def test_two_lists_cannot_share_a_table() -> None:
    children = {("a",): ChildSpec("parts"), ("b",): ChildSpec("parts")}
    with pytest.raises(ConfigurationError, match="'parts'"):
        Shaper(TableSpec("things", children=children))


def test_no_rows_give_no_tables() -> None:
    assert things().shape(b"").tables == {}


def test_columns_and_tables_without_a_value_in_the_batch_are_left_out() -> None:
    shaper = things()
    shape(shaper, {"a": 1, "parts": [{"x": 1}]})
    shaped = shape(shaper, {"a": None, "b": "x", "parts": []})
    assert list(shaped.tables) == ["things"]
    assert shaped.tables["things"].column_names == ["b"]


# --- types ------------------------------------------------------------------------------------


def test_json_cells_keep_the_exact_text() -> None:
    shaped = shape(things(j="json"), '{"j": {"b":1.50,  "a" : "\\u00e9"} }', '{"j":"x"}', "{}")
    assert column(shaped, "j") == ['{"b":1.50,  "a" : "\\u00e9"}', '"x"', None]


def test_numbers_beyond_their_type_keep_every_digit() -> None:
    shaped = shape(things(), '{"a": 9223372036854775808}', '{"a": 1}', '{"b": 1e400}')
    assert column(shaped, "a") == ["9223372036854775808", "1", None]
    assert column(shaped, "b") == [None, None, "1e400"]
    thousands = "7" * 6000
    assert column(shape(things(), f'{{"a": {thousands}}}'), "a") == [thousands]


def test_a_large_integer_in_a_column_of_doubles_is_never_rounded() -> None:
    shaper = things()
    assert column(shape(shaper, {"a": 1}, {"a": 0.5}), "a") == [1.0, 0.5]
    assert column(shape(shaper, '{"a": 9007199254740993}'), "a") == ["9007199254740993"]


def test_a_bigint_that_held_a_large_integer_does_not_become_double() -> None:
    shaper = things()
    shape(shaper, {"a": 1})
    shape(shaper, {"a": 2**53 + 1})
    restarted = Shaper(TableSpec("things"), shaper.learned)
    for one in (shaper, restarted):
        assert column(shape(one, {"a": 1.5}), "a") == ["1.5"]


def test_large_doubles_stay_doubles_and_on_the_fast_path() -> None:
    shaper = things()
    shape(shaper, {"a": 0.5})
    assert column(shape(shaper, '{"a": 1e300}', '{"a": -2}', "{}"), "a") == [1e300, -2.0, None]
    assert column(shape(shaper, '{"a": 1.5e17}'), "a") == [1.5e17]
    assert shaper.stats.exact == 0
    assert column(shape(shaper, '{"a": 9007199254740993}'), "a") == ["9007199254740993"]


def test_declared_decimals_and_dates() -> None:
    shaper = things(price="decimal", day="date")
    shaped = shape(shaper, '{"price": 0.10, "day": "2024-02-29"}', '{"price": "1e2"}')
    assert column(shaped, "price") == [Decimal("0.100000000"), Decimal("100.000000000")]
    assert column(shaped, "day") == [date(2024, 2, 29), None]
    shaped = shape(shaper, '{"price": 0.12345678901, "day": "someday"}')
    assert column(shaped, "price") == ["0.12345678901"]
    assert column(shaped, "day") == ["someday"]


def test_one_unreadable_time_makes_the_whole_column_text() -> None:
    shaper = things()
    shaped = shape(shaper, {"seen_at": "2024-01-31T01:00:00+01:00"}, {"seen_at": None})
    assert column(shaped, "seen_at") == [datetime(2024, 1, 31, tzinfo=UTC), None]
    shaped = shape(shaper, {"seen_at": "2024-01-31T00:00:00Z"}, {"seen_at": "never"})
    assert column(shaped, "seen_at") == ["2024-01-31T00:00:00Z", "never"]
    assert shaped.drift == (Drift("things", "seen_at", ("seen_at",), "timestamp", "text"),)
    assert column(shape(shaper, {"seen_at": "2024-01-31T00:00:00Z"}), "seen_at") == [
        "2024-01-31T00:00:00Z"
    ]


def test_strings_that_look_like_dates_stay_text() -> None:
    shaper = things()
    shaped = shape(shaper, {"d": "2024-01-31"}, {"d": "2024-01-31T00:00:00Z"})
    assert column(shaped, "d") == ["2024-01-31", "2024-01-31T00:00:00Z"]


# --- values of another kind -------------------------------------------------------------------


def test_what_is_no_object_where_objects_are_flattened_is_kept_as_json() -> None:
    shaper = things()
    shape(shaper, {"o": {"a": 1}})
    shaped = shape(shaper, {"o": "gone"}, {"o": [1, 2]}, {"o": {"a": 2}}, {"o": []}, {"o": {}})
    assert column(shaped, "o") == ['"gone"', "[1, 2]", None, None, None]
    assert column(shaped, "o__a") == [None, None, 2, None, None]
    assert shaped.drift == (Drift("things", "o", ("o",), None, "json"),)
    assert shaper.stats.exact == 0


def test_what_is_no_list_where_a_table_was_made_is_kept_as_json() -> None:
    shaper = things()
    shape(shaper, {"parts": [{"x": 1}]})
    shaped = shape(shaper, {"parts": {"x": 2}}, {"parts": [{"x": 3}]}, {"parts": {}})
    assert column(shaped, "parts") == ['{"x": 2}', None, None]
    assert column(shaped, "x", "things__parts") == [3]


def test_a_count_in_place_of_a_declared_list_is_a_typed_column() -> None:
    shaper = Shaper(RUNS)
    listed = shape(shaper, {"id": "run_1", "steps": 12}, {"id": "run_2", "steps": None})
    assert column(listed, "steps", "agent_runs") == [12, None]
    assert listed.tables["agent_runs"].schema.field("steps").type == pa.int64()
    detail = shape(shaper, {"id": "run_1", "steps": [{"thought": "a"}]}, {"id": "r", "steps": 3})
    assert column(detail, "thought", "agent_run_steps") == ["a"]
    assert column(detail, "steps", "agent_runs") == [None, 3]
    assert column(shape(shaper, {"steps": "many"}), "steps", "agent_runs") == ['"many"']


def test_elements_that_are_no_objects_are_rows_with_a_value() -> None:
    shaped = shape(Shaper(RUNS), {"id": "r", "steps": ["plain", None, {"thought": "x"}, 7]})
    assert column(shaped, "position", "agent_run_steps") == [0, 1, 2, 3]
    assert column(shaped, "value", "agent_run_steps") == ['"plain"', None, None, "7"]
    assert column(shaped, "thought", "agent_run_steps") == [None, None, "x", None]


def test_empty_lists_are_kept_until_there_is_something_better() -> None:
    shaper = things()
    assert column(shape(shaper, {"parts": []}, {"parts": {}}), "parts") == ["[]", "{}"]
    shaped = shape(shaper, {"parts": [{"x": 1}]})
    assert column(shaped, "x", "things__parts") == [1]


def test_keys_beyond_the_two_hundredth_keep_the_whole_object() -> None:
    def keys(first: int) -> dict[str, int]:
        return {f"k{chr(97 + i // 26)}{chr(97 + i % 26)}": i for i in range(first, first + 100)}

    shaper = things()
    shape(shaper, {"m": keys(0)})
    shape(shaper, {"m": keys(100)})
    whole = {"kaa": 1, "kzz": 2}
    shaped = shape(shaper, {"m": whole}, {"m": {"kaa": 3}})
    assert column(shaped, "m") == [json.dumps(whole), None]
    assert column(shaped, "m__kaa") == [1, 3]
    assert "m__kzz" not in shaped.tables["things"].column_names


def test_a_row_that_is_no_object_is_kept() -> None:
    shaped = shape(things(), "null", {"a": 1}, [1, 2], '"text"')
    assert column(shaped, "value") == [None, None, "[1, 2]", '"text"']


@given(st.lists(json_rows.values, min_size=1, max_size=5), st.booleans())
def test_any_json_values_pass_as_rows(rows: list[Any], learned: bool) -> None:
    shaper = things()
    if learned:
        shape(shaper, {"a": 1, "x": "y"})
    ndjson = json_rows.ndjson(rows)
    shaped = shaper.shape(ndjson)
    exact = json_rows.exact_tables(shaper, ndjson, {})
    assert {name: t.to_pylist() for name, t in shaped.tables.items()} == {
        name: t.to_pylist() for name, t in exact.items()
    }


# --- texts the parser refuses -----------------------------------------------------------------


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    shaper = things(j="json")
    shape(shaper, {"a": 1, "j": 1})
    shaped = shape(shaper, '{"a": 1, "j": [1], "a": 2, "j": [2]}')
    assert column(shaped, "a") == [2]
    assert column(shaped, "j") == ["[2]"]


def test_half_a_surrogate_pair_is_replaced() -> None:
    shaped = shape(things(), r'{"a": "x\ud800y", "k\udc00": 1, "b": "\ud83d\ude00\u0000"}')
    assert column(shaped, "a") == ["x\ufffdy"]
    assert shaped.mended == (0,)
    assert column(shaped, "b") == ["\U0001f600\x00"]
    assert 1 in shaped.tables["things"].to_pylist()[0].values()


@pytest.mark.parametrize("levels", [20, 600, 10_000])
def test_any_depth_is_one_json_cell(levels: int) -> None:
    deep = "[" * levels + '"]"' + "]" * levels
    objects = '{"k":' * levels + "1" + "}" * levels
    shaper = things()
    for _ in range(2):
        shaped = shape(shaper, f'{{"a": {deep}, "b": 1}}', f'{{"o": {objects}}}')
        assert column(shaped, "a") == [deep, None]
        (cell,) = (c for c in shaped.tables["things"].column_names if c.startswith("o__k"))
        assert column(shaped, cell)[1] == objects[5 * 11 : -11]


def test_rows_of_thousands_of_columns() -> None:
    shaped = shape(things(), {f"column {i}": i for i in range(2500)})
    assert shaped.tables["things"].num_columns == 2500
    assert column(shaped, "column_2499") == [2499]


@pytest.mark.parametrize("line", ['{"a": NaNs}', '{"a": 1', "", '{"a": 1} {"a": 2}', '{"a": 01}'])
def test_what_is_not_json_is_refused_with_its_place(line: str) -> None:
    shaper = things()
    shape(shaper, {"a": 1.5})
    with pytest.raises(InvalidJsonError, match=r"row 1: .*at byte 9"):
        shaper.shape(f'{{"a": 1}}\n{line}\n'.encode())


# --- passes -----------------------------------------------------------------------------------


def test_the_usual_case_is_fast() -> None:
    shaper = Shaper(RUNS)
    for batch in range(3):
        rows = [
            {
                "id": f"run_{batch}_{i}",
                "created_at": "2024-01-31T00:00:00Z",
                "error": None,
                "usage": {"tokens": i},
                "steps": [{"n": i, "tool_calls": [{"arguments": ["x", i]}]}],
            }
            for i in range(100)
        ]
        shape(shaper, *rows)
    assert (shaper.stats.fast, shaper.stats.exact) == (300, 0)


def test_one_odd_row_slows_down_only_its_neighbours() -> None:
    shaper = things()
    rows: list[Any] = [{"a": i, "b": f"text {i}", "parts": [{"x": i}]} for i in range(5000)]
    rows[3210] = r'{"a": 1, "b": "\ud800"}'
    shaped = shape(shaper, *rows)
    assert column(shaped, "b")[3210] == "\ufffd"
    assert column(shaped, "b")[4999] == "text 4999"
    assert shaped.tables["things__parts"].num_rows == 4999
    assert shaper.stats.exact <= 64
    assert shaper.stats.fast + shaper.stats.exact == 5000
    assert shaped.mended == (3210,)


def test_a_type_that_changes_late_in_a_large_batch_is_found() -> None:
    shaper = things()
    shape(shaper, {"a": 1, "b": 1})
    rows: list[Any] = [{"a": i, "b": 1} for i in range(5000)]
    rows[4321] = {"a": 0.5, "b": "x", "new": True}
    shaped = shape(shaper, *rows)
    assert column(shaped, "a")[4321] == 0.5
    assert column(shaped, "b")[4320:4323] == ["1", '"x"', "1"]
    assert shaper.stats.exact == 0
    assert [(d.column, d.before, d.after) for d in shaped.drift] == [
        ("a", "bigint", "double"),
        ("b", "bigint", "json"),
        ("new", None, "bool"),
    ]


def test_many_sets_of_columns_in_one_table_stay_fast_and_lean() -> None:
    shaper = things()
    for report in range(60):
        rows = [{f"r{report}_{c}": i for c in range(3)} for i in range(50)]
        assert shape(shaper, *rows).tables["things"].num_columns == 3
    assert shaper.stats.exact == 0
    assert len(shaper.learned.columns("things")) == 180


def test_the_first_batch_only_teaches_and_a_known_one_is_no_news() -> None:
    shaper = things()
    assert shape(shaper, {"a": 1}).drift == ()
    assert shape(shaper, {"a": 2}).drift == ()
    again = Shaper(TableSpec("things"), shaper.learned)
    assert shape(again, {"a": 1}).drift == ()
    assert [d.column for d in shape(again, {"b": 1}).drift] == ["b"]


def test_what_was_learned_comes_back_from_the_column_hints() -> None:
    shaper = Shaper(RUNS)
    shape(shaper, {"id": "r", "fooBar": 1, "foo_bar": 2, "steps": [{"x": {"y": 1}}], "n": [{}]})
    columns = [
        (table, c.name, c.data_type, c.hint())
        for table, found in shaper.learned.tables.items()
        for c in found.values()
    ]
    outside = [("agent_runs", "_oa_version", "text", None), ("agent_runs", "x", "text", "?")]
    assert LearnedSchema.from_columns([*columns, *outside]) == shaper.learned


def test_only_the_rows_around_the_cause_take_the_exact_pass() -> None:
    shaper = things()
    lines = [f'{{"a": {i}}}' for i in range(500)]
    lines[321] = '{"a": 1, "a": 2}'
    shaped = shaper.shape(("\n".join(lines) + "\n").encode(), {"n": pa.array(range(500))})
    assert column(shaped, "a") == [2 if i == 321 else i for i in range(500)]
    assert column(shaped, "n") == list(range(500))
    assert 0 < shaper.stats.exact <= EXACT_ROWS
    assert shaper.stats.fast + shaper.stats.exact == 500


def test_a_first_row_that_is_null_is_one_row_without_values() -> None:
    shaped = shape(things(), "null", {"a": 1}, {"a": 2})
    assert column(shaped, "a") == [None, 1, 2]


def test_nothing_is_new_where_nothing_was_known() -> None:
    shaper = Shaper(TableSpec("things"), LearnedSchema())
    assert shape(shaper, {"a": 1}).drift == ()


def test_what_does_not_fit_is_told_once() -> None:
    shaper = things()
    shape(shaper, {"o": {"a": 1}})
    assert [d.column for d in shape(shaper, {"o": "x"}).drift] == ["o"]
    assert [d.column for d in shape(shaper, {"o": "y", "b": 1}).drift] == ["b"]


def test_an_empty_value_that_becomes_an_object_is_told() -> None:
    shaper = things()
    shape(shaper, {"o": []})
    assert [d.column for d in shape(shaper, {"o": {"a": 1}}).drift] == ["o", "o__a"]


def test_the_last_line_may_lack_its_end() -> None:
    assert column(things().shape(b'{"a": 1}\n{"a": 2}'), "a") == [1, 2]


def test_a_list_of_nulls_alone_makes_no_table() -> None:
    shaped = shape(things(), {"a": [None]}, {"b": [{"x": 1}, None]})
    assert list(shaped.tables) == ["things", "things__b"]
    assert column(shaped, "a") == ["[null]", None]
