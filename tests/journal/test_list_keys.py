"""What a list row replaces of a loaded row, by the keys that its list is known to carry."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.journal.list_keys import ListKeys, keys_of_row, without_inner

ROW: dict[str, Any] = {
    "id": 1,
    "owner": {"login": "x", "seen": {"at": 1}},
    "none": {},
    "lines": [{"n": 1}],
    "a.b": None,
    '["': 1,
    '["q"]': {"r": 1},
    "1": True,
    '"x"': True,
}


@pytest.mark.parametrize(
    ("path", "is_told"),
    [
        (("id",), True),
        (("owner", "login"), True),
        (("owner", "email"), False),
        (("owner", "seen", "at"), True),
        (("owner", "seen", "by"), False),
        (("owner", "keys", "[]"), False),
        (("none", "email"), False),
        (("lines", "[]", "n"), True),
        (("lines", "[]", "later"), True),
        (("a.b",), True),
        (("a", "b"), False),
        (("body",), False),
        (('["',), True),
        (('["q"]', "r"), True),
        (('["q"]', "s"), False),
        (("q",), False),
        (("id", "was an object once"), True),
        (("owner", "login", "was an object once"), True),
        (("owner", "email", "is an object"), False),
        (("1",), True),
        (('"x"',), True),
        (("x",), False),
    ],
)
def test_a_list_tells_what_its_rows_have(path: tuple[str, ...], is_told: bool) -> None:
    assert ListKeys(keys_of_row(ROW, inside=True)).tell(path) is is_told


def test_without_the_keys_inside_an_object_is_told_whole() -> None:
    for keys in (keys_of_row(ROW, inside=False), without_inner(keys_of_row(ROW, inside=True))):
        told = ListKeys(keys)
        assert told.tell(("owner", "email"))
        assert not told.tell(("body",))


def test_an_object_of_any_depth_is_looked_into_as_deep_as_columns_go() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    told = ListKeys(keys_of_row({"deep": deep}, inside=True))
    assert told.tell(("deep", "a", "a"))
    assert not told.tell(("deep", "a", "b"))


def test_a_key_of_a_journal_of_an_earlier_version_is_one_at_the_top() -> None:
    assert ListKeys(["[x"]).tell(("[x",))
