"""Values in SQL: as literals that a real engine reads back, in the places of their names only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.commands.query import bound
from oa_sync.definitions.sql import sql_literal, sql_parameters, with_literals
from oa_sync.errors import ConfigurationError


def read_back(literal: str) -> Any:
    row = duckdb.execute(f"SELECT 1 -{literal} + {literal} - 1, {literal}").fetchone()
    assert row is not None
    return row[1]


@given(st.integers(-(2**63) + 2, 2**62) | st.floats(-1e15, 1e15))
def test_a_number_is_read_back_as_it_was_also_behind_a_minus_sign(value: float) -> None:
    assert float(read_back(sql_literal(value))) == pytest.approx(value, rel=1e-15)


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\\", codec="utf-8")))
def test_a_text_is_read_back_as_it_was(value: str) -> None:
    assert duckdb.execute(f"SELECT {sql_literal(value)}").fetchone() == (value,)


@pytest.mark.parametrize("value", ["\\' OR true --", "a\x00b", "a\nb"])
def test_a_text_that_engines_read_in_different_ways_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="backslash or a control character") as caught:
        sql_literal(value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), [1], b"x"])
def test_what_has_no_literal_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot stand in SQL"):
        sql_literal(value)


def test_times_are_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert sql_literal(datetime(2026, 3, 2, 9, tzinfo=UTC)) == "'2026-03-02T09:00:00Z'"
    assert sql_literal(datetime(2026, 3, 2, 9, 0, 0, 5, tzinfo=east)) == (
        "'2026-03-02T07:00:00.000005Z'"
    )
    assert sql_literal(date(2026, 3, 2)) == "'2026-03-02'"
    assert sql_literal(Decimal("1E+3")) == "1000"
    assert sql_literal(True) == "TRUE"


def test_names_in_strings_comments_and_casts_are_left_alone() -> None:
    sql = "SELECT ':a', \":a\", x::a -- :a\n/* :a */ FROM t WHERE b[1:a] AND y > :a AND z < :b"
    assert sql_parameters(sql) == ("a", "b")
    assert with_literals(sql, {"a": "'it''s'"}) == sql.replace("> :a", "> 'it''s'")


def test_parameters_of_the_command_are_numbers_or_texts() -> None:
    sql = "SELECT :n, :m, :t, :q, :z, :e"
    given_values = ["n=5", "m=-1.5", "t=it's=so", "q='5'", "z=01234", "e="]
    assert bound(sql, given_values) == "SELECT 5, (-1.5), 'it''s=so', '5', '01234', ''"


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("x=1", r"--param 'x'.*it has :day"),
        ("day", r"write name=value"),
        ("day=a\\b", r"--param day: a text with a backslash"),
    ],
)
def test_a_parameter_that_cannot_be_bound_is_refused(parameter: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        bound("SELECT :day", [parameter])


def test_a_name_without_a_value_stays_as_it_is() -> None:
    assert bound("SELECT {'a': b}, :x", ["x=1"]) == "SELECT {'a': b}, 1"
