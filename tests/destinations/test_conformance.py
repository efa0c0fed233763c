"""What `oa_sync.tables.target.Target` promises, asked of the target in memory and of every real destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from oa_sync.errors import DestinationError, UnusableDestinationError
from oa_sync.extract.lists.changes import Known
from oa_sync.tables.batches import (
    DELETED_AT,
    VALID_FROM,
    VALID_TO,
    WORKSPACE,
    Batch,
    TableHints,
)
from oa_sync.tables.counts import Counts
from tests.destinations.conforming import (
    MEMORY,
    NAMES,
    STATE,
    At,
    Row,
    Spot,
    lists,
    outcome,
    read,
    removal,
    rows,
    types_of,
)
from tests.destinations.deviations import DEVIATES
from tests.destinations.places import Servers, in_environment
from tests.support.lake_model import batch


@pytest.fixture(scope="module", params=NAMES)
def spot(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Iterator[Spot]:
    spot = Spot(request.param, tmp_path_factory.mktemp("spot"), servers)
    with in_environment(spot.environment), spot:
        yield spot


@pytest.fixture
def at(request: pytest.FixtureRequest, spot: Spot) -> Iterator[At]:
    at = At(spot, request.function.__name__, DEVIATES)
    yield at
    assert at.is_compared or (request.function.__name__, spot.name) not in DEVIATES


def moment(day: int, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, day, 12, 30, second, microsecond, UTC)


# -- values -------------------------------------------------------------------------------------

EVERY_TYPE: dict[str, tuple[str, Any]] = {
    "a_text": ("text", "Ä 🎈"),
    "a_bigint": ("bigint", -7),
    "a_double": ("double", 0.1),
    "a_bool": ("bool", False),
    "a_timestamp": ("timestamp", moment(2, 1, 234_567)),
    "a_date": ("date", date(2026, 3, 2)),
    "a_decimal": ("decimal", Decimal("1.500000000")),
    "a_json": ("json", '{"a": [1, "b", null]}'),
}
TYPES = {name: data_type for name, (data_type, _) in EVERY_TYPE.items()}


def test_a_value_of_each_type_comes_back_and_so_does_its_absence(at: At) -> None:
    full: Row = {name: value for name, (_, value) in EVERY_TYPE.items()}
    at.target.load([rows(at.table, {"id": "full", **full}, {"id": "empty"}, types=TYPES)])
    found = {
        row["id"]: row for row in at.target.current_rows(at.table, ["id"], [("full",), ("empty",)])
    }
    assert {name: found["full"][name] for name in TYPES} == full
    assert {name: found["empty"][name] for name in TYPES} == dict.fromkeys(TYPES)


def test_columns_have_the_types_and_paths_that_were_loaded(at: At) -> None:
    full: Row = {name: value for name, (_, value) in EVERY_TYPE.items()}
    at.target.load([rows(at.table, {"id": "full", **full}, types=TYPES)])
    assert types_of(at.target, at.table) == {WORKSPACE: "text", "id": "text", **TYPES}
    paths = {c.name: c.path for c in at.target.columns() if c.table == at.table}
    assert paths == {WORKSPACE: None, "id": "id", **{name: name for name in TYPES}}
    hints = at.target.hints(at.table)
    assert {name: column["data_type"] for name, column in hints.columns.items()} == types_of(
        at.target, at.table
    )
    assert hints.columns["a_json"]["x-oa-path"] == "a_json"
    with at.opened(shared=True) as again:
        assert again.hints(at.table) == hints
        assert types_of(again, at.table) == types_of(at.target, at.table)


def test_a_declared_table_counts_as_none_until_rows_are_loaded(at: At) -> None:
    declared = rows(at.table, {"id": "a", "a_text": "b", "a_bigint": 1}, types=TYPES)
    declared = Batch(declared.hints, declared.rows.slice(0, 0))
    for _ in range(2):
        at.target.declare([declared])
        with at.opened(shared=True) as again:
            for target in (at.target, again):
                target.require([at.table])
                assert not target.has_table(at.table)
                assert not [c for c in target.columns() if c.table == at.table]
    at.target.load([rows(at.table, {"id": "a", "a_text": 1}, types={"a_text": "bigint"})])
    loaded = {WORKSPACE: "text", "id": "text", "a_text": "bigint"}
    assert types_of(at.target, at.table).items() >= loaded.items()
    at.target.declare([declared])
    [row] = at.target.current_rows(at.table, ["id"], [("a",)])
    assert row["a_text"] == 1


def test_all_rows_come_as_arrow_with_their_types(at: At) -> None:
    full: Row = {name: value for name, (_, value) in EVERY_TYPE.items()}
    at.target.load([rows(at.table, {"id": "full", **full}, {"id": "empty"}, types=TYPES)])
    whole = pa.Table.from_batches(list(at.target.batches(at.table)))
    assert set(whole.column_names) == {WORKSPACE, "id", *TYPES}
    for field in whole.schema:
        assert field.metadata[b"data_type"].decode() == types_of(at.target, at.table)[field.name]
    one, other = sorted(whole.to_pylist(), key=lambda row: row["id"])
    assert other == {WORKSPACE: "default", "id": "full", **full}
    assert one == {WORKSPACE: "default", "id": "empty", **dict.fromkeys(TYPES)}


TEXTS = (
    *(
        "",
        " ",
        "null",
        "NULL",
        "\\N",
        "\\.",
        "a\n\\.\nb",
        "'",
        '"',
        '""',
        ",",
        ";",
        "\t",
        "\r\n",
        "\n",
    ),
    *(
        "€ 🎈",
        "e\u0301",
        "\u00e9",
        "\u2028",
        "\x01",
        "\x7f",
        "\ufeff",
        "\uffff",
        "%s",
        "{}",
        "1.50",
    ),
    *("2026-03-02T00:00:00Z", "x" * 100_000),
)


def test_texts_stay_as_they_are(at: At) -> None:
    found = [{"id": f"{n:02}", "value": text} for n, text in enumerate(TEXTS)]
    at.target.load([rows(at.table, *found, value="text")])
    assert [value for _, value in read(at.target, at.table, "id", "value")] == list(TEXTS)


def test_a_nul_character_in_a_text(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "value": "a\0b"}, value="text")])
    assert read(at.target, at.table, "value") == at.expected([("a\0b",)])


def test_numbers_stay_exact_up_to_their_limits(at: At) -> None:
    whole = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    real = [1.7976931348623157e308, 5e-324, 0.1 + 0.2, -0.0]
    found = [
        {"id": f"{n}", "n": i, "x": x} for n, (i, x) in enumerate(zip(whole, real, strict=True))
    ]
    at.target.load([rows(at.table, *found, n="bigint", x="double")])
    assert read(at.target, at.table, "id", "n", "x") == [
        (row["id"], row["n"], row["x"]) for row in found
    ]


def test_decimals_keep_38_digits(at: At) -> None:
    long = Decimal("12345678901234567890123456789.123456789")
    at.target.load([rows(at.table, {"id": "a", "d": long}, {"id": "b", "d": -long}, d="decimal")])
    assert read(at.target, at.table, "id", "d") == at.expected([("a", long), ("b", -long)])


def test_instants_and_days_far_away(at: At) -> None:
    instants = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    ]
    found = [{"id": str(n), "t": t, "d": t.date()} for n, t in enumerate(instants)]
    at.target.load([rows(at.table, *found, t="timestamp", d="date")])
    assert read(at.target, at.table, "id", "t", "d") == at.expected(
        [(row["id"], row["t"], row["d"]) for row in found]
    )


JSON_TEXTS = (
    *("1.50", "-0.10", "0.1234567890123456789", "[1.0,2.10]", '{"a":1.50}'),
    *("12345678901234567890", "-12345678901234567890", "[123456789012345678901234567890]"),
    *("1E5", "1e-7", "1.5e+300", "-0.0", "[1E400]"),
    *('"\\u00e9"', '"\\/"', '"a\\u0000b"', '"\\ud83c\\udf88"', '{"\\u0061":1}'),
    *('{"b": 1, "a": 2}', "[ 1 ]", '{"a":1,"a":2}', '{"b":1,"a":2}'),
    *("true", "null", '"text"', '"7"', '""', '"Ä 🎈"', "7", "[]", "{}"),
)


def test_json_is_the_text_that_was_sent(at: At) -> None:
    found = [{"id": f"{n:02}", "value": text} for n, text in enumerate(JSON_TEXTS)]
    at.target.load([rows(at.table, *found, value="json")])
    keys = [(row["id"],) for row in found]
    stored = {row["id"]: row["value"] for row in at.target.current_rows(at.table, ["id"], keys)}
    sent = {row["id"]: row["value"] for row in found}
    changed = {sent[key]: text for key, text in stored.items() if text != sent[key]}
    assert changed == at.expected({})
    assert len(stored) == len(JSON_TEXTS)


def test_json_with_half_of_a_surrogate_pair(at: At) -> None:
    sent = rows(at.table, {"id": "a", "value": '"\\ud800"'}, value="json")
    assert outcome(at.target, sent, reading=["value"]) == at.expected([('"\\ud800"',)])


# -- merging ------------------------------------------------------------------------------------


def test_rows_with_a_key_of_their_own_are_replaced_one_by_one(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "b", "n": 1}, n="bigint")])
    at.target.load([rows(at.table, {"id": "b", "n": 2}, {"id": "c", "n": 2}, n="bigint")])
    assert read(at.target, at.table, "id", "n") == [("a", 1), ("b", 2), ("c", 2)]


def test_of_several_rows_with_one_key_the_last_wins(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 0}, n="bigint")])
    first = rows(at.table, *({"id": "a", "n": n} for n in (1, 2)), {"id": "b", "n": 1}, n="bigint")
    second = rows(at.table, {"id": "b", "n": 3}, n="bigint")
    at.target.load([first, second])
    assert read(at.target, at.table, "id", "n") == at.expected([("a", 2), ("b", 3)])


def test_of_several_rows_with_one_key_the_last_wins_in_a_first_load_too(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "a", "n": 2}, n="bigint")])
    assert read(at.target, at.table, "id", "n") == at.expected([("a", 2)])


def test_all_rows_of_a_parent_are_replaced_together(at: At) -> None:
    at.target.load([lists(at.table, {"a": ["1", "2", "3"], "b": ["1"], "c": ["1", "2"]})])
    at.target.load([lists(at.table, {"a": ["4"], "b": ["5", "6"], "d": ["7"]})])
    assert read(at.target, at.table, "parent_id", "position", "value") == [
        *[("a", 0, "4"), ("b", 0, "5"), ("b", 1, "6")],
        *[("c", 0, "1"), ("c", 1, "2"), ("d", 0, "7")],
    ]


def test_rows_of_a_parent_that_come_in_two_batches_are_all_kept(at: At) -> None:
    at.target.load([lists(at.table, {"a": ["0"]})])
    at.target.load([lists(at.table, {"a": ["1"]}), lists(at.table, {"a": ["2"]})])
    assert read(at.target, at.table, "value") == [("1",), ("2",)]


def test_a_removal_removes_and_is_never_seen(at: At) -> None:
    at.target.load([lists(at.table, {"a": ["1", "2"], "b": ["1"]})])
    at.target.load([removal(at.table, "a", "unknown"), lists(at.table, {"b": ["2"]})])
    assert read(at.target, at.table, "parent_id", "value", "position") == [("b", "2", 0)]


def test_a_removal_of_what_is_not_there_makes_no_row(at: At) -> None:
    at.target.load([removal(at.table, "a", "b"), removal(at.table, "c")])
    assert not at.target.has_table(at.table)
    at.target.load([lists(at.table, {"a": ["1"]})])
    at.target.load([removal(at.table, "a")])
    assert read(at.target, at.table, "parent_id") == []


def test_removals_of_many_and_odd_keys(at: At) -> None:
    keys = [f"k{n}" for n in range(1_200)]
    odd = ["it's", 'a"b', "%s", "100%", "?", ":id", "\\", "Ä 🎈", "", "a\nb"]
    at.target.load([lists(at.table, {key: ["1"] for key in [*keys, *odd, "kept"]})])
    at.target.load([removal(at.table, *keys, *odd)])
    assert read(at.target, at.table, "parent_id") == [("kept",)]


def test_removals_by_keys_of_several_types(at: At) -> None:
    kinds = {"n": "bigint", "at": "timestamp", "day": "date"}
    keys = [
        (1, moment(1, 5, 7), date(2026, 1, 1)),
        (1, moment(1, 5, 8), date(2026, 1, 1)),
        (2, moment(1), date(2026, 1, 2)),
    ]

    def whole(*found: tuple[Any, ...]) -> Batch:
        flat = [
            {WORKSPACE: "default", **dict(zip(kinds, key, strict=True)), "v": "1"} for key in found
        ]
        hints = TableHints(at.table, merge_key=(WORKSPACE, *kinds))
        return batch(hints, flat, {WORKSPACE: "text", **kinds, "v": "text"})

    at.target.load([whole(*keys)])
    at.target.load([removal(at.table, keys[0], **kinds)])
    assert read(at.target, at.table, "n") == [(1,), (2,)]
    at.target.load([removal(at.table, *keys, **kinds)])
    assert read(at.target, at.table, "n") == []


def test_a_column_is_dropped_with_its_values_and_the_rest_stays(at: At) -> None:
    def marked(*values: str) -> Batch:
        flat = [
            {WORKSPACE: "default", "parent_id": "a", "position": n, "value": v}
            for n, v in enumerate(values)
        ]
        types = {WORKSPACE: "text", "parent_id": "text", "position": "bigint", "value": "text"}
        hints = TableHints(at.table, merge_key=(WORKSPACE, "parent_id"))
        return batch(hints, flat, {**types, DELETED_AT: "timestamp"})

    with at.opened() as target:
        target.load([marked("1", "2")])
        assert DELETED_AT in types_of(target, at.table)
        for _ in "twice":
            target.drop_column(at.table, DELETED_AT)
        target.drop_column("unknown", DELETED_AT)
        assert DELETED_AT not in types_of(target, at.table)
        assert read(target, at.table, "position", "value") == [(0, "1"), (1, "2")]
        target.load([lists(at.table, {"b": ["3"]}), removal(at.table, "unknown")])
    with at.opened() as target:
        assert DELETED_AT not in types_of(target, at.table)
        assert target.hints(at.table).merge_key == (WORKSPACE, "parent_id")
        assert read(target, at.table, "parent_id", "value") == [("a", "1"), ("a", "2"), ("b", "3")]


def test_rows_that_are_replaced_as_a_whole_can_be_removed(at: At) -> None:
    """As `write_disposition: replace` does it."""

    def whole(*found: Row) -> Batch:
        hints = TableHints(at.table, merge_key=(WORKSPACE, "id"))
        types = {WORKSPACE: "text", "id": "text", "n": "bigint"}
        return batch(hints, [{WORKSPACE: "default", **row} for row in found], types)

    at.target.load([whole({"id": "a", "n": 1}, {"id": "b", "n": 1})])
    gone = replace(whole({"id": "a", "n": 1}), removes=True)
    at.target.load([gone, whole({"id": "b", "n": 2})])
    assert read(at.target, at.table, "id", "n") == [("b", 2)]


def test_composite_and_integer_keys(at: At) -> None:
    def keyed(*found: tuple[int, str, int]) -> Batch:
        types = {"number": "bigint", "part": "text", "n": "bigint", **STATE}
        own = [{"id": "x", "number": a, "part": b, "n": n} for a, b, n in found]
        return rows(at.table, *own, key=("part", "number"), types=types)

    at.target.load([keyed((1, "a", 1), (1, "b", 1), (2, "a", 1))])
    at.target.load([keyed((1, "b", 2), (2, "b", 2))])
    assert read(at.target, at.table, "number", "part", "n") == [
        *[(1, "a", 1), (1, "b", 2), (2, "a", 1), (2, "b", 2)]
    ]
    assert set(at.target.known(at.table, ["part", "number"])) == {
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("b", 2),
    }
    found = at.target.current_rows(at.table, ["part", "number"], [("b", 2), ("c", 1), ("a", 1)])
    assert sorted((row["part"], row["number"]) for row in found) == [("a", 1), ("b", 2)]


def test_the_key_of_a_table_is_read_back(at: At) -> None:
    types = {"part": "text", "number": "bigint"}
    key = ("number", "part")
    at.target.load(
        [
            rows(at.table, {"id": "x", "number": 1, "part": "a"}, key=key, types=types),
            lists(f"{at.table}_list", {"a": ["1"]}),
        ]
    )
    assert at.target.hints(at.table).primary_key == at.expected((WORKSPACE, "number", "part"))
    assert at.target.hints(at.table).merge_key == ()
    assert at.target.hints(f"{at.table}_list").merge_key == (WORKSPACE, "parent_id")
    assert at.target.hints(f"{at.table}_list").primary_key == ()


def test_repeating_loads_changes_nothing(at: At) -> None:
    one, other = at.table, f"{at.table}_list"
    nights = [
        [
            rows(one, {"id": "a", "n": 1}, {"id": "b", "n": 1}, n="bigint"),
            lists(other, {"a": ["1", "2"]}),
        ],
        [
            rows(one, {"id": "a", "n": 2}, n="bigint"),
            removal(other, "a"),
            lists(other, {"b": ["1"]}),
        ],
    ]
    for night in nights:
        at.target.load(night)
    once = (read(at.target, one, "id", "n"), read(at.target, other, "parent_id", "value"))
    for night in nights:
        at.target.load(night)
    assert (read(at.target, one, "id", "n"), read(at.target, other, "parent_id", "value")) == once


def test_a_load_says_how_many_rows_it_wrote(at: At) -> None:
    one, other = at.table, f"{at.table}_list"
    night = [
        rows(one, {"id": "a"}),
        lists(other, {"a": ["1", "2"]}),
        rows(one, {"id": "b"}, {"id": "c"}),
    ]
    assert at.target.load(night) == {one: 3, other: 2}
    assert at.target.load([removal(other, "a")]) == {}


def test_nothing_and_empty_batches_load_nothing(at: At) -> None:
    assert at.target.load([]) == {}
    assert at.target.load([rows(at.table, n="bigint")]) == {}
    assert not at.target.has_table(at.table)
    assert at.target.load([rows(at.table), rows(at.table, {"id": "a"}), rows(at.table)]) == {
        at.table: 1
    }
    assert at.target.load([rows(at.table, n="bigint")]) == {}
    assert types_of(at.target, at.table) == {WORKSPACE: "text", "id": "text"}


def test_many_rows_of_new_and_of_loaded_keys(at: At) -> None:
    """The number of rows from which a warehouse appends instead of merging, and more keys than one query."""
    one, other = at.table, f"{at.table}_list"

    def night(first: int, last: int, n: int) -> list[Batch]:
        numbers = range(first, last)
        own = rows(one, *({"id": f"r{i}", "n": n} for i in numbers), n="bigint")
        lengths = {f"r{i}": 1 if n == 0 else i % 2 for i in numbers}
        return [lists(other, {key: [f"{n}"] * length for key, length in lengths.items()}), own]

    at.target.load(night(0, 10, 0))
    at.target.load(night(10, 1_210, 1))
    at.target.load(night(600, 1_700, 2))
    found = dict(at.target.select(one, ["id", "n"]))
    assert found == {f"r{i}": 0 if i < 10 else 1 if i < 600 else 2 for i in range(1_700)}
    values = sorted(at.target.select(other, ["parent_id", "value"]))
    assert values == sorted((k, str(n)) for k, n in found.items() if n == 0 or int(k[1:]) % 2)
    keys = [(f"r{i}",) for i in range(1, 3_000, 2)]
    assert len(at.target.current_rows(one, ["id"], keys)) == 850


def test_what_is_loaded_can_be_read_while_a_load_is_being_made(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, n="bigint")])

    def coming() -> Iterator[Batch]:
        yield rows(at.table, {"id": "b", "n": 1}, n="bigint")
        [row] = at.target.current_rows(at.table, ["id"], [("a",), ("b",)])
        yield rows(at.table, {"id": "a", "n": row["n"] + 1}, n="bigint")

    at.target.load(coming())
    assert read(at.target, at.table, "id", "n") == [("a", 2), ("b", 1)]


def test_a_load_whose_making_fails_changes_nothing(at: At) -> None:
    one, other = at.table, f"{at.table}_list"
    at.target.load([rows(one, {"id": "a", "n": 1}, n="bigint"), lists(other, {"a": ["1"]})])

    def coming() -> Iterator[Batch]:
        yield lists(other, {"a": ["2"]})
        yield rows(one, {"id": "a", "n": 2, "new": 1}, n="bigint", new="bigint")
        raise DestinationError("cut off")

    with pytest.raises(DestinationError, match="cut off"):
        at.target.load(coming())
    assert read(at.target, one, "id", "n") == [("a", 1)]
    assert read(at.target, other, "value") == [("1",)]
    at.target.load([rows(one, {"id": "a", "n": 3}, n="bigint"), lists(other, {"a": ["3"]})])
    assert read(at.target, one, "id", "n") == [("a", 3)]
    assert read(at.target, other, "value") == [("3",)]


# -- columns ------------------------------------------------------------------------------------


def test_a_column_that_comes_later_is_null_in_older_rows(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a"}, {"id": "b"})])
    at.target.load([rows(at.table, {"id": "b", "n": 2}, n="bigint")])
    at.target.load([rows(at.table, {"id": "c"})])
    assert read(at.target, at.table, "id", "n") == [("a", None), ("b", 2), ("c", None)]


def test_a_column_that_is_missing_is_null_in_the_rows_that_come(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "b", "n": 1}, n="bigint")])
    at.target.load([rows(at.table, {"id": "b"})])
    assert read(at.target, at.table, "id", "n") == [("a", 1), ("b", None)]


def test_columns_keep_the_order_in_which_they_came(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "b": 1, "a": 1}, b="bigint", a="bigint")])
    at.target.load([rows(at.table, {"id": "b", "z": 1, "b": 2}, z="bigint", b="bigint")])
    with at.opened(shared=True) as again:
        found = list(types_of(again, at.table))
    assert found == at.expected([WORKSPACE, "id", "b", "a", "z"])
    assert list(types_of(at.target, at.table)) == found


def test_batches_of_one_load_may_have_other_columns(at: At) -> None:
    first = rows(at.table, {"id": "a", "x": 1}, x="bigint")
    second = rows(at.table, {"id": "b", "y": "2"}, y="text")
    at.target.load([first, second])
    at.target.load([rows(at.table, {"id": "c", "z": True}, z="bool"), second])
    assert read(at.target, at.table, "id", "x", "y", "z") == [
        *[("a", 1, None, None), ("b", None, "2", None), ("c", None, None, True)]
    ]


def test_a_column_without_type_is_left_out(at: At) -> None:
    plain = rows(at.table, {"id": "a"})
    nulls = pa.nulls(1)
    at.target.load([Batch(plain.hints, plain.rows.append_column("nothing", nulls))])
    assert set(types_of(at.target, at.table)) == {WORKSPACE, "id"}


ODD_TABLES = ("table", "user", "a__b")
ODD_COLUMNS = ("select", "order", "group", "user", "_1st", "a__b", "x" * 63)


def test_names_that_mean_something_to_a_database(at: At) -> None:
    types = dict.fromkeys(ODD_COLUMNS, "bigint")
    for night in (1, 2):
        row = dict.fromkeys(ODD_COLUMNS, night)
        at.target.load([rows(table, {"id": table, **row}, types=types) for table in ODD_TABLES])
    for table in ODD_TABLES:
        assert read(at.target, table, "id", *ODD_COLUMNS) == [(table, *[2] * len(ODD_COLUMNS))]
        assert set(types_of(at.target, table)) == {WORKSPACE, "id", *ODD_COLUMNS}
        assert at.target.largest(table, "order") == 2


def test_names_that_differ_only_after_63_characters(at: At) -> None:
    """The naming of `oa_sync.shape.naming` makes names of up to 120."""
    tables, columns = [f"{'t' * 70}_{n}" for n in (1, 2)], [f"{'c' * 70}_{n}" for n in (1, 2)]
    types = dict.fromkeys(columns, "bigint")
    for table in tables:
        at.target.load([rows(table, {"id": table, columns[0]: 1, columns[1]: 2}, types=types)])
    found = [read(at.target, table, "id", *columns) for table in tables]
    assert found == at.expected([[(table, 1, 2)] for table in tables])


# -- widening -----------------------------------------------------------------------------------

TIME = moment(2, 1, 234_567)
WIDER: tuple[tuple[str, str, Any, Any, Any], ...] = (
    ("bigint", "double", 7, 7.0, 7.5),
    ("bigint", "json", 7, "7", '"seven"'),
    ("double", "json", 2.0, "2.0", "[2.5]"),
    ("double", "json", 1e20, "100000000000000000000.0", "2"),
    ("bool", "json", False, "false", "0"),
    ("text", "json", 'a"\\/\nÄ 🎈', '"a\\"\\\\/\\nÄ 🎈"', '{"a": 1.5}'),
    ("timestamp", "text", TIME, "2026-03-02T12:30:01.234567Z", "soon"),
    ("timestamp", "json", TIME, '"2026-03-02T12:30:01.234567Z"', "7"),
    ("date", "text", date(2026, 3, 2), "2026-03-02", "soon"),
    ("date", "json", date(2026, 3, 2), '"2026-03-02"', "7"),
    ("decimal", "json", Decimal("1.500000000"), "1.500000000", "[]"),
)
"""For each widening that `oa_sync.shape.lattice` knows: the types, a value before and after, a later value."""


def test_a_wider_column_keeps_its_values_and_takes_wider_ones(at: At) -> None:
    names = [f"c{n}_{before}_{after}" for n, (before, after, *_) in enumerate(WIDER)]
    narrow = dict(zip(names, (before for before, *_ in WIDER), strict=True))
    wide = dict(zip(names, (after for _, after, *_ in WIDER), strict=True))
    values = {name: case[2] for name, case in zip(names, WIDER, strict=True)}
    later = {name: case[4] for name, case in zip(names, WIDER, strict=True)}
    at.target.load([rows(at.table, {"id": "old", **values}, {"id": "none"}, types=narrow)])
    for name in names:
        at.target.widen(at.table, name, wide[name])
    kept = {name: case[3] for name, case in zip(names, WIDER, strict=True)}
    for night in range(2):
        found = types_of(at.target, at.table)
        assert found == {WORKSPACE: "text", "id": "text", **wide}
        [row] = at.target.current_rows(at.table, ["id"], [("old",)])
        assert differing({name: row[name] for name in names}, kept) == at.expected({}), night
        [row] = at.target.current_rows(at.table, ["id"], [("none",)])
        assert {row[name] for name in names} == {None}
        at.target.load([rows(at.table, {"id": "new", **later}, types=wide)])
    [row] = at.target.current_rows(at.table, ["id"], [("new",)])
    assert differing({name: row[name] for name in names}, later) == {}


def differing(found: Row, wanted: Row) -> Row:
    """What is otherwise than wanted."""
    return {name: value for name, value in found.items() if value != wanted[name]}


def test_a_column_may_become_wider_again_and_again(at: At) -> None:
    with at.opened() as target:
        target.load([rows(at.table, {"id": "1", "v": 7}, {"id": "none"}, v="bigint")])
        steps: list[tuple[str, Any]] = [("double", 7.5), ("text", "seven"), ("json", '{"a":1.50}')]
        for number, (data_type, value) in enumerate(steps, start=2):
            target.widen(at.table, "v", data_type)
            target.load([rows(at.table, {"id": str(number), "v": value}, v=data_type)])
        found = read(target, at.table, "id", "v")
    assert found == at.expected(
        [("1", '"7.0"'), ("2", '"7.5"'), ("3", '"seven"'), ("4", '{"a":1.50}'), ("none", None)]
    )
    with at.opened() as target:
        assert read(target, at.table, "id", "v") == found
        assert types_of(target, at.table)["v"] == "json"


def test_widening_what_is_not_there_does_nothing(at: At) -> None:
    with at.opened() as target:
        target.widen("unknown", "v", "double")
        assert not target.has_table("unknown")
        target.load([rows(at.table, {"id": "a", "v": 1}, v="bigint")])
        target.widen("unknown", "v", "double")
        target.widen(at.table, "unknown", "double")
        target.widen(at.table, "v", "bigint")
        assert types_of(target, at.table) == {WORKSPACE: "text", "id": "text", "v": "bigint"}
        assert not target.has_table("unknown")
    with at.opened() as target:
        assert types_of(target, at.table) == {WORKSPACE: "text", "id": "text", "v": "bigint"}
        assert read(target, at.table, "v") == [(1,)]


def test_a_wider_type_is_kept_when_no_load_follows(at: At) -> None:
    with at.opened() as target:
        target.load([rows(at.table, {"id": "a", "v": 1}, v="bigint")])
        target.widen(at.table, "v", "double")
    with at.opened() as target:
        assert types_of(target, at.table)["v"] == at.expected("double")
        target.widen(at.table, "v", "double")
        target.load([rows(at.table, {"id": "b", "v": 1.5}, v="double")])
        assert read(target, at.table, "id", "v") == [("a", 1.0), ("b", 1.5)]
    with at.opened() as target:
        assert types_of(target, at.table)["v"] == "double"


def test_a_key_column_may_become_wider(at: At) -> None:
    at.target.load([rows(at.table, {"id": "x", "k": 1}, key=("k",), k="bigint")])
    try:
        at.target.widen(at.table, "k", "text")
        at.target.load([rows(at.table, {"id": "y", "k": "1"}, key=("k",), k="text")])
        found: Any = read(at.target, at.table, "id", "k")
    except DestinationError:
        found = "refused"
    assert found == at.expected([("y", "1")])


# -- what is refused ----------------------------------------------------------------------------


def test_a_wider_value_that_nobody_made_room_for(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "v": 1}, v="bigint")])
    found = outcome(
        at.target, rows(at.table, {"id": "b", "v": 2.5}, v="double"), reading=["id", "v"]
    )
    assert found == at.expected([("a", 1.0), ("b", 2.5)])


def test_a_text_that_nobody_made_room_for(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "v": 1}, v="bigint")])
    found = outcome(
        at.target, rows(at.table, {"id": "b", "v": "two"}, v="text"), reading=["id", "v"]
    )
    assert found == at.expected([("a", "1"), ("b", '"two"')])


def test_a_narrower_value_is_made_wider(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "v": 1.5}, v="double")])
    at.target.load([rows(at.table, {"id": "b", "v": 2}, v="bigint")])
    found = {
        "type": types_of(at.target, at.table)["v"],
        "rows": read(at.target, at.table, "id", "v"),
    }
    assert found == at.expected({"type": "double", "rows": [("a", 1.5), ("b", 2.0)]})


def raised(call: Callable[[], Any]) -> Any:
    """The name of what `call` raises, or what it gives."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def with_column(plain: Batch, name: str, values: Any) -> Batch:
    return Batch(plain.hints, plain.rows.append_column(name, values))


