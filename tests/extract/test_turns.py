"""Whose turn it is among the lists of parents (see `oa_sync.extract.lists.turns`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oa_sync.extract.lists.turns import Turn, Turns, requests_for

PARENTS = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("before", "allowed", "order"),
    [
        (Turn("b", 1, 1), 2, "bca"),
        (Turn("a", 1, 1), 2, "abc"),
        # All are read: from the first one on.
        (Turn("b", 1, 1), None, "abc"),
        # The parent is gone, or there was no turn before.
        (Turn("x", 1, 1), 2, "abc"),
        (None, 2, "abc"),
    ],
)
def test_lists_are_read_on_from_the_one_that_was_left_unread(
    before: Turn | None, allowed: int | None, order: str
) -> None:
    assert Turns(PARENTS, before, allowed).order == list(order)


def test_one_list_is_read_in_any_case_and_none_is_begun_beyond_the_share() -> None:
    turns = Turns(PARENTS, None, 2)
    assert turns.may_begin(9)
    turns.end_one()
    assert [turns.may_begin(pages) for pages in (1, 2, 3)] == [True, False, False]
    free = Turns(PARENTS, None, None)
    free.end_one()
    assert free.may_begin(9)


def test_where_the_next_sync_begins_is_known_until_no_list_is_left() -> None:
    turns = Turns(PARENTS, Turn("b", 1, 1), 2)
    told = []
    for pages in (0, 3, 5, 9):
        told.append(turns.reached(pages))
        turns.end_one()
    assert told == [Turn("b", 0, 0), Turn("c", 3, 1), Turn("a", 5, 2), None]


@pytest.mark.parametrize(
    ("before", "requests"),
    [
        (None, 30),
        (Turn("s", 5, 0), 30),
        # Two pages a list, and a part of one more.
        (Turn("s", 20, 10), 60),
        (Turn("s", 7, 3), 70),
        (Turn("s", 8, 7), 35),
        # A list takes a request at least.
        (Turn("s", 5, 10), 30),
    ],
)
def test_the_requests_for_all_lists_follow_from_those_that_were_read(
    before: Turn | None, requests: int
) -> None:
    assert requests_for(30, before) == requests


def test_a_turn_is_remembered_as_json() -> None:
    turn = Turn("s01", 20, 10)
    assert Turn.from_fact(json.loads(json.dumps(turn.as_fact()))) == turn


@pytest.mark.parametrize(
    "fact",
    [
        None,
        1,
        {},
        {"next": 1, "pages": 1, "parents": 1},
        {"next": "a", "pages": "1", "parents": 1},
        {"next": "a", "pages": 1},
    ],
)
def test_what_is_no_turn_is_remembered_as_none(fact: Any) -> None:
    assert Turn.from_fact(fact) is None
