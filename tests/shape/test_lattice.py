"""Which type holds every value that a column has had."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.lattice import (
    BOOL,
    EMPTY_LIST,
    EMPTY_OBJECT,
    FLOAT,
    HUGE,
    INT,
    LARGE,
    LIST,
    OBJECT,
    OBJECTS,
    TEXT,
    scalar_mask,
    widened,
    widened_key,
)

TYPES = (None, "bool", "bigint", "double", "text", "timestamp", "date", "decimal", "json")
NESTED = (OBJECT, OBJECTS, LIST, EMPTY_OBJECT, EMPTY_LIST)
masks = st.integers(0, 2 * EMPTY_LIST - 1)


@pytest.mark.parametrize(
    ("value", "mask"),
    [
        (None, 0),
        (True, BOOL),
        (False, BOOL),
        (0, INT),
        (2**53, INT),
        (-(2**53), INT),
        (2**53 + 1, INT | LARGE),
        (-(2**53) - 1, INT | LARGE),
        (2**63 - 1, INT | LARGE),
        (-(2**63), INT | LARGE),
        (2**63, HUGE),
        (-(2**63) - 1, HUGE),
        (0.5, FLOAT),
        (math.inf, HUGE),
        (-math.inf, HUGE),
        (Decimal("1e400"), HUGE),
        ("", TEXT),
    ],
)
def test_each_scalar_has_its_mask(value: Any, mask: int) -> None:
    assert scalar_mask(value) == mask


@given(st.sampled_from(TYPES), st.booleans())
def test_null_changes_no_type(current: str | None, large: bool) -> None:
    assert widened(current, large, 0) == current


@given(st.booleans(), masks)
def test_json_holds_everything(large: bool, mask: int) -> None:
    assert widened("json", large, mask) == "json"


@pytest.mark.parametrize(
    ("current", "mask", "data_type"),
    [
        (None, BOOL, "bool"),
        (None, INT, "bigint"),
        (None, INT | LARGE, "bigint"),
        (None, FLOAT, "double"),
        (None, INT | FLOAT, "double"),
        (None, INT | LARGE | FLOAT, "json"),
        (None, TEXT, "text"),
        (None, HUGE, "json"),
        (None, HUGE | INT, "json"),
        (None, BOOL | INT, "json"),
        (None, TEXT | INT, "json"),
        ("bool", BOOL, "bool"),
        ("bool", INT, "json"),
        ("bool", TEXT, "json"),
        ("bigint", INT | LARGE, "bigint"),
        ("bigint", FLOAT, "double"),
        ("bigint", INT | LARGE | FLOAT, "json"),
        ("bigint", HUGE, "json"),
        ("bigint", BOOL, "json"),
        ("bigint", TEXT, "json"),
        ("double", INT, "double"),
        ("double", FLOAT, "double"),
        ("double", INT | LARGE, "json"),
        ("double", HUGE, "json"),
        ("text", TEXT, "text"),
        ("text", INT, "json"),
        ("timestamp", TEXT, "timestamp"),
        ("timestamp", INT, "json"),
        ("date", TEXT, "date"),
        ("date", BOOL, "json"),
        *((current, mask, "json") for current in TYPES for mask in NESTED),
        *((current, mask | TEXT, "json") for current in (None, "text") for mask in NESTED),
    ],
)
def test_a_type_widens_to_the_next_that_holds_both(
    current: str | None, mask: int, data_type: str
) -> None:
    assert widened(current, False, mask) == data_type


@pytest.mark.parametrize("current", ["bigint", None])
def test_no_double_takes_the_place_of_an_integer_that_it_cannot_hold(current: str | None) -> None:
    assert widened(current, True, FLOAT) == "json"
    assert widened(current, True, INT) == "bigint"


@pytest.mark.parametrize("mask", [INT, INT | LARGE, HUGE, FLOAT, TEXT, TEXT | HUGE | FLOAT])
def test_a_declared_decimal_stays_one_for_numbers_and_texts(mask: int) -> None:
    """The cast decides, which sees the digits."""
    assert widened("decimal", False, mask) == "decimal"


@pytest.mark.parametrize("mask", [BOOL, BOOL | INT, *NESTED])
def test_a_declared_decimal_holds_nothing_else(mask: int) -> None:
    assert widened("decimal", False, mask) == "json"


@given(st.lists(st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans(), max_size=6))
def test_the_type_of_scalars_does_not_depend_on_their_order(values: list[Any]) -> None:
    def in_turn(order: list[Any]) -> str | None:
        current, large = None, False
        for value in order:
            mask = scalar_mask(value)
            current, large = widened(current, large, mask), large or bool(mask & LARGE)
        return current

    assert in_turn(values) == in_turn(values[::-1]) == in_turn(sorted(values, key=str))


@pytest.mark.parametrize(
    ("current", "mask", "data_type"),
    [
        (None, INT, "bigint"),
        ("bigint", INT | LARGE, "bigint"),
        (None, TEXT, "text"),
        ("text", TEXT, "text"),
        ("timestamp", TEXT, "timestamp"),
        ("double", FLOAT, "double"),
        ("double", INT, "double"),
        ("decimal", INT | FLOAT, "decimal"),
        ("text", 0, "text"),
        (None, 0, None),
        # of two kinds, or neither a text nor a whole number: a text
        ("bigint", TEXT, "text"),
        ("text", INT, "text"),
        (None, INT | TEXT, "text"),
        ("bigint", FLOAT, "text"),
        (None, FLOAT, "text"),
        (None, BOOL, "text"),
        (None, HUGE, "text"),
        ("timestamp", INT, "text"),
        ("decimal", BOOL, "text"),
        # what is no scalar, and what was json before
        (None, OBJECT, "json"),
        ("bigint", LIST, "json"),
        ("text", EMPTY_LIST, "json"),
        ("text", OBJECT | TEXT, "json"),
        ("json", INT, "json"),
        ("json", TEXT, "json"),
    ],
)
def test_a_key_of_scalars_becomes_text_where_another_column_becomes_json(
    current: str | None, mask: int, data_type: str | None
) -> None:
    assert widened_key(current, False, mask) == data_type


def test_a_key_that_was_double_holds_large_integers_as_text() -> None:
    assert widened_key("double", False, INT | LARGE) == "text"