REFUSED: dict[str, tuple[str, Any]] = {
    "too large for bigint": ("bigint", pa.array([1, 2**63], pa.uint64())),
    "too precise for an instant": ("timestamp", pa.array([1, 1], pa.timestamp("ns", "UTC"))),
    "too many digits for decimal": (
        "decimal",
        pa.array([Decimal(1), Decimal("1" * 35)], pa.decimal128(38, 0)),
    ),
    "a list": ("json", pa.array([[1], [2]])),
    "bytes": ("text", pa.array([b"a", b"\xff"])),
}


def test_values_outside_of_their_type(at: At) -> None:
    types = {f"c{n}": data_type for n, (data_type, _) in enumerate(REFUSED.values())}
    at.target.load([rows(at.table, {"id": "a"}, types=types)])
    taken = {}
    for name, (kind, (_, values)) in zip(types, REFUSED.items(), strict=True):
        wrong = with_column(rows(at.table, {"id": "a"}, {"id": "b"}), name, values)
        found = outcome(at.target, wrong, reading=["id", name])
        if found != "refused":
            taken[kind] = found
    assert taken == at.expected({})
    at.target.load([rows(at.table, {"id": "c"}, types=types)])
    assert ("c",) in read(at.target, at.table, "id")


def test_after_a_refusal_nothing_of_that_table_has_changed_and_the_next_load_works(at: At) -> None:
    one, other = at.table, f"{at.table}_list"
    at.target.load([rows(one, {"id": "a", "n": 1}, n="bigint"), lists(other, {"a": ["1"]})])
    wrong = with_column(rows(one, {"id": "a"}, {"id": None}), "n", pa.array([2, 2]))
    with pytest.raises(DestinationError):
        at.target.load([wrong, lists(other, {"a": ["2"]})])
    assert read(at.target, one, "id", "n") == [("a", 1)]
    at.target.load([rows(one, {"id": "a", "n": 3}, n="bigint"), lists(other, {"a": ["3"]})])
    assert read(at.target, one, "id", "n") == [("a", 3)]
    assert read(at.target, other, "value") == [("3",)]


