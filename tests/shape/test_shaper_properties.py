"""Statements about every batch of JSON rows, however untidy."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import TableSpec
from tests.support import json_rows
from tests.support.properties import examples

Batches = list[list[Any]]
WIDER = ["bool", "bigint", "double", "timestamp", "text", "json"]

some_batches = json_rows.batches(json_rows.rows)
flat_batches = json_rows.batches(json_rows.flat_rows)


@given(some_batches)
def test_both_passes_give_the_same_tables(batches: Batches) -> None:
    shaper = Shaper(json_rows.SPEC)
    for batch in batches:
        lines, extras = json_rows.ndjson(batch), json_rows.numbered(batch)
        shaped = shaper.shape(lines, extras).tables
        exact = json_rows.exact_tables(shaper, lines, extras)
        assert list(shaped) == list(exact)
        for name, table in shaped.items():
            assert table.schema == exact[name].schema
            assert table.equals(exact[name])
            table.validate(full=True)


@given(some_batches)
def test_nothing_is_dropped(batches: Batches) -> None:
    assume(any(any(json_rows.leaves(row)) for batch in batches for row in batch))
    shaper = Shaper(json_rows.SPEC)
    for batch in batches:
        extras = json_rows.numbered(batch)
        tables = shaper.shape(json_rows.ndjson(batch), extras).tables
        cells = json_rows.Cells(tables, shaper.learned)
        for number, row in enumerate(batch):
            for path, leaf in json_rows.leaves(row):
                assert cells.hold(number, path, leaf), (number, path, leaf)


@given(some_batches)
@examples(40)
def test_a_second_look_at_the_same_rows_teaches_nothing(batches: Batches) -> None:
    shaper = Shaper(json_rows.SPEC)
    for batch in batches:
        shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch))
    before = _columns(shaper)
    for batch in batches:
        again = shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch))
        assert again.drift == ()
    assert _columns(shaper) == before


def _columns(shaper: Shaper) -> dict[tuple[str, tuple[str, ...]], tuple[str, str]]:
    return {
        (table, path): (column.name, column.data_type)
        for table, columns in shaper.learned.tables.items()
        for path, column in columns.items()
    }


@given(some_batches)
@examples(40)
def test_types_only_widen_and_names_stay(batches: Batches) -> None:
    shaper = Shaper(json_rows.SPEC)
    before, compared = LearnedSchema(), 0
    for batch in batches:
        shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch))
        after = shaper.learned
        for table, columns in before.tables.items():
            for path, column in columns.items():
                now = after.tables[table][path]
                assert now.name == column.name
                assert WIDER.index(now.data_type) >= WIDER.index(column.data_type)
                compared += 1
        before = after
    assume(compared)


@given(some_batches)
@examples(40)
def test_every_column_has_a_name_of_its_own(batches: Batches) -> None:
    shaper = Shaper(json_rows.SPEC)
    for batch in batches:
        shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch))
    assume(shaper.learned.tables)
    for table, columns in shaper.learned.tables.items():
        names = [c.name for c in columns.values()]
        assert len(set(names)) == len(names), table
        assert not any(name.startswith(("_dlt", "_oa")) for name in names)
        assert not ({"n"} if table == "things" else {"thing_n"}) & set(names)


@given(some_batches, st.data())
@examples(40)
def test_memory_survives_a_restart(batches: Batches, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(batches)))
    shaper = Shaper(json_rows.SPEC)
    for place, batch in enumerate(batches):
        if place == cut:
            shaper = Shaper(json_rows.SPEC, _stored_and_read_back(shaper.learned))
        before = shaper.learned
        tables = shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch)).tables
        for table, columns in before.tables.items():
            assert {p: c.name for p, c in columns.items()}.items() <= {
                p: c.name for p, c in shaper.learned.tables[table].items()
            }.items()
        cells = json_rows.Cells(tables, shaper.learned)
        for number, row in enumerate(batch):
            for path, leaf in json_rows.leaves(row):
                assert cells.hold(number, path, leaf), (number, path, leaf)


def _stored_and_read_back(learned: LearnedSchema) -> LearnedSchema:
    stored = [
        (table, column.name, column.data_type, column.hint())
        for table, columns in learned.tables.items()
        for column in columns.values()
    ]
    read = LearnedSchema.from_columns(stored)
    assert read == learned
    return read


@given(flat_batches, st.randoms(use_true_random=False))
@examples(40)
@example([[{"fooBar": 1}], [{"foo_bar": 1}]], random.Random(1))
def test_the_order_of_batches_does_not_change_the_columns_of_flat_rows(
    batches: Batches, shuffler: random.Random
) -> None:
    shuffled = list(batches)
    shuffler.shuffle(shuffled)
    assert _paths(batches) == _paths(shuffled)


def _paths(batches: Batches) -> set[tuple[str, tuple[str, ...]]]:
    shaper = Shaper(TableSpec("things", key=("n",)))
    for batch in batches:
        shaper.shape(json_rows.ndjson(batch), json_rows.numbered(batch))
    return {(t, path) for t, columns in shaper.learned.tables.items() for path in columns}
