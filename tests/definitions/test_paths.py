from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.definitions.paths import MISSING, format_path, parse_path, select


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("$", ()),
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("$.a.b", ("a", "b")),
        ("$[*]", ()),
        ("data[*]", ("data",)),
        ("$['a.b'].c", ("a.b", "c")),
        ("['a.b']", ("a.b",)),
        ('x["y z"]', ("x", "y z")),
        ("first name.x", ("first name", "x")),
        ("@odata_next", ("@odata_next",)),
        ("$ref", ("$ref",)),
    ],
)
def test_a_path_is_its_keys(path: str, keys: tuple[str, ...]) -> None:
    assert parse_path(path) == keys


@pytest.mark.parametrize(
    "path", ["", " ", ".", "a.", ".a", "a..b", "a[0]", "a[1:2]", "*", "a.*.b", "a[?(@.x)]", "a['b"]
)
def test_anything_beyond_keys_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path"):
        parse_path(path)


def test_select_tells_null_from_absent() -> None:
    row = {"a": {"b": None, "c.d": [1]}}
    assert select(row, "a.b") is None
    assert select(row, "a.x") is MISSING
    assert select(row, "a.b.c", None) is None
    assert select(row, "a['c.d'][*]") == [1]
    assert select(row, "$") is row
    assert select([1], "a") is MISSING


@given(st.lists(st.text(st.characters(exclude_characters="'\"[]"), min_size=1), max_size=4))
def test_format_and_parse_are_inverse(keys: list[str]) -> None:
    assert parse_path(format_path(tuple(keys))) == tuple(keys)
