"""One raw path, one name: dlt's spelling, and no two paths in one column."""

from __future__ import annotations

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.naming import (
    MAX_NAME,
    Names,
    is_named_like_time,
    singular,
    snake_case,
    tag,
)

DLT = NamingConvention()

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    "abAB19_ -@+*|.é", max_size=20
)


@given(texts)
def test_keys_are_spelled_as_dlt_spells_them(key: str) -> None:
    parts = [part for part in key.split("__") if part.strip()]
    expected = "__".join(DLT.normalize_identifier(part) for part in parts)
    assert snake_case(key) == expected


@given(st.lists(st.lists(texts, min_size=1, max_size=3).map(tuple), unique=True, max_size=20))
def test_names_are_distinct_and_dlt_leaves_them_alone(paths: list[tuple[str, ...]]) -> None:
    names = Names(["position"])
    given_names = [names.claim(path, path) for path in paths]
    assert len(set(given_names)) == len(paths)
    for name in given_names:
        assert 0 < len(name) <= MAX_NAME
        assert name != "position"
        assert not name.startswith(("_oa", "_dlt"))
        assert DLT.normalize_path(name) == name


def test_the_first_path_keeps_the_name_and_the_second_gets_a_suffix() -> None:
    names = Names()
    assert names.claim(("fooBar",), ("fooBar",)) == "foo_bar"
    second = names.claim(("foo_bar",), ("foo_bar",))
    assert second.startswith("foo_bar_")
    assert names.claim(("foo_bar",), ("foo_bar",)) == second
    assert names.claim(("fooBar",), ("fooBar",)) == "foo_bar"


def test_a_suffix_depends_on_the_path_alone() -> None:
    one, other = Names(), Names()
    for names in (one, other):
        names.claim(("x", "y"), ("x", "y"))
    other.claim(("X", "y"), ("X", "y"))
    assert one.claim(("x__y",), ("x__y",)) == other.claim(("x__y",), ("x__y",))


def test_a_name_from_an_earlier_sync_stays() -> None:
    names = Names()
    names.keep("foo_bar_abc123", ("foo_bar",))
    assert names.claim(("foo_bar",), ("foo_bar",)) == "foo_bar_abc123"
    assert names.claim(("fooBar",), ("fooBar",)) == "foo_bar"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("position", "field_position"),
        ("_oa_version", "field_oa_version"),
        ("_dlt_id", "field_dlt_id"),
        ("_OA version", "field_oa_version"),
    ],
)
def test_names_of_system_columns_are_given_to_no_key(key: str, name: str) -> None:
    assert Names(["position"]).claim((key,), (key,)) == name


@pytest.mark.parametrize("key", ["", " ", "__"])
def test_a_key_without_a_letter_still_gets_a_name(key: str) -> None:
    assert Names().claim((key,), (key,)).startswith("field_")


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("datasets", "dataset"),
        ("queries", "query"),
        ("licenses", "license"),
        ("statuses", "status"),
        ("address", "address"),
        ("tool_calls", "tool_call"),
    ],
)
def test_singulars(plural: str, one: str) -> None:
    assert singular(plural) == one


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("ties", "tie"),
        ("flies", "fly"),
        ("data", "data"),
        ("analysis", "analysis"),
        ("boxes", "box"),
        ("branches", "branch"),
    ],
)
def test_singulars_of_short_and_odd_words(plural: str, one: str) -> None:
    assert singular(plural) == one


@pytest.mark.parametrize(("key", "name"), [("a__ __b", "a__b"), ("__a", "a"), ("a__é", "a__x")])
def test_an_empty_part_between_double_underscores_is_left_out(key: str, name: str) -> None:
    assert snake_case(key) == name


def test_reserved_names_are_given_to_no_key_and_those_already_given_are_told() -> None:
    names = Names()
    names.claim(("a",), ("a",))
    assert names.reserve(iter(["a", "b"])) == ["a"]
    assert [names.is_reserved(name) for name in ("a", "b", "c")] == [True, True, False]
    assert names.claim(("b",), ("b",)) == "field_b"


def test_the_owner_of_a_name_is_the_path_that_has_it() -> None:
    names = Names()
    names.claim(("fooBar",), ("fooBar",))
    assert (names.owner("foo_bar"), names.owner("other")) == (("fooBar",), None)


def test_names_that_are_made_from_a_path_stay_the_same_in_every_release() -> None:
    """Or an upgrade would rename columns. SHA-1 of the path as JSON, six digits."""
    assert Names().claim(("€",), ("",)) == "field_9f15d9"
    names = Names(["position", "field_position"])
    assert names.claim(("position",), ("position",)) == "field_position_d41d96"


@pytest.mark.parametrize(("letters", "length"), [(MAX_NAME - 1, 119), (MAX_NAME, 120)])
def test_a_name_up_to_the_longest_is_kept_whole(letters: int, length: int) -> None:
    name = Names().claim(("a" * letters,), ("a" * letters,))
    assert name == "a" * length


def test_a_longer_name_is_cut_and_ends_with_six_digits_of_its_path() -> None:
    key = "a" * (MAX_NAME + 1)
    name = Names().claim((key,), (key,))
    assert name == "a" * (MAX_NAME - 7) + "_" + tag((key,))[:6]
    assert len(name) == MAX_NAME


def test_a_suffix_that_is_taken_grows_by_two_digits_until_it_is_free() -> None:
    digits = tag(("foo_bar",))
    names = Names()
    for taken in ("foo_bar", f"foo_bar_{digits[:6]}", f"foo_bar_{digits[:8]}"):
        names.keep(taken, (taken, "other"))
    assert names.claim(("foo_bar",), ("foo_bar",)) == f"foo_bar_{digits[:10]}"


@pytest.mark.parametrize(
    ("path", "is_time"),
    [
        (("created_at",), True),
        (("createdAt",), True),
        (("o", "seen_at"), True),
        (("seen_at", "o"), False),
        (("format",), False),
        (("at",), False),
        (("date",), False),
    ],
)
def test_only_the_last_key_says_whether_a_path_is_named_like_a_time(
    path: tuple[str, ...], is_time: bool
) -> None:
    assert is_named_like_time(path) is is_time