def test_rows_without_a_key_are_refused(at: At) -> None:
    plain = rows(at.table, {"id": "a"})
    found = outcome(at.target, Batch(TableHints(at.table), plain.rows), reading=["id"])
    assert found == at.expected("refused")


def test_rows_whose_key_column_is_missing_are_refused(at: At) -> None:
    plain = rows(at.table, {"id": "a"}, key=("other",))
    found = raised(lambda: outcome(at.target, plain, reading=["id"]))
    assert found == at.expected("refused")


# -- workspaces and writers ---------------------------------------------------------------------


def test_workspaces_in_one_place_never_touch_each_other_s_rows(at: At) -> None:
    one, other = at.table, f"{at.table}_list"

    def night(workspace: str, *keys: str, n: int, **found: list[str]) -> list[Batch]:
        own = [{"id": key, "n": n, "_oa_version": str(n)} for key in keys]
        return [
            rows(one, *own, workspace=workspace, types={"n": "bigint", **STATE}),
            lists(other, found, workspace=workspace),
            removal(other, *(k for k, values in found.items() if not values), workspace=workspace),
        ]

    mine = at.target
    mine.load(night("default", "a", "b", n=1, a=["1", "2"], b=["1"]))
    with at.opened("other", shared=True) as theirs:
        assert theirs.known(one, ["id"]) == {}
        assert theirs.largest(one, "n") is None
        assert theirs.distinct(one, "id") == set()
        assert theirs.counts(one) == Counts(0, 0, at.expected(0))
        assert theirs.recent(one, ["id"], "n", 5) == []
        theirs.load(night("other", "a", n=7, a=["7"]))
        theirs.load(night("other", "c", n=8, a=[], b=["8"]))
        assert set(theirs.known(one, ["id"])) == {("a",), ("c",)}
        assert theirs.largest(one, "n") == 8
        assert theirs.distinct(other, "value") == {"8"}
        assert theirs.counts(one) == Counts(2, 0, 2)
        assert [row["id"] for row in theirs.recent(one, ["id"], "n", 5)] == ["c", "a"]
        assert [row["n"] for row in theirs.current_rows(one, ["id"], [("a",), ("b",)])] == [7]
        assert read(theirs, other, "parent_id", "value") == [("b", "8")]
        theirs.widen(one, "n", "double")
        theirs.load(night("other", n=9, b=[]))
        whole = [row for part in theirs.batches(one) for row in part.to_pylist()]
        assert sorted((row[WORKSPACE], row["id"], row["n"]) for row in whole) == [
            *[
                ("default", "a", 1.0),
                ("default", "b", 1.0),
                ("other", "a", 7.0),
                ("other", "c", 8.0),
            ]
        ]
    with at.opened(shared=True) as again:
        assert read(again, one, "id", "n") == [("a", 1.0), ("b", 1.0)]
        assert read(again, other, "parent_id", "value") == [("a", "1"), ("a", "2"), ("b", "1")]


