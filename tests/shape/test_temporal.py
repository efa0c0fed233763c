"""Texts become instants, dates and decimals exactly, or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.learned import LearnedColumn
from oa_sync.shape.naming import Path
from oa_sync.shape.temporal import TimesInText, dates, decimals, instants

offsets = st.none() | st.integers(-14 * 60, 14 * 60).map(
    lambda m: dt.timezone(dt.timedelta(minutes=m))
)
moments = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=offsets)


@given(st.lists(moments | st.none()), st.sampled_from("Tt "), st.booleans())
def test_every_rfc_3339_form_is_read(
    wanted: list[dt.datetime | None], separator: str, zulu: bool
) -> None:
    texts = [None if m is None else m.isoformat(separator) for m in wanted]
    if zulu:
        texts = [t and t.replace("+00:00", "Z") for t in texts]
    read = instants(pa.array(texts, pa.string()))
    assert read is not None
    for got, moment in zip(read.to_pylist(), wanted, strict=True):
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        assert got == moment


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31T00:00:00.1234567Z",
        "2024-01-31T23:59:60Z",
        "2024-02-30T00:00:00Z",
        "2024-01-31T24:00:00Z",
        "2024-01-31T00:00:00 Z",
        "2024-01-31T00:00:00+25:00",
        "2024-01-31",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-10:00",
        "yesterday, at about noon",
        "",
    ],
)
def test_one_unreadable_text_leaves_the_whole_column_unread(text: str) -> None:
    assert instants(pa.array(["2024-01-31T00:00:00Z", text])) is None


def test_dates() -> None:
    read = dates(pa.array(["2024-02-29", None]))
    assert read is not None
    assert read.to_pylist() == [dt.date(2024, 2, 29), None]
    for text in ("2023-02-29", "2024-1-1", "0000-01-01", "2024-01-31T00:00:00Z"):
        assert dates(pa.array([text])) is None


def test_decimals_keep_every_digit() -> None:
    read = decimals(pa.array(["0.1", '"12345678901234567890.000000001"', "1e3", None]))
    assert read is not None
    assert read.to_pylist()[:3] == [
        Decimal("0.1"),
        Decimal("12345678901234567890.000000001"),
        Decimal(1000),
    ]
    for text in ("0.1234567891", "1e400", '"abc"', '""', "1" * 40):
        assert decimals(pa.array([text])) is None


@pytest.mark.parametrize("text", ["2024-01-31", "2024-01-31T10", "2024-01-31T10:00", ""])
def test_a_text_without_seconds_is_no_instant_even_alone(text: str) -> None:
    assert instants(pa.array([text])) is None


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("0001-01-01T00:00:00Z", True),
        ("0001-01-01T00:00:00+00:01", False),
        ("9999-12-31T23:59:59.999999Z", True),
        ("9999-12-31T23:00:00-01:00", False),
    ],
    ids=["the first", "before it", "the last", "after it"],
)
def test_instants_are_of_the_years_1_to_9999_in_utc(text: str, is_read: bool) -> None:
    assert (instants(pa.array([text])) is not None) is is_read


def test_dates_are_of_the_years_1_to_9999() -> None:
    read = dates(pa.array(["0001-01-01", "9999-12-31"]))
    assert read is not None
    assert read.to_pylist() == [dt.date.min, dt.date.max]


def column(name: str, data_type: str = "text") -> LearnedColumn:
    return LearnedColumn((name,), name, data_type)


def times(
    *batches: dict[str, list[str | None]],
    columns: Sequence[LearnedColumn],
    fixed: Collection[Path] = (),
) -> dict[Path, str]:
    """What the columns of all batches are found to be."""
    looked = TimesInText(fixed)
    for batch in batches:
        looked.look(
            pa.table({name: pa.array(v, pa.string()) for name, v in batch.items()}), columns
        )
    return looked.found()


DAY, TIME = "2024-01-31", "2024-01-31T00:00:00Z"


def test_a_text_column_is_of_dates_or_of_instants_if_all_its_values_are() -> None:
    found = times(
        {"day": [DAY, None], "time": [None, TIME], "mixed": [DAY, TIME], "text": ["a", DAY]},
        columns=[column(name) for name in ("day", "time", "mixed", "text")],
    )
    assert found == {("day",): "date", ("time",): "timestamp"}


@pytest.mark.parametrize("others", [["a"], [TIME]], ids=["a text", "an instant"])
@pytest.mark.parametrize("first", [True, False])
def test_one_batch_of_another_kind_decides_for_all(others: list[str | None], first: bool) -> None:
    batches = [{"a": others}, {"a": [DAY]}] if first else [{"a": [DAY]}, {"a": others}]
    assert times(*batches, columns=[column("a")]) == {}


def test_a_batch_of_nulls_or_without_the_column_decides_nothing() -> None:
    batches: list[dict[str, list[str | None]]] = [{"a": [None]}, {"b": ["x"]}, {"a": [TIME]}]
    assert times(*batches, columns=[column("a")]) == {("a",): "timestamp"}


def test_a_column_whose_type_is_fixed_is_not_looked_at_and_the_next_one_is() -> None:
    found = times({"a": [DAY], "b": [DAY]}, columns=[column("a"), column("b")], fixed=[("a",)])
    assert found == {("b",): "date"}


def test_a_column_that_is_not_of_texts_stays_what_it_is() -> None:
    """Even where later batches hold only dates."""
    looked = TimesInText(())
    table = pa.table({"a": pa.array([DAY])})
    looked.look(table, [column("a", "json")])
    looked.look(table, [column("a")])
    assert looked.found() == {}
