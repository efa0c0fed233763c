"""What a scan finds, and what that costs, when a list changes while it is read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.definitions.paths import spelled
from oa_sync.errors import IncompleteListError, InvalidResponseError
from oa_sync.extract.lists.absent import MOST_ASKED
from oa_sync.extract.lists.reading import scan
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import key_of, values_of
from tests.extract.moving_list import (
    REPORTS,
    START,
    UNDATED,
    MovingList,
    PageRead,
    Paging,
    loaded,
    row_of,
    rows_of,
)
from tests.extract.scanning import only, scanned

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})
BY_TWO_KEYS = REPORTS.model_copy(update={"primary_key": ("id", "name")})


def once(step: int, happening: Callable[[MovingList], object]) -> Callable[[MovingList], None]:
    """`happening` before the read with this number, counted from 2."""

    def change(source: MovingList) -> None:
        if source.requests == step - 1:
            happening(source)

    return change


def busy(insert_every: int, delete_every: int, seed: int) -> Callable[[MovingList], None]:
    """Inserts at the front and deletions anywhere, as often as said."""
    chance = random.Random(seed)

    def change(source: MovingList) -> None:
        if insert_every and source.requests % insert_every == 0:
            source.insert(0)
        if delete_every and source.requests % delete_every == 0:
            source.delete(chance.randrange(len(source.rows)))

    return change


@pytest.mark.parametrize("paging", ["number", "cursor"])
@pytest.mark.parametrize("churn", [(1, 1), (0, 1), (3, 2), (2, 1)])
@pytest.mark.parametrize("seconds", [0.01, 2.0], ids=["within a second", "over a minute"])
def test_nothing_that_stays_is_missed_under_constant_insertions_and_deletions(
    seconds: float, churn: tuple[int, int], paging: Paging
) -> None:
    for seed in range(6):
        change, chance = busy(*churn, seed), random.Random(seed)
        source = MovingList(rows_of(360), 30, paging, change, chance, seconds=seconds)
        before = set(source.ids)
        result = scanned(REPORTS, source)
        assert before & set(source.ids) <= result.seen, seed
        assert source.requests <= (26 if paging == "number" else 48), seed


def test_a_list_of_links_is_read_once_more_when_rows_left_it() -> None:
    source = MovingList(rows_of(40), 10, "links", once(3, lambda list_: list_.delete(0)))
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before & set(source.ids) <= result.seen
    assert source.requests == 6


@pytest.mark.parametrize(("paging", "price"), [("number", 1), ("cursor", 2)])
def test_one_row_that_slips_through_a_seam_costs_one_window(paging: Paging, price: int) -> None:
    source = MovingList(rows_of(100), 10, paging, once(5, lambda list_: list_.delete(3)), at_once=1)
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before & set(source.ids) <= result.seen
    assert result.is_complete
    assert source.requests == 10 + price


def test_a_deletion_ahead_costs_one_window_and_a_look_at_the_head() -> None:
    source = MovingList(rows_of(100), 10, change=once(5, lambda list_: list_.delete(95)), at_once=1)
    result = scanned(REPORTS, source)
    assert result.seen == set(source.ids)
    assert source.requests == 12


def test_a_seam_by_cursor_is_looked_into_before_many_more_rows_leave() -> None:
    source = MovingList(rows_of(300), 18, "cursor", lambda list_: list_.delete(0))
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before & set(source.ids) <= result.seen


def test_a_row_that_jumps_to_the_head_is_found_there() -> None:
    source = MovingList(rows_of(100), 10, "cursor", once(5, lambda list_: list_.update(80, to=0)))
    result = scanned(REPORTS, source, loaded(REPORTS, rows_of(100)))
    assert result.seen == set(source.ids)
    assert result.is_complete
    assert (source.requests, result.changed) == (11, 1)


def test_an_insertion_and_a_deletion_in_one_moment_hide_nothing_new_rows_tell() -> None:
    def both(source: MovingList) -> None:
        source.delete(0)
        source.insert(100)

    source = MovingList(rows_of(100), 10, "cursor", once(5, both))
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before & set(source.ids) <= result.seen


def test_a_row_made_just_now_is_no_sign_of_change() -> None:
    rows = [*rows_of(35), row_of("just now", START)]
    for place in (0, 35):
        source = MovingList([*rows[:place], rows[35], *rows[place:35]], 10, seconds=0.01)
        result = scanned(REPORTS, source, loaded(REPORTS, rows_of(36)))
        assert source.requests == 4
        gone = set(result.gone())
        asked = {key for key, row in result.pending.items() if row.wants_detail and not row.raw}
        # On the first page it is known to have been there. Further down it may have come in meanwhile
        # while another row slipped through: what is absent is asked for then.
        assert (gone, asked) == (({"r35"}, set()) if place == 0 else (set(), {"r35"}))


def test_what_is_absent_from_an_unproven_scan_is_asked_for_by_id_and_never_by_the_hundreds() -> (
    None
):
    rows = rows_of(700)
    source = MovingList(rows_of(590), 60, change=busy(0, 1, 1))
    result = scanned(REPORTS, source, loaded(REPORTS, rows))
    asked = [key for key, row in result.pending.items() if not row.raw]
    assert not result.gone()
    assert len(asked) == MOST_ASKED
    one = result.pending[asked[0]]
    assert one.listed.row == {"id": asked[0]}
    # When a list shows it again, its row is written again, with what only the list has.
    assert one.known is not None
    assert one.listed.row_hash != one.known.row_hash


@pytest.mark.parametrize("resource", [WITHOUT_DETAIL, BY_TWO_KEYS], ids=["no detail", "two keys"])
def test_rows_are_kept_when_no_request_can_tell_whether_they_are_gone(resource: object) -> None:
    assert isinstance(resource, type(REPORTS))
    source = MovingList(rows_of(100), 10, change=busy(0, 1, 1))
    result = scanned(resource, source, loaded(resource, rows_of(105)))
    asked = [row for row in result.pending.values() if not row.raw]
    assert not result.gone()
    assert bool(asked) == (resource is BY_TWO_KEYS)


def test_a_total_that_counts_hidden_rows_costs_nothing_in_a_quiet_scan() -> None:
    """The list is below its own total, so it has failed; nothing is read again for that."""
    source = MovingList(rows_of(95), 10, "cursor", hidden=7)
    result = Scan(REPORTS, loaded(REPORTS, rows_of(95)))
    asyncio.run(scan(result, only(source)))
    assert (source.requests, result.is_complete, len(result.pending)) == (10, False, 0)
    assert isinstance(result.error, IncompleteListError)


@pytest.mark.parametrize("paging", ["cursor", "links"])
@pytest.mark.parametrize("told", [{"tells_total": False}, {"hidden": -7}], ids=["no total", "low"])
def test_without_a_total_to_trust_a_second_reading_tells_what_is_gone(
    told: dict[str, int], paging: Paging
) -> None:
    source = MovingList(rows_of(95), 10, paging, **told)  # type: ignore[arg-type]
    result = scanned(WITHOUT_DETAIL, source, loaded(WITHOUT_DETAIL, rows_of(97)))
    assert set(result.gone()) == {"r95", "r96"}
    assert source.requests == 20
    assert (result.new, result.changed, result.unchanged) == (0, 0, 95)


def test_asking_for_two_details_is_cheaper_than_a_second_reading() -> None:
    source = MovingList(rows_of(95), 10, "links", tells_total=False)
    result = scanned(REPORTS, source, loaded(REPORTS, rows_of(97)))
    assert set(result.pending) == {"r95", "r96"}
    assert source.requests == 10


def test_two_readings_that_differ_prove_nothing() -> None:
    source = MovingList(
        rows_of(95), 10, "links", once(14, lambda list_: list_.delete(0)), tells_total=False
    )
    result = scanned(WITHOUT_DETAIL, source, loaded(WITHOUT_DETAIL, rows_of(97)))
    assert not result.gone()


def test_rows_without_times_and_new_rows_among_them_need_a_second_look_before_any_is_gone() -> None:
    resource = UNDATED.model_copy(update={"detail": None})
    source = MovingList(rows_of(40), 10)
    known = loaded(resource, [*rows_of(38), row_of("left", START)])
    result = scanned(resource, source, known)
    assert result.gone() == ["left"]
    assert source.requests == 8


@given(
    st.lists(
        st.text()
        | st.integers()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
    )
)
def test_a_key_gives_its_values_back(values: list[object]) -> None:
    texts = tuple(spelled(value) for value in values)
    assert values_of(key_of(tuple(values)), len(values)) == texts
    assert key_of(texts) == key_of(tuple(values))


def test_nothing_is_taken_of_a_page_with_a_row_that_has_no_key() -> None:
    """Not if no row has one: then the definition is wrong."""
    page = PageRead([{"name": "a"}, {"other": 1}], 2, 0, True, START, True)
    result = Scan(REPORTS, {}, rows={})

    with pytest.raises(InvalidResponseError, match="a row has no id"):
        result.add(page)

    assert not (result.seen or result.pending or result.rows or result.list_keys)


def test_a_first_page_of_odd_rows_keeps_no_other_page_out() -> None:
    odd: list[dict[str, Any]] = [{"id": None}, {"id": None}]
    result = Scan(REPORTS, {})

    result.add(PageRead(odd, 4, 0, False, START, True))
    result.add(PageRead([row_of("a", START), row_of("b", START)], 4, 2, True, START, True))

    assert set(result.pending) == {"a", "b"}
    assert len(result.set_aside) == 2


@pytest.mark.parametrize("size", [1, 20, 100])
def test_twenty_odd_rows_and_no_other_are_the_definitions_fault(size: int) -> None:
    result = Scan(REPORTS, {})
    with pytest.raises(InvalidResponseError, match="a row has no id"):
        for first in range(0, 100, size):
            odd: list[dict[str, Any]] = [{"name": n} for n in range(first, first + size)]
            result.add(PageRead(odd, 100, first, False, START, True))
    assert result.pages == max(1, 20 // size)


def test_a_row_that_has_no_key_is_set_aside_and_proves_no_deletion() -> None:
    """Nor is a list asked for by it, as by a parent."""
    page = PageRead([row_of("a", START), {"other": 1}, None], 3, 0, True, START, True)
    result = Scan(REPORTS, {}, rows={})

    result.add(page)

    assert set(result.rows or {}) == set(result.pending) == {"a"}
    assert [one.where for one in result.set_aside.values()] == ["page 1, row 2", "page 1, row 3"]
    assert len(result.seen) == 3, "they are in the list, and its total counts them"

    result.add(page)  # as a healing reads it again
    assert len(result.set_aside) == 2
