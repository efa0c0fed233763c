"""Texts become instants, dates and decimals exactly, or not at all."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.temporal import dates, decimals, instants

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
