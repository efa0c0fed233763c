"""What one list row is reduced to, and how it differs from what is loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.lists.changes import (
    Change,
    Known,
    compare,
    content_hash,
    has_coarse_versions,
    is_full,
    listed,
    may_hide_a_change,
    needs_detail,
    version_of,
)
from oa_sync.journal.items import key_of, key_of_earlier, values_of

ROW = {
    "id": 7,
    "name": "Umsatz é",
    "tags": ["b", "a"],
    "size": {"rows": 2.5, "cols": None},
    "ok": True,
}
LOADED = Known("v1", "h1", "v1", deleted=False)


def resource(**words: Any) -> Resource:
    """A resource whose rows have an id and a time, and a detail unless `words` say otherwise."""
    return Resource.model_validate(
        {
            "name": "reports",
            "endpoint": {"path": "reports", "incremental": {"cursor_path": "updated_at"}},
            "primary_key": ["id"],
            "detail": {"path": "reports/{id}"},
            **words,
        }
    )


REPORTS = resource()
UNDATED = resource(endpoint={"path": "reports"})
WITHOUT_DETAIL = resource(detail=None)
BY_TWO = resource(primary_key=["tenant", "id"])
WITHOUT_KEY = resource(primary_key=[], detail=None)


# -- golden values: where one of these moves, an upgrade writes every row of a warehouse again ------


def test_the_hash_of_a_row_is_that_of_earlier_versions() -> None:
    assert content_hash(ROW) == "b38701a110edb4724cefc8a27a0f9aeb"


def test_the_key_of_a_row_without_primary_key_is_that_of_earlier_versions() -> None:
    assert listed(WITHOUT_KEY, ROW).key == "b38701a110edb4724cefc8a27a0f9aeb"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (("rpt_1",), "rpt_1"),
        ((7,), "7"),
        (("acme", 7), '["acme","7"]'),
        ((7, True, 2.5, None), '["7","true","2.5","null"]'),
        ((12345678901234567890123,), "12345678901234567890123"),
        (("a\0b",), "a\ufffdb"),
    ],
)
def test_the_text_of_a_key_is_that_of_earlier_versions(values: tuple[Any, ...], key: str) -> None:
    assert key_of(values) == key


@pytest.mark.parametrize(
    ("earlier", "values"),
    [
        ("rpt_1", ("rpt_1",)),
        ("\x1e7", (7,)),
        ("\x1eTrue", (True,)),
        ("acme\x1f\x1e7", ("acme", 7)),
        ("\x1e7\x1f\x1eTrue\x1f\x1e2.5\x1f\x1e", (7, True, 2.5, None)),
    ],
)
def test_a_key_in_a_journal_of_the_first_format_is_read(
    earlier: str, values: tuple[Any, ...]
) -> None:
    assert key_of_earlier(earlier) == key_of(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((5,), ("\x1e5",)),
        (("a", "b\x1fc"), ("a\x1fb", "c")),
        (('["a","b"]', "c"), ("a", 'b","c')),
        ((10**30 + 1,), (10**30 + 2,)),
        (("01",), (1,)),
        ((1.0,), (1,)),
    ],
)
def test_two_keys_have_two_texts(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert key_of(one) != key_of(other)


def test_a_whole_number_and_its_digits_are_one_key() -> None:
    assert key_of((7,)) == key_of(("7",))
    assert key_of(("acme", 7)) == key_of(("acme", "7"))


@pytest.mark.parametrize(
    "values", [("a\x1fb",), ('["a"]',), ("7",), ("acme", "null", "2.5", "true"), ("", "")]
)
def test_a_key_gives_its_values_back(values: tuple[Any, ...]) -> None:
    """As texts. A single text may look like a composite key."""
    assert values_of(key_of(values), len(values)) == values


@pytest.mark.parametrize("key", ["12", '"ab"', '{"a":1,"b":2}', "null"])
def test_a_key_that_is_no_list_of_values_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not made of 2 values"):
        values_of(key, 2)


def test_a_key_of_another_number_of_values_is_refused() -> None:
    with pytest.raises(ValueError, match="is not made of 3 values"):
        values_of(key_of(("a", "b")), 3)


# -- hash and version -------------------------------------------------------------------------------


def test_the_hash_does_not_depend_on_the_order_of_keys_at_any_depth() -> None:
    turned = {key: ROW[key] for key in reversed(ROW)}
    turned["size"] = {"cols": None, "rows": 2.5}
    assert content_hash(turned) == content_hash(ROW)


@pytest.mark.parametrize(
    "change",
    [{"tags": ["a", "b"]}, {"size": {"rows": 2.5}}, {"ok": 1}, {"id": "7"}, {"more": None}],
)
def test_the_hash_tells_every_other_content_apart(change: dict[str, Any]) -> None:
    assert content_hash({**ROW, **change}) != content_hash(ROW)


@pytest.mark.parametrize(
    ("value", "version"),
    [("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"), (17, "17"), (0, "0"), (False, "false")],
)
def test_the_version_is_the_cursor_field_as_text(value: Any, version: str) -> None:
    row = {"id": "a", "updated_at": value}
    assert listed(REPORTS, row).version == version


@pytest.mark.parametrize("row", [{}, {"updated_at": None}, {"updated_at": {}}, {"updated_at": [1]}])
def test_a_cursor_field_that_is_no_scalar_is_no_version_and_the_hash_stands_for_it(
    row: dict[str, Any],
) -> None:
    assert version_of(REPORTS, row) is None
    entry = listed(REPORTS, {"id": "a", **row})
    assert entry.version == entry.row_hash


def test_without_a_cursor_field_the_hash_is_the_version() -> None:
    entry = listed(UNDATED, {"id": "a", "updated_at": "2026-03-02T09:00:00Z"})
    assert version_of(UNDATED, {"updated_at": "2026-03-02T09:00:00Z"}) is None
    assert entry.version == entry.row_hash


# -- keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [None, {}, {"a": 1}, [], ["a"]])
@pytest.mark.parametrize("part", ["tenant", "id"])
def test_a_composite_key_with_one_part_that_is_no_scalar_is_refused(
    part: str, missing: Any
) -> None:
    row = {"tenant": "acme", "id": 7, part: missing}
    with pytest.raises(InvalidResponseError, match=r"a row has no tenant \+ id"):
        listed(BY_TWO, row)


def test_a_composite_key_with_one_part_absent_is_refused_and_the_row_s_keys_are_named() -> None:
    with pytest.raises(InvalidResponseError, match="its keys are id, name; set primary_key"):
        listed(BY_TWO, {"id": 7, "name": "x"})


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (None, "null"),
        ([1], "a list"),
        ("a", "text"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
    ],
)
def test_a_row_that_is_no_object_is_refused_and_its_kind_is_named(row: Any, kind: str) -> None:
    with pytest.raises(InvalidResponseError, match=f"a row is {kind}, not an object"):
        listed(REPORTS, row)


@pytest.mark.parametrize("value", [0, False, "", 0.0])
def test_a_key_that_is_false_in_python_is_a_key(value: Any) -> None:
    entry = listed(BY_TWO, {"tenant": "acme", "id": value})
    assert entry.key_values == ("acme", value)


def test_rows_that_are_appended_are_told_apart_by_their_content() -> None:
    appended = resource(write_disposition="append", detail=None)
    one, two = (listed(appended, {"id": "a", "n": n}) for n in (1, 2))
    assert one.key == one.row_hash
    assert one.key != two.key


def test_a_row_is_kept_without_its_lists() -> None:
    assert listed(REPORTS, ROW).row == {key: ROW[key] for key in ("id", "name", "size", "ok")}


# -- which list rows are full -----------------------------------------------------------------------

WITH_STEPS = resource(children={"steps": {"table": "steps", "parent_key": ["report_id"]}})
WITH_FIELD = resource(detail={"path": "reports/{id}", "fields": ["body"]})
WITH_BOTH = resource(
    detail={"path": "reports/{id}", "fields": ["body", "steps"]},
    children={"steps": {"table": "steps", "parent_key": ["report_id"]}},
)
WITH_INNER = resource(children={"attributes.steps": {"table": "steps"}})
WITH_INNER_FIELD = resource(
    detail={"path": "reports/{id}", "fields": ["body"]},
    children={"attributes.steps": {"table": "steps"}},
)


@pytest.mark.parametrize(
    ("detailed", "row", "full"),
    [
        (WITHOUT_DETAIL, {}, True),
        # Nothing says what the detail brings: each new or changed row is asked for.
        (REPORTS, {"body": "x"}, False),
        # A child list counts only as a list. The cursor dialect gives a count of steps in its place.
        (WITH_STEPS, {}, False),
        (WITH_STEPS, {"steps": None}, False),
        (WITH_STEPS, {"steps": 3}, False),
        (WITH_STEPS, {"steps": {}}, False),
        (WITH_STEPS, {"steps": "[]"}, False),
        (WITH_STEPS, {"steps": []}, True),
        (WITH_STEPS, {"steps": [{"n": 1}]}, True),
        # A field that is no child list counts whatever it holds, but null.
        (WITH_FIELD, {}, False),
        (WITH_FIELD, {"body": None}, False),
        (WITH_FIELD, {"body": ""}, True),
        (WITH_FIELD, {"body": 0}, True),
        (WITH_FIELD, {"body": []}, True),
        # All of them, whichever comes first.
        (WITH_BOTH, {"body": "x", "steps": []}, True),
        (WITH_BOTH, {"body": "x", "steps": 3}, False),
        (WITH_BOTH, {"body": None, "steps": []}, False),
        (WITH_BOTH, {"steps": []}, False),
        # A child list inside an object: that the object is there is not enough.
        (WITH_INNER, {"attributes": {"name": "x"}}, False),
        (WITH_INNER, {"attributes": {"steps": 3}}, False),
        (WITH_INNER, {"attributes": {"steps": []}}, True),
        (WITH_INNER, {"attributes": None}, False),
        # Where the fields are declared, they alone count.
        (WITH_INNER_FIELD, {"body": "x", "attributes": {}}, True),
    ],
)
def test_a_list_row_is_full_when_it_has_every_field_of_the_detail(
    detailed: Resource, row: dict[str, Any], full: bool
) -> None:
    assert is_full(detailed, row) is full
    assert listed(detailed, {"id": "a", **row}).full is full


# -- comparison -------------------------------------------------------------------------------------


def entry_of(version: str = "v1", row_hash: str = "h1", *, full: bool = False) -> Any:
    entry = listed(REPORTS, {"id": "a"})
    return type(entry)(entry.key, entry.key_values, version, row_hash, full)


@pytest.mark.parametrize(
    ("known", "change"),
    [
        (None, Change.NEW),
        (Known("v1", "h1", "v1", deleted=True), Change.NEW),
        (Known("v0", "h1", "v1", deleted=False), Change.CHANGED),
        (Known("v1", "h0", "v1", deleted=False), Change.CHANGED),
        (Known(None, "h1", "v1", deleted=False), Change.CHANGED),
        (Known("v1", None, "v1", deleted=False), Change.CHANGED),
        (Known("v1", "h1", None, deleted=False), Change.UNCHANGED),
        (LOADED, Change.UNCHANGED),
    ],
)
def test_a_row_is_unchanged_only_if_version_and_content_are_those_of_a_living_row(
    known: Known | None, change: Change
) -> None:
    assert compare(entry_of(), known) is change


@pytest.mark.parametrize(("detail_version", "full"), [(None, True), ("v0", True), (None, False)])
def test_a_full_row_counts_as_changed_where_no_detail_of_its_version_is_loaded(
    detail_version: str | None, full: bool
) -> None:
    """It was loaded when the definition read less of it."""
    known = Known("v1", "h1", detail_version, deleted=False)
    assert compare(entry_of(full=full), known) is (Change.CHANGED if full else Change.UNCHANGED)
    assert compare(entry_of(full=True), LOADED) is Change.UNCHANGED


@pytest.mark.parametrize(
    ("known", "needed"),
    [
        (None, True),
        (LOADED, False),
        (Known("v1", "h1", None, deleted=False), True),
        (Known("v1", "h1", "v0", deleted=False), True),
        # The row changed without a new version, and the detail of this version is there.
        (Known("v1", "h0", "v1", deleted=False), False),
    ],
)
def test_a_detail_is_asked_for_unless_this_version_of_it_is_loaded(
    known: Known | None, needed: bool
) -> None:
    assert needs_detail(REPORTS, entry_of(), known) is needed


@pytest.mark.parametrize(
    ("detailed", "full"), [(REPORTS, True), (WITHOUT_DETAIL, False), (WITHOUT_DETAIL, True)]
)
def test_no_detail_is_asked_for_where_it_would_bring_nothing(
    detailed: Resource, full: bool
) -> None:
    assert not needs_detail(detailed, entry_of(full=full), None)


# -- versions that name a day -----------------------------------------------------------------------

DAY = "2026-03-02T00:00:00Z"
OVER = datetime(2026, 3, 3, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("version", "row_hash", "read_at", "hides"),
    [
        (DAY, "h2", None, True),
        (DAY, "h2", OVER - MOMENT, True),
        (DAY, "h2", OVER, False),
        (DAY, "h2", OVER + MOMENT, False),
        (DAY, "h1", None, False),
        (DAY, "h1", OVER - MOMENT, False),
        ("2026-03-02T00:00:01Z", "h2", None, False),
        ("v1", "h2", OVER - MOMENT, False),
    ],
)
def test_other_content_of_a_day_tells_of_a_change_unless_the_day_was_over_when_it_was_read(
    version: str, row_hash: str, read_at: datetime | None, hides: bool
) -> None:
    assert may_hide_a_change(entry_of(version, row_hash), LOADED, read_at) is hides


@pytest.mark.parametrize(
    ("versions", "coarse"),
    [
        ([], False),
        ([None, "v1", "2026-03-02T00:00:01Z"], False),
        ([None, "v1", DAY], True),
        (["v1"] * 99 + [DAY], True),
        (["v1"] * 100 + [DAY], False),
    ],
)
def test_one_day_among_the_first_hundred_versions_is_enough(
    versions: list[str | None], coarse: bool
) -> None:
    known = {f"r{n}": Known(one, "h", one, deleted=False) for n, one in enumerate(versions)}
    assert has_coarse_versions(known) is coarse