def test_two_writers_load_in_turn(at: At) -> None:
    with at.opened() as one:
        one.load([rows(at.table, {"id": "a", "n": 1}, n="bigint")])
        with at.opened() as other:
            for n in (2, 3):
                one.load(
                    [rows(at.table, {"id": "a", "n": n}, {"id": f"one{n}", "n": n}, n="bigint")]
                )
                other.load(
                    [rows(at.table, {"id": "b", "n": n}, {"id": f"one{n}", "n": -n}, n="bigint")]
                )
            for target in (one, other):
                assert read(target, at.table, "id", "n") == [
                    *[("a", 3), ("b", 3), ("one2", -2), ("one3", -3)]
                ]


def test_writers_of_two_workspaces_bring_columns_of_their_own(at: At) -> None:
    with at.opened() as one:
        one.load([rows(at.table, {"id": "a"})])
        with at.opened("other") as other:
            other.load([rows(at.table, {"id": "b", "x": 1}, workspace="other", x="bigint")])
            one.load([rows(at.table, {"id": "c", "y": 2}, y="bigint")])
            other.load([rows(at.table, {"id": "d", "z": 3}, workspace="other", z="bigint")])
    found = []
    for workspace in ("default", "other"):
        with at.opened(workspace) as target:
            found += read(target, at.table, "id", "x", "y", "z")
    assert found == at.expected(
        [
            *[("a", None, None, None), ("c", None, 2, None)],
            *[("b", 1, None, None), ("d", None, None, 3)],
        ]
    )


