"""When an object is a map, whose keys are data: each condition of the rule in `learn.py`, at its bound."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.shape.learn import FLATTEN_KEYS, MOST_KEYS, is_map, learn
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.observe import Seen
from oa_sync.shape.schema import Schema
from oa_sync.shape.spec import TableSpec


def seen(*objects: dict[str, Any]) -> Seen:
    """What a batch of rows with these objects at one path shows."""
    found = Seen()
    for each in objects:
        found.look(each, None, 1)
    return found


def fields(count: int, first: int = 0) -> dict[str, int]:
    """`count` keys that read like names of fields."""
    return {f"k{chr(97 + n // 26)}{chr(97 + n % 26)}": n for n in range(first, first + count)}


def ids(count: int) -> dict[str, int]:
    return {f"rpt_{n:012d}": n for n in range(count)}


def columns(*batches: list[Any], **options: Any) -> dict[str, str]:
    """Columns of `things` and their data types, after learning from each batch."""
    schema = Schema(TableSpec("things", key=("id",), **options), LearnedSchema())
    for batch in batches:
        learn(batch, schema)
    return {c.name: c.data_type for c in schema.learned().tables["things"].values()}


# -- 1: each key looks like a field's name ----------------------------------------------------------


@pytest.mark.parametrize("count", [1, 99, 10_000])
def test_1_one_key_like_a_field_among_ids_does_not_make_fields_of_the_ids(count: int) -> None:
    assert is_map(seen({**ids(count), "total": 1}))
    assert is_map(seen({"total": 1, **ids(count)}))
    assert columns([{"m": {"total": 1, **ids(count)}}]) == {"m": "json"}


def test_1_one_id_among_keys_like_fields_makes_a_map_of_all() -> None:
    assert is_map(seen({**fields(20), **ids(1)}))
    assert not is_map(seen(fields(20)))


def test_1_ten_thousand_ids_and_one_key_like_a_field_over_many_rows_are_a_map() -> None:
    rows = [{"m": {key: n, "total": n}} for key, n in ids(10_000).items()]
    assert columns(rows) == {"m": "json"}


# -- 2: at most 100 different keys ------------------------------------------------------------------


@pytest.mark.parametrize(("count", "a_map"), [(FLATTEN_KEYS, False), (FLATTEN_KEYS + 1, True)])
def test_2_at_most_a_hundred_different_keys_are_flattened(count: int, a_map: bool) -> None:
    assert is_map(seen(fields(count))) is a_map
    assert FLATTEN_KEYS == 100


def test_2_the_keys_of_all_rows_count_together() -> None:
    usual = fields(60)
    rows = [{**usual, **fields(14, 60 + 14 * n)} for n in range(3)]
    assert is_map(seen(*rows)), "102 keys, though 180 of their 222 occurrences are usual"
    assert not is_map(seen(*rows[:2]))


# -- 3: only one row, or half of the keys are usual -------------------------------------------------


def test_3_one_row_alone_tells_nothing_about_what_is_usual() -> None:
    assert not is_map(seen({"a": 1, "b": 2}))


def test_3_two_rows_without_a_common_key_are_a_map() -> None:
    assert is_map(seen({"a": 1}, {"b": 1}))


def test_3_a_key_is_usual_if_more_than_half_of_the_rows_have_it() -> None:
    in_half = [{"a": 1}, {"a": 1}, {"b": 1}, {"c": 1}]
    in_more = [{"a": 1}, {"a": 1}, {"a": 1}, {"c": 1}]
    assert is_map(seen(*in_half))
    assert not is_map(seen(*in_more))


def test_3_half_of_all_keys_have_to_be_usual_ones() -> None:
    half = [{"a": 1, "b": 1}, {"a": 1, "c": 1}]
    less = [{"a": 1, "b": 1}, {"a": 1, "c": 1, "d": 1}]
    assert not is_map(seen(*half))
    assert is_map(seen(*less))


def test_3_empty_objects_are_not_counted_as_rows() -> None:
    assert not is_map(seen({"a": 1}, {}, {}))


# -- what is declared, and what was decided ---------------------------------------------------------


def test_an_object_that_is_declared_json_is_a_map_whatever_its_keys() -> None:
    assert columns([{"m": {"total": 1}}], columns={("m",): "json"}) == {"m": "json"}


def test_an_object_with_a_declared_column_inside_is_never_a_map() -> None:
    found = columns([{"m": {**ids(1), "total": 3}}], columns={("m", "total"): "bigint"})
    assert "m" not in found
    assert len(found) == 2
    assert found["m__total"] == "bigint"


def test_a_flattened_object_takes_two_hundred_keys_and_keeps_the_rest_whole() -> None:
    batches = [[{"m": fields(50, first)}] for first in range(0, MOST_KEYS, 50)]
    assert len(columns(*batches)) == MOST_KEYS == 200
    more = columns(*batches, [{"m": fields(1, MOST_KEYS)}])
    assert (len(more), more["m"]) == (MOST_KEYS + 1, "json")


def test_a_further_key_that_is_null_needs_no_column() -> None:
    batches = [[{"m": fields(50, first)}] for first in range(0, MOST_KEYS, 50)]
    assert "m" not in columns(*batches, [{"m": {"beyond": None}}])


def test_rows_take_any_number_of_keys() -> None:
    assert len(columns([fields(MOST_KEYS + 50)])) == MOST_KEYS + 50
