"""Whole columns: which numbers a double holds, and values put back in their rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from oa_sync.shape.arrays import are_exact, exact_doubles, expanded, has_large

LARGEST = 2**53


@pytest.mark.parametrize(
    ("values", "exact"),
    [
        ([0.5, None, -1.0], True),
        ([float(LARGEST - 1), -float(LARGEST - 1)], True),
        ([1.0, float(LARGEST)], False),
        ([1.0, -float(LARGEST)], False),
        ([1.0, float("inf")], False),
        ([1.0, float("nan")], False),
    ],
)
def test_doubles_below_the_largest_exact_one_are_exact(values: list[Any], exact: bool) -> None:
    assert are_exact(pa.array(values, pa.float64())) is exact


@pytest.mark.parametrize(
    ("texts", "doubles"),
    [
        (["0.5", None, "-3", "1e300"], [0.5, None, -3.0, 1e300]),
        ([str(LARGEST - 1)], [float(LARGEST - 1)]),
        (["1", str(LARGEST)], None),
        (["1", f"-{LARGEST}"], None),
        ([f"{LARGEST}.0", "9e18"], [float(LARGEST), 9e18]),
        (["1", "1e400"], None),
        (["1", '"x"'], None),
    ],
)
def test_texts_are_read_as_doubles_that_hold_them(
    texts: list[Any], doubles: list[Any] | None
) -> None:
    read = exact_doubles(pa.array(texts, pa.string()))
    assert (None if read is None else read.to_pylist()) == doubles


@pytest.mark.parametrize(
    ("values", "large"),
    [
        ([LARGEST, -LARGEST, None], False),
        ([1, LARGEST + 1], True),
        ([-LARGEST - 1, 1], True),
    ],
)
def test_an_integer_beyond_the_doubles_is_noticed(values: list[Any], large: bool) -> None:
    assert has_large(pa.array(values, pa.int64())) is large


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "", "ccc"]),
        pa.array(["xx", "a", "", "ccc", "y"]).slice(1, 3),
        pa.array(["a", None, "ccc"]),
        pa.array([1, 2, 3]),
        pa.array([1, None, 3]),
    ],
)
@pytest.mark.parametrize(
    "places",
    [
        [True, True, True],
        [False, True, False, True, True, False],
        [True, False, False, True, True],
    ],
)
def test_values_are_put_at_their_places_with_nulls_between(values: Any, places: list[bool]) -> None:
    rest = iter(values.to_pylist())
    found = expanded(values, pa.array(places))
    found.validate(full=True)
    assert found.to_pylist() == [next(rest) if place else None for place in places]
    assert found.null_count == found.to_pylist().count(None)