def test_a_writer_of_another_workspace_widens_what_the_first_has_open(at: At) -> None:
    with at.opened() as one:
        one.load([rows(at.table, {"id": "a", "v": 1}, v="bigint")])
        with at.opened("other") as other:
            other.widen(at.table, "v", "double")
            other.load([rows(at.table, {"id": "b", "v": 1.5}, workspace="other", v="double")])
            one.load([rows(at.table, {"id": "c", "v": 2}, v="bigint")])
    with at.opened("other") as target:
        found = {"type": types_of(target, at.table)["v"], "rows": read(target, at.table, "id", "v")}
    assert found == at.expected({"type": "double", "rows": [("b", 1.5)]})


def test_a_target_that_only_reads_touches_nothing(at: At) -> None:
    with at.opened() as target:
        target.load(
            [
                rows(at.table, {"id": "a", "n": 1}, n="bigint"),
                lists(f"{at.table}_list", {"a": ["1"]}),
            ]
        )
    before = at.spot.files(at.dataset)
    with at.opened(read_only=True) as target, target.held_open():
        assert read(target, at.table, "id", "n") == [("a", 1)]
        assert target.has_table(at.table)
        assert len(list(target.batches(f"{at.table}_list"))) == 1
    assert at.spot.files(at.dataset) == before


