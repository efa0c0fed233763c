"""Where destinations differ today from what the conformance suite asks of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from oa_sync.tables.batches import WORKSPACE, TableHints
from tests.destinations.conforming import MEMORY, Differs

FILES = ("parquet", "parquet on S3", "delta", "iceberg")
DLT = ("duckdb", "sqlite")


def each(test: str, places: Sequence[str], why: str, found: Any) -> dict[tuple[str, str], Differs]:
    """The same difference at several places."""
    return {(test, place): Differs(why, found) for place in places}


DEVIATES: dict[tuple[str, str], Differs] = {
    # In memory, on purpose.
    **each(
        "test_a_wider_value_that_nobody_made_room_for",
        [MEMORY],
        "it is strict: a value that is wider than its column must have been announced by `widen`",
        "refused",
    ),
    **each("test_a_text_that_nobody_made_room_for", [MEMORY], "as above", "refused"),
    **each(
        "test_a_query_names_tables_without_schema", [MEMORY], "it has no SQL", "DestinationError"
    ),
    # What a database makes of a value.
    **each(
        "test_a_nul_character_in_a_text",
        ["postgres"],
        "no text of PostgreSQL can hold it, so U+FFFD takes its place",
        [("a\ufffdb",)],
    ),
    **each(
        "test_json_is_the_text_that_was_sent",
        ["postgres"],
        "jsonb keeps digits, but writes numbers without exponent, decodes escapes, sorts keys and keeps the"
        " last of two equal ones",
        {
            "[1.0,2.10]": "[1.0, 2.10]",
            '{"a":1.50}': '{"a": 1.50}',
            "1E5": "100000",
            "1e-7": "0.0000001",
            "1.5e+300": f"15{'0' * 299}",
            "-0.0": "0.0",
            "[1E400]": f"[1{'0' * 400}]",
            '"\\u00e9"': '"é"',
            '"\\/"': '"/"',
            '"a\\u0000b"': '"a\ufffdb"',
            '"\\ud83c\\udf88"': '"🎈"',
            '{"\\u0061":1}': '{"a": 1}',
            '{"b": 1, "a": 2}': '{"a": 2, "b": 1}',
            "[ 1 ]": "[1]",
            '{"a":1,"a":2}': '{"a": 2}',
            '{"b":1,"a":2}': '{"a": 2, "b": 1}',
        },
    ),
    **each(
        "test_json_is_the_text_that_was_sent",
        ["sqlite"],
        "dlt's sqlalchemy is given parsed JSON, so numbers are Python's: digits beyond a double are lost, and"
        " what is beyond its range is NULL",
        {
            "1.50": "1.5",
            "-0.10": "-0.1",
            "0.1234567890123456789": "0.12345678901234568",
            "[1.0,2.10]": "[1.0, 2.1]",
            '{"a":1.50}': '{"a": 1.5}',
            "12345678901234567890": "1.2345678901234567e+19",
            "-12345678901234567890": "-1.2345678901234567e+19",
            "[123456789012345678901234567890]": "[1.2345678901234568e+29]",
            "1E5": "100000",
            "-0.0": "0",
            "[1E400]": None,
            '"\\/"': '"/"',
            '{"\\u0061":1}': '{"a": 1}',
            "[ 1 ]": "[1]",
            '{"a":1,"a":2}': '{"a": 2}',
            '{"b":1,"a":2}': '{"b": 1, "a": 2}',
            "null": None,
            '"Ä 🎈"': '"\\u00c4 \\ud83c\\udf88"',
        },
    ),
    **each(
        "test_json_with_half_of_a_surrogate_pair",
        ["duckdb"],
        "DuckDB's JSON does not take the escape, which is valid JSON; a sync leaves out the row every night",
        "refused",
    ),
    **each(
        "test_json_with_half_of_a_surrogate_pair",
        ["postgres"],
        "jsonb does not take it, so U+FFFD takes its place",
        [('"\ufffd"',)],
    ),
    **each("test_json_with_half_of_a_surrogate_pair", ["sqlite"], "the value is lost", [(None,)]),
    **each(
        "test_decimals_keep_38_digits",
        ["sqlite"],
        "SQLite has no decimals: they are doubles",
        [("a", Decimal("1.2345678901234568E+28")), ("b", Decimal("-1.2345678901234568E+28"))],
    ),
    **each(
        "test_distinct_values_of_instants",
        ["sqlite"],
        "the driver's text is not read as an instant here, as `select` does it",
        {"2026-03-01 12:30:00.000000", None},
    ),
    **each(
        "test_largest_values_of_instants_and_days",
        ["sqlite"],
        "as above",
        ["2026-03-02 12:30:00.000000", "2026-03-02"],
    ),
    **each(
        "test_rows_without_a_date_are_the_least_recent",
        ["postgres"],
        "ORDER BY … DESC puts NULL first there",
        ["a", "b"],
    ),
    # Keys and names.
    **each(
        "test_of_several_rows_with_one_key_the_last_wins",
        DLT,
        "dlt's merge keeps any one of them; a key must stand once in a load (`Warehouse.load`)",
        [("a", 1), ("b", 1)],
    ),
    **each(
        "test_of_several_rows_with_one_key_the_last_wins_in_a_first_load_too",
        DLT,
        "a first load is appended, so both are there until the key is loaded again",
        [("a", 1), ("a", 2)],
    ),
    **each(
        "test_the_key_of_a_table_is_read_back",
        DLT,
        "dlt keeps no order of key columns: they come in the order of the columns",
        (WORKSPACE, "part", "number"),
    ),
    **each(
        "test_columns_keep_the_order_in_which_they_came",
        ["sqlite"],
        "dlt takes rows as objects here, and sees the columns in another order",
        ["id", "b", "a", WORKSPACE, "z"],
    ),
    **each(
        "test_names_that_differ_only_after_63_characters",
        ["sqlite"],
        "dlt shortens the names, and reading asks by the long ones: the tables look empty",
        [[], []],
    ),
    # Wider types.
    **each(
        "test_a_wider_column_keeps_its_values_and_takes_wider_ones",
        ["postgres"],
        "numeric has no .0 for whole numbers",
        {"c2_double_json": "2", "c3_double_json": "100000000000000000000"},
    ),
    **each(
        "test_a_wider_column_keeps_its_values_and_takes_wider_ones",
        ["sqlite"],
        "old values stay in a column of their own and are spelled by Python when they are read",
        {
            "c3_double_json": "1e+20",
            "c10_decimal_json": '"1.5"',
        },
    ),
    **each(
        "test_a_column_may_become_wider_again_and_again",
        ["postgres"],
        "7.0 is 7 as text, and jsonb has its own layout",
        [("1", '"7"'), ("2", '"7.5"'), ("3", '"seven"'), ("4", '{"a": 1.50}'), ("none", None)],
    ),
    **each(
        "test_a_column_may_become_wider_again_and_again",
        ["sqlite"],
        "each old value goes from its own type to the last one, and JSON is parsed",
        [("1", "7"), ("2", "7.5"), ("3", '"seven"'), ("4", '{"a": 1.5}'), ("none", None)],
    ),
    **each(
        "test_a_wider_type_is_kept_when_no_load_follows",
        DLT,
        "the schema is stored by the next load only; until then each sync widens again",
        "bigint",
    ),
    **each(
        "test_a_key_column_may_become_wider",
        ["sqlite"],
        "the wider values would go to a second column, and a key cannot be in two",
        "refused",
    ),
    # Values that do not fit.
    **each(
        "test_a_wider_value_that_nobody_made_room_for",
        ["duckdb"],
        "the double is rounded without a word",
        [("a", 1.0), ("b", 2.0)],
    ),
    **each(
        "test_a_text_that_nobody_made_room_for", ["duckdb"], "the column is a BIGINT", "refused"
    ),
    **each(
        "test_a_text_that_nobody_made_room_for",
        ["sqlite"],
        "a column of SQLite takes values of any type",
        [("a", 1), ("b", "two")],
    ),
    **each(
        "test_a_narrower_value_is_made_wider",
        DLT,
        "dlt's schema takes the type that came last: what is read back from then on is cut to it",
        {"type": "bigint", "rows": [("a", 1), ("b", 2)]},
    ),
    **each(
        "test_values_outside_of_their_type",
        ["duckdb"],
        "DuckDB casts lists and bytes to texts",
        {"a list": [("a", "[1]"), ("b", "[2]")], "bytes": [("a", "a"), ("b", "\\xFF")]},
    ),
    **each(
        "test_values_outside_of_their_type",
        ["sqlite"],
        "decimals are doubles",
        {
            "too many digits for decimal": [
                ("a", Decimal(1)),
                ("b", Decimal("1.111111111111111E+34")),
            ]
        },
    ),
    **each("test_rows_without_a_key_are_refused", DLT, "they are appended", [("a",)]),
    **each(
        "test_rows_whose_key_column_is_missing_are_refused",
        DLT,
        "a KeyError goes through",
        "KeyError",
    ),
    **each(
        "test_rows_whose_key_column_is_missing_are_refused",
        ["delta"],
        "a first load does not look at the key",
        [("a",)],
    ),
    # A second writer.
    **each(
        "test_writers_of_two_workspaces_bring_columns_of_their_own",
        [*DLT, "iceberg"],
        "who loads last stores the schema as it knew it: a column that the other made meanwhile is forgotten,"
        " and its values are read as NULL",
        [
            *[("a", None, None, None), ("c", None, None, None)],
            *[("b", 1, None, None), ("d", None, None, 3)],
        ],
    ),
    **each(
        "test_a_writer_of_another_workspace_widens_what_the_first_has_open",
        ["duckdb"],
        "who loads last stores the type as it knew it: values that are there are read back cut",
        {"type": "bigint", "rows": [("b", 1)]},
    ),
    **each(
        "test_a_writer_of_another_workspace_widens_what_the_first_has_open",
        ["sqlite"],
        "as above, and the column with the wider values is forgotten",
        {"type": "bigint", "rows": [("b", None)]},
    ),
    **each(
        "test_a_target_that_only_reads_refuses_to_write",
        [*FILES, "sqlite"],
        "nothing holds it back; no command does it",
        [("a", 2)],
    ),
    # What is not there.
    **each(
        "test_what_cannot_be_told_of_an_unknown_table",
        [*FILES, "postgres"],
        "a KeyError goes through",
        {"hints": "KeyError", "counts": "KeyError", "batches": "KeyError"},
    ),
    **each(
        "test_what_cannot_be_told_of_an_unknown_table",
        DLT,
        "hints are empty, and a ValueError goes through",
        {
            "hints": TableHints("unknown"),
            "counts": "ValueError",
            "batches": "DestinationError",
        },
    ),
    **each(
        "test_only_columns_that_are_not_there",
        [*FILES, *DLT],
        "there is nothing to select, so there are no rows",
        [],
    ),
    **each(
        "test_null_of_a_column_that_is_not_there",
        ["parquet", "parquet on S3"],
        "a KeyError goes through",
        "KeyError",
    ),
    **each(
        "test_null_of_a_column_that_is_not_there",
        ["sqlite"],
        "SQLite takes an unknown name in quotes for a text",
        [],
    ),
}
"""By test and place: why, and what is found there. What is mended goes out of here: the test says so."""
