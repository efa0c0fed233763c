"""Properties of scans under any interleaving of page reads and changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.extract.moving_list import (
    REPORTS,
    START,
    UNDATED,
    MovingList,
    Paging,
    loaded,
    row_of,
    rows_of,
)
from tests.extract.scanning import scanned

PAGING = st.sampled_from(["number", "cursor", "links"])
PLACES = st.integers(0, 40)
INSERT = st.tuples(st.just("insert"), PLACES)
DELETE = st.tuples(st.just("delete"), PLACES)
MOVE = st.tuples(st.just("update"), PLACES, st.none() | PLACES)
Changes = list[list[tuple[object, ...]]]


def changing(script: Changes) -> Callable[[MovingList], None]:
    """Before each read but the first, the next step of `script`."""
    steps = iter(script)

    def change(source: MovingList) -> None:
        for name, *places in next(steps, []):
            if name == "insert":
                source.insert(*places)  # type: ignore[arg-type]
            elif name == "delete":
                source.delete(*places)  # type: ignore[arg-type]
            else:
                place, to = places
                source.update(place, to=to)  # type: ignore[arg-type]

    return change


@given(
    count=st.integers(1, 30),
    size=st.integers(1, 8),
    paging=PAGING,
    dated=st.booleans(),
    tells_total=st.booleans(),
    loaded_before=st.sets(st.integers(0, 40)),
    young=st.sets(st.integers(0, 29), max_size=3),
    script=st.lists(st.lists(INSERT | DELETE | MOVE, max_size=3), max_size=20),
    seed=st.integers(0, 9),
    seconds=st.sampled_from([0.01, 2.0]),
)
@example(  # the total never changes, four rows are seen of four, and r2 is not among them
    count=4,
    size=2,
    paging="cursor",
    dated=True,
    tells_total=True,
    loaded_before={0, 1, 2},
    young=set(),
    script=[[("delete", 0), ("insert", 40)]],
    seed=0,
    seconds=0.01,
)
def test_a_whole_scan_missed_no_row_that_stayed_and_a_gone_id_is_not_in_the_list(
    count: int,
    size: int,
    paging: Paging,
    dated: bool,
    tells_total: bool,
    loaded_before: set[int],
    young: set[int],
    script: Changes,
    seed: int,
    seconds: float,
) -> None:
    resource = REPORTS if dated else UNDATED
    rows = rows_of(count)
    # Some were loaded and left before the scan; some were changed just before it.
    known = loaded(resource, [row for n, row in enumerate(rows_of(41)) if n in loaded_before])
    rows = [row_of(row["id"], START) if n in young else row for n, row in enumerate(rows)]
    source = MovingList(
        rows,
        size,
        paging,
        changing(script),
        random.Random(seed),
        seconds=seconds,
        tells_total=tells_total or paging == "number",
    )
    before = set(source.ids)
    result = scanned(resource, source, known)
    stayed = before & set(source.ids)
    # Nothing that was loaded drops out of sight: it was seen, is gone, is asked for, or is kept with many others.
    kept = set(result.absent()) if result.is_mass_absent else set()
    assert known.keys() <= result.seen | set(result.gone()) | result.pending.keys() | kept
    assume(result.is_complete and (source.tells_total or source.requests == 1))
    assert stayed <= result.seen
    assert not set(result.gone()) & set(source.ids)


@given(
    count=st.integers(0, 60),
    size=st.integers(1, 12),
    paging=PAGING,
    lost=st.sets(st.integers(0, 80)),
)
def test_a_quiet_scan_reads_each_page_once_and_proves_itself_whole(
    count: int, size: int, paging: Paging, lost: set[int]
) -> None:
    known = loaded(REPORTS, [row for n, row in enumerate(rows_of(81)) if n in lost])
    # The others have come since those were loaded: with older times they may be restored, and prove nothing.
    rows = [
        row if n in lost else row_of(row["id"], START - timedelta(days=1, seconds=7))
        for n, row in enumerate(rows_of(count))
    ]
    source = MovingList(rows, size, paging)
    result = scanned(REPORTS, source, known)
    assert source.requests == max(1, -(-count // size))
    assert result.seen == set(source.ids)
    assert set(result.gone()) == known.keys() - set(source.ids)


@given(
    count=st.integers(20, 60),
    paging=st.sampled_from(["number", "cursor"]),
    where=st.lists(PLACES, max_size=12),
    quiet=st.lists(st.booleans(), max_size=12),
    seed=st.integers(0, 9),
)
def test_a_list_that_only_shrinks_row_by_row_hides_none_that_stays(
    count: int, paging: Paging, where: list[int], quiet: list[bool], seed: int
) -> None:
    script: Changes = []
    for place, pause in zip(where, quiet, strict=False):
        script += [[("delete", place)], *([[]] if pause else [])]
    source = MovingList(
        rows_of(count), 12, paging, changing(script[:4]), random.Random(seed), at_once=1
    )
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before & set(source.ids) <= result.seen


@given(
    count=st.integers(1, 60),
    size=st.integers(1, 12),
    paging=st.sampled_from(["number", "cursor"]),
    script=st.lists(st.lists(INSERT, max_size=2), max_size=20),
)
def test_a_list_that_only_grows_costs_no_more_than_its_pages(
    count: int, size: int, paging: Paging, script: Changes
) -> None:
    source = MovingList(rows_of(count), size, paging, changing(script), at_once=1)
    before = set(source.ids)
    result = scanned(REPORTS, source)
    assert before <= result.seen
    assert result.is_complete
    assert source.requests <= -(-len(source.rows) // size)