def test_a_target_that_only_reads_refuses_to_write(at: At) -> None:
    with at.opened() as target:
        target.load([rows(at.table, {"id": "a", "n": 1}, n="bigint")])
    with at.opened(read_only=True) as target:
        found = outcome(
            target, rows(at.table, {"id": "a", "n": 2}, n="bigint"), reading=["id", "n"]
        )
    assert found == at.expected("refused")


# -- history ------------------------------------------------------------------------------------


def test_versions_are_closed_and_opened_in_one_load(at: At) -> None:
    def version(key: str, since: int, until: int | None, n: int) -> Row:
        end = moment(until) if until else None
        return {"id": key, VALID_FROM: moment(since), VALID_TO: end, "n": n}

    def history(*found: Row) -> Batch:
        types = {"n": "bigint", VALID_FROM: "timestamp", VALID_TO: "timestamp"}
        return rows(at.table, *found, key=("id", VALID_FROM), types=types)

    at.target.load([history(version("a", 1, None, 1), version("b", 1, None, 1))])
    [current] = at.target.current_rows(at.table, ["id"], [("a",)], null=VALID_TO)
    assert (current[VALID_FROM], current[VALID_TO], current["n"]) == (moment(1), None, 1)
    closed = {
        "id": current["id"],
        VALID_FROM: current[VALID_FROM],
        VALID_TO: moment(2),
        "n": current["n"],
    }
    for _ in range(2):
        at.target.load([history(closed), history(version("a", 2, None, 2))])
        assert read(at.target, at.table, "id", "n", VALID_FROM, VALID_TO) == [
            ("a", 1, moment(1), moment(2)),
            ("a", 2, moment(2), None),
            ("b", 1, moment(1), None),
        ]
    current_ones = sorted(at.target.select(at.table, ["id", VALID_FROM], null=VALID_TO))
    assert current_ones == [("a", moment(2)), ("b", moment(1))]
    assert at.target.current_rows(at.table, ["id"], [("c",)], null=VALID_TO) == []


