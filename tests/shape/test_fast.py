"""What the fast pass takes by itself, and that what it may not take is not taken wrongly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oa_sync.shape.fast import Unfit, _fields_of_some, fast_parts
from oa_sync.shape.learned import LearnedColumn, LearnedSchema
from oa_sync.shape.schema import Schema
from oa_sync.shape.shaper import Shaped, Shaper
from oa_sync.shape.spec import ChildSpec, TableSpec
from tests.support.json_rows import exact_tables

WIDE = [f"c{first}{second}" for first in "abcdef" for second in "abcdefgh"]


def things(*known: Any, **children: str) -> Shaper:
    specs = {(key,): ChildSpec(table) for key, table in children.items()}
    shaper = Shaper(TableSpec("things", children=specs))
    for row in known:
        take(shaper, row)
    shaper.stats.exact = 0
    return shaper


def take(shaper: Shaper, *rows: Any) -> Shaped:
    """Shape rows given as values or as JSON text; the exact pass makes the same of them."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    ndjson = "".join(line + "\n" for line in lines).encode()
    shaped = shaper.shape(ndjson)
    exact = exact_tables(shaper, ndjson, {})
    assert exact.keys() == shaped.tables.keys()
    assert all(table.equals(shaped.tables[name]) for name, table in exact.items())
    return shaped


def column(shaped: Shaped, name: str, table: str = "things") -> list[Any]:
    return list(shaped.tables[table].column(name).to_pylist())


# --- many columns -----------------------------------------------------------------------------


def schema_of(*keys: str) -> Schema:
    columns = {(key,): LearnedColumn((key,), key, "bigint") for key in keys}
    return Schema(TableSpec("things"), LearnedSchema({"things": columns}))


def fields(*rows: dict[str, int]) -> list[str]:
    ndjson = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return [node.path[-1] for node in _fields_of_some(ndjson, schema_of(*"abcdef").root)]


def test_the_keys_of_the_first_the_middle_and_the_last_row_are_looked_for() -> None:
    assert fields({"f": 1, "new": 1}) == ["f"]
    assert fields({"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}, {"e": 1}) == ["a", "c", "e"]


def test_a_very_long_row_is_not_decoded_to_know_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oa_sync.shape.fast._LONG_ROW", 8)
    assert fields({"a": 1}) == ["a"]
    assert fields({"a": 12}) == list("abcdef")


@pytest.mark.parametrize("number", [0, 1, 50, 99])
def test_a_key_that_one_row_alone_has_is_not_missed(number: int) -> None:
    shaper = things(dict.fromkeys(WIDE, 1))
    rows = [{"caa": i} for i in range(100)]
    rows[number]["cfh"] = 7
    shaped = take(shaper, *rows)
    assert column(shaped, "cfh") == [7 if i == number else None for i in range(100)]
    assert shaper.stats.exact == 0


def test_a_row_that_is_no_json_is_unfit_among_many_columns_too() -> None:
    with pytest.raises(Unfit):
        fast_parts(b'{"caa": nope}\n', 1, schema_of(*WIDE), sorting=False)


def test_rows_of_which_nothing_is_known_are_unfit() -> None:
    with pytest.raises(Unfit, match="nothing is known"):
        fast_parts(b"{}\n", 1, schema_of(), sorting=False)


@pytest.mark.parametrize("key", ["\ud800", "\udfff", "a\udc00é"])
def test_half_a_surrogate_pair_that_an_older_release_learned_as_a_key_is_passed_over(
    key: str,
) -> None:
    learned = LearnedSchema(
        {
            "things": {
                ("é",): LearnedColumn(("é",), "e", "bigint"),
                (key,): LearnedColumn((key,), "k", "bigint"),
                ("o", key): LearnedColumn(("o", key), "o__k", "bigint"),
                ("o", "é"): LearnedColumn(("o", "é"), "o__e", "bigint"),
                ("o",): LearnedColumn(("o",), "o", "json", "rest"),
            }
        }
    )
    shaper = Shaper(TableSpec("things"), learned)
    shaped = take(shaper, {"é": 1, "o": {"é": 2}}, {"o": "x"})
    assert shaped.tables["things"].to_pylist() == [
        {"e": 1, "o__e": 2, "o": None},
        {"e": None, "o__e": None, "o": '"x"'},
    ]
    assert shaper.stats.exact == 0


# --- numbers ----------------------------------------------------------------------------------


def test_small_integers_leave_a_column_free_to_become_double() -> None:
    shaper = things({"a": 1}, {"a": 2}, {"a": -3})
    assert column(take(shaper, {"a": 0.5}), "a") == [0.5]


def test_counts_in_place_of_a_list_keep_every_digit_and_their_kind() -> None:
    shaper = things({"steps": 1}, steps="steps")
    assert column(take(shaper, {"steps": 2**60}), "steps") == [2**60]
    assert shaper.learned.tables["things"][("steps",)].kind == "rest"
    assert column(take(shaper, {"steps": 0.5}), "steps") == ["0.5"]


def test_doubles_in_place_of_a_list_are_never_rounded() -> None:
    shaper = things({"steps": 0.5}, steps="steps")
    assert column(take(shaper, {"steps": 1e300}), "steps") == [1e300]
    assert shaper.learned.tables["things"][("steps",)].kind == "rest"
    assert column(take(shaper, '{"steps": 9007199254740993}'), "steps") == ["9007199254740993"]


# --- empty and mixed --------------------------------------------------------------------------


def test_paths_with_nothing_but_empty_values_stay_fast() -> None:
    shaper = things({"a": []})
    assert column(take(shaper, {"a": {}}, {"a": []}, {"a": None}), "a") == ["{}", "[]", None]
    assert shaper.stats.exact == 0
    assert column(take(shaper, {"a": [1]}, {"a": []}), "a") == ["[1]", "[]"]


MIXED = [
    ({"p": {"x": 1}}, {"p": "odd"}, {"p": {"x": 2}}, "p__x", "things"),
    ({"p": [{"x": 1}]}, {"p": "odd"}, {"p": [{"x": 2}]}, "x", "things__p"),
]


@pytest.mark.parametrize(("usual", "odd", "next_usual", "name", "table"), MIXED)
def test_a_mixed_path_is_fast_with_one_kind_the_other_and_both(
    usual: Any, odd: Any, next_usual: Any, name: str, table: str
) -> None:
    shaper = things(usual, odd)
    assert column(take(shaper, next_usual), name, table) == [2]
    assert column(take(shaper, odd), "p") == ['"odd"']
    both = take(shaper, odd, next_usual, {"p": None})
    assert column(both, "p") == ['"odd"', None, None]
    assert [x for x in column(both, name, table) if x is not None] == [2]
    assert shaper.stats.exact == 0


def test_an_empty_list_at_an_object_is_nothing_until_something_comes() -> None:
    shaper = things({"o": {"a": 1}}, {"o": []})
    shaped = take(shaper, {"o": []}, {"o": {"a": 2}})
    assert shaped.tables["things"].to_pylist() == [{"o__a": None}, {"o__a": 2}]
    assert shaper.stats.exact == 0
    assert column(take(shaper, {"o": "x"}, {"o": {"a": 3}}), "o") == ['"x"', None]


def test_a_key_that_reads_like_the_mark_of_elements_is_left_to_the_exact_pass() -> None:
    shaper = Shaper(TableSpec("things", columns={("[]",): "json"}))
    rows = take(shaper, '{"[]": 5}', "{}", '{"[]": 7}').tables["things"].to_pylist()
    assert [list(row.values()) for row in rows] == [["5"], [None], ["7"]]