def test_lists_of_a_version_are_replaced_together(at: At) -> None:
    def history(since: int, until: int | None, *values: str) -> Batch:
        own = {WORKSPACE: "default", "parent_id": "a", VALID_FROM: moment(since)}
        end = {VALID_TO: moment(until) if until else None}
        found = [{**own, **end, "position": n, "value": value} for n, value in enumerate(values)]
        types = {
            "parent_id": "text",
            "position": "bigint",
            "value": "text",
        }
        spans = {VALID_FROM: "timestamp", VALID_TO: "timestamp"}
        hints = TableHints(at.table, merge_key=(WORKSPACE, "parent_id", VALID_FROM))
        removed = batch(hints, [own], {WORKSPACE: "text", **types, **spans})
        if not values:
            return replace(removed, removes=True)
        return batch(hints, found, {WORKSPACE: "text", **types, **spans})

    def stands() -> list[tuple[Any, ...]]:
        return read(at.target, at.table, VALID_FROM, "position", "value", VALID_TO)

    at.target.load([history(1, None, "1", "2")])
    at.target.load([history(1, 2, "1", "2"), history(2, None, "3")])
    first = [(moment(1), 0, "1", moment(2)), (moment(1), 1, "2", moment(2))]
    assert stands() == [*first, (moment(2), 0, "3", None)]
    at.target.load([history(2, None)])
    assert stands() == first


# -- reading ------------------------------------------------------------------------------------


def test_known_rows_with_their_versions_and_deletions(at: At) -> None:
    found: list[Row] = [
        {"id": "a", "_oa_version": "v1", "_oa_row_hash": "h1", "_oa_detail_version": "v0"},
        {"id": "b", "_oa_version": "v2", DELETED_AT: moment(2)},
        {"id": "c"},
    ]
    at.target.load([rows(at.table, *found, types=STATE)])
    assert at.target.known(at.table, ["id"]) == {
        ("a",): Known("v1", "h1", "v0", False),
        ("b",): Known("v2", None, None, True),
        ("c",): Known(None, None, None, False),
    }


def test_integer_keys_stay_integers(at: At) -> None:
    at.target.load(
        [
            rows(
                at.table,
                {"k": 7, "id": "a"},
                {"k": -1, "id": "b"},
                key=("k",),
                types={"k": "bigint", **STATE},
            )
        ]
    )
    assert set(at.target.known(at.table, ["k"])) == {(7,), (-1,)}
    [row] = at.target.current_rows(at.table, ["k"], [(7,), (8,)])
    assert (row["k"], row["id"]) == (7, "a")
    assert at.target.distinct(at.table, "k") == {7, -1}


def test_known_of_a_table_without_those_columns(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a"})])
    assert at.target.known(at.table, ["id"]) == {("a",): Known(None, None, None, False)}


def test_of_an_unknown_table_nothing_is_read(at: At) -> None:
    target, name = at.target, "unknown"
    assert not target.has_table(name)
    assert target.known(name, ["id"]) == {}
    assert target.current_rows(name, ["id"], [("a",)]) == []
    assert target.distinct(name, "id") == set()
    assert target.largest(name, "id") is None
    assert target.select(name, ["id"]) == []
    assert target.select(name, ["id"], null="n") == []
    assert target.recent(name, ["id"], "id", 3) == []


def test_what_cannot_be_told_of_an_unknown_table(at: At) -> None:
    target = at.target
    found = {
        "hints": raised(lambda: target.hints("unknown")),
        "counts": raised(lambda: target.counts("unknown")),
        "batches": raised(lambda: list(target.batches("unknown"))),
    }
    assert found == at.expected(dict.fromkeys(found, "DestinationError"))


def test_columns_that_are_not_there_are_none(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "b"}, n="bigint")])
    assert read(at.target, at.table, "x", "id", "y") == [(None, "a", None), (None, "b", None)]
    assert read(at.target, at.table, "id", "id") == [("a", "a"), ("b", "b")]


def test_only_columns_that_are_not_there(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "b"}, n="bigint")])
    assert at.target.select(at.table, ["x", "y"]) == at.expected([(None, None), (None, None)])


def test_only_rows_in_which_a_column_is_null(at: At) -> None:
    at.target.load(
        [rows(at.table, {"id": "a", "n": 1}, {"id": "b"}, {"id": "c", "n": 0}, n="bigint")]
    )
    assert at.target.select(at.table, ["id"], null="n") == [("b",)]
    keys = [("a",), ("b",)]
    assert [row["id"] for row in at.target.current_rows(at.table, ["id"], keys, null="n")] == ["b"]


def test_null_of_a_column_that_is_not_there(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a"})])
    found = raised(lambda: at.target.select(at.table, ["id"], null="unknown"))
    assert found == at.expected("DestinationError")


def test_rows_are_found_by_what_they_hold(at: At) -> None:
    keys = ["", " ", "a'b", 'a"b', "%", "_", "é", "🎈", "A", "a", "\\", "a\n"]
    at.target.load([rows(at.table, *({"id": key} for key in keys))])
    for key in keys:
        assert [row["id"] for row in at.target.current_rows(at.table, ["id"], [(key,)])] == [key]
    assert at.target.distinct(at.table, "id") == set(keys)


def test_distinct_values(at: At) -> None:
    found: list[Row] = [{"n": 1, "s": "x"}, {"n": 1, "s": ""}, {"n": 2}]
    numbered = ({"id": str(n), **row} for n, row in enumerate(found))
    at.target.load([rows(at.table, *numbered, n="bigint", s="text")])
    assert at.target.distinct(at.table, "n") == {1, 2}
    assert at.target.distinct(at.table, "s") == {"x", "", None}


def test_distinct_values_of_instants(at: At) -> None:
    found: list[Row] = [{"id": "a", "t": moment(1)}, {"id": "b", "t": moment(1)}, {"id": "c"}]
    at.target.load([rows(at.table, *found, t="timestamp")])
    assert at.target.distinct(at.table, "t") == at.expected({moment(1), None})


def test_largest_values(at: At) -> None:
    types = {"n": "bigint", "x": "double", "s": "text", "absent": "text"}
    found: list[Row] = [{"n": 9, "x": -1.5, "s": "9"}, {"n": 10, "x": -0.5, "s": "10"}, {}]
    numbered = ({"id": str(n), **row} for n, row in enumerate(found))
    at.target.load([rows(at.table, *numbered, types=types)])
    assert [at.target.largest(at.table, name) for name in types] == [10, -0.5, "9", None]


def test_largest_values_of_instants_and_days(at: At) -> None:
    found = [{"id": str(n), "t": moment(n), "d": date(2026, 3, n)} for n in (1, 2)]
    at.target.load([rows(at.table, *found, t="timestamp", d="date")])
    largest = [at.target.largest(at.table, name) for name in ("t", "d")]
    assert largest == at.expected([moment(2), date(2026, 3, 2)])


def test_the_largest_text_goes_by_code_points(at: At) -> None:
    found = [{"id": str(n), "s": text} for n, text in enumerate(["a", "B", "Z"])]
    at.target.load([rows(at.table, *found, s="text")])
    assert at.target.largest(at.table, "s") == "a"


def test_counts_of_rows_deletions_and_backlog(at: At) -> None:
    found: list[Row] = [
        {"id": "loaded", "_oa_version": "1", "_oa_detail_version": "1"},
        {"id": "late", "_oa_version": "2", "_oa_detail_version": "1"},
        {"id": "new", "_oa_version": "1"},
        {"id": "stripped"},
        {"id": "gone", "_oa_version": "1", DELETED_AT: moment(1)},
    ]
    at.target.load(
        [rows(at.table, *found, types=STATE), lists(f"{at.table}_list", {"a": ["1", "2"]})]
    )
    assert at.target.counts(at.table) == Counts(4, 1, 3)
    assert at.target.counts(f"{at.table}_list") == Counts(2, 0, None)
    at.target.load([rows(f"{at.table}_plain", {"id": "a"})])
    assert at.target.counts(f"{at.table}_plain") == Counts(1, 0, None)


def test_recent_rows_come_largest_first(at: At) -> None:
    found = [{"id": str(n), "t": moment(n), "n": n} for n in (2, 4, 1, 3)]
    at.target.load([rows(at.table, *found, t="timestamp", n="bigint")])
    assert at.target.recent(at.table, ["id", "x", "n"], "t", 2) == [
        {"id": "4", "x": None, "n": 4},
        {"id": "3", "x": None, "n": 3},
    ]
    assert [row["id"] for row in at.target.recent(at.table, ["id"], "t", 9)] == ["4", "3", "2", "1"]


def test_rows_without_a_date_are_the_least_recent(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a"}, {"id": "b", "t": moment(1)}, t="timestamp")])
    found = [row["id"] for row in at.target.recent(at.table, ["id"], "t", 2)]
    assert found == at.expected(["b", "a"])


def test_a_query_names_tables_without_schema(at: At) -> None:
    at.target.load([rows(at.table, {"id": "a", "n": 1}, {"id": "b", "n": 2}, n="bigint")])
    found = raised(
        lambda: [tuple(row) for row in at.target.query(f"SELECT max(n) FROM {at.table}")]
    )
    assert found == at.expected([(2,)])


def test_a_wrong_query_is_an_error_of_the_destination(at: At) -> None:
    with pytest.raises(DestinationError):
        at.target.query("SELECT nonsense FROM nowhere")


def test_a_probe_leaves_nothing(at: At) -> None:
    with at.opened() as target:
        assert "may" in target.probe()
        assert target.columns() == []
        target.load([rows(at.table, {"id": "a"})])
        assert "may" in target.probe()
    with at.opened() as target:
        assert {column.table for column in target.columns()} == {at.table}
        assert read(target, at.table, "id") == [("a",)]


def test_tables_of_others_are_found_before_a_load(at: At) -> None:
    at.spot.make_theirs("theirs", at.dataset)
    with at.opened() as target:
        target.require(["ours", "free"])
        with pytest.raises(UnusableDestinationError, match="theirs") as told:
            target.require(["ours", "theirs"])
        assert not told.value.retry
        target.load([rows("ours", {"id": "a"})])
        target.require(["ours", "free"])
    with at.opened(workspace="another") as target:
        target.require(["ours", "free"])
        with pytest.raises(UnusableDestinationError, match="theirs"):
            target.require(["ours", "theirs"])
        assert target.columns() != []


def test_looking_first_leaves_nothing(at: At) -> None:
    with at.opened() as target:
        target.require(["ours"])
        assert target.columns() == []
        target.load([rows("ours", {"id": "a"})])
    with at.opened() as target:
        before = at.spot.files(at.dataset)
        target.require(["ours", "free"])
        assert at.spot.files(at.dataset) == before


def test_deviations_name_tests_and_places() -> None:
    assert all(test in globals() and place in NAMES for test, place in DEVIATES)
    assert {test for test, place in DEVIATES if place == MEMORY} == {
        "test_a_query_names_tables_without_schema",
        "test_a_text_that_nobody_made_room_for",
        "test_a_wider_value_that_nobody_made_room_for",
    }
