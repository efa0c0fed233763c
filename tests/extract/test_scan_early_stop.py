"""A list whose latest change stands first is left early only when the rest is proven known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from oa_sync.extract.lists.order_memory import FULL_SCAN_DAYS, LearnedOrder
from tests.extract.moving_list import (
    LONG_AGO,
    REPORTS,
    START,
    MovingList,
    Order,
    row_of,
    rows_of,
    stamp,
)
from tests.extract.scanning import Mirror, versions_at
from tests.support.properties import examples

PLACES = st.integers(0, 40)
CHANGE = (
    st.tuples(st.just("insert"), st.just(0))
    | st.tuples(st.just("delete"), PLACES)
    | st.tuples(st.just("update"), PLACES)
)
WAIT = st.tuples(st.just("wait"), st.sampled_from([0.4, 1.0, 70.0, 400.0, 90_000.0]))
RESTORE = st.just(("restore",))
NIGHT = st.lists(CHANGE | WAIT | RESTORE, max_size=5).map(lambda steps: [*steps, ("sync",)])
NIGHTS = st.lists(NIGHT, min_size=1, max_size=7).map(lambda nights: sum(nights, [("sync",)]))
Script = list[tuple[Any, ...]]


def created(rows: list[dict[str, Any]], *, sorted_by_creation: bool) -> list[dict[str, Any]]:
    """`rows` with a time of creation no later than their version."""
    for number, row in enumerate(rows):
        back = number if sorted_by_creation else number * 7 % 5
        version = datetime.fromisoformat(row["updated_at"])
        row["created_at"] = stamp(version - timedelta(days=1 + back))
    return rows


def by_change(count: int) -> list[dict[str, Any]]:
    """Rows whose versions fall, and whose times of creation are in no order."""
    rows = [row_of(f"r{n}", LONG_AGO - timedelta(hours=n)) for n in range(count)]
    return created(rows, sorted_by_creation=False)


def play(script: Script, mirror: Mirror) -> int:
    """Do what `script` says; after every sync the mirror must equal the list. Gives the syncs that read
    less than the whole list."""
    source, copies, early = mirror.source, [dict(mirror.known)], 0
    for name, *values in script:
        if name == "wait":
            source.now += timedelta(seconds=values[0])
        elif name == "restore":
            mirror.known = dict(copies[-2] if len(copies) > 1 else copies[-1])
        elif name == "sync":
            pages = mirror.sync()
            early += pages < -(-len(source.rows) // source.size)
            assert mirror.versions() == versions_at(source), script
            copies.append(dict(mirror.known))
        else:
            getattr(source, name)(*values)
    return early


@examples(300)
@given(
    count=st.integers(15, 45),
    size=st.integers(1, 6),
    kind=st.sampled_from(
        [
            ("latest_change", "unsorted"),
            ("latest_change", "sorted"),
            ("latest_change", "none"),
            ("stored", "sorted"),
            ("stored", "none"),
        ]
    ),
    script=NIGHTS,
)
@example(  # in the order of creation nothing was ever changed, until the last row is
    count=30,
    size=3,
    kind=("stored", "none"),
    script=[("sync",), ("sync",), ("wait", 400.0), ("update", 29), ("sync",)],
)
@example(  # a deletion and an insertion that leave the total as it was
    count=30,
    size=3,
    kind=("latest_change", "unsorted"),
    script=[("sync",), ("wait", 400.0), ("delete", 9), ("insert", 0), ("sync",)],
)
@example(  # a change in the second in which the scan began
    count=30,
    size=3,
    kind=("latest_change", "unsorted"),
    script=[("sync",), ("update", 11), ("sync",), ("update", 5), ("update", 11), ("sync",)],
)
@example(  # the destination is an older copy, the memory is not
    count=30,
    size=3,
    kind=("latest_change", "unsorted"),
    script=[
        *[("sync",), ("wait", 400.0), *[("update", n) for n in range(8)]],
        *[("sync",), ("wait", 90_000.0), ("update", 0), ("sync",), ("wait", 90_000.0)],
        *[("restore",), ("restore",), ("sync",)],
    ],
)
def test_the_mirror_equals_the_list_after_every_sync(
    count: int, size: int, kind: tuple[Order, str], script: Script
) -> None:
    order, times = kind
    rows = by_change(count)
    if times == "sorted":
        created(rows, sorted_by_creation=True)
    if times == "none":
        for row in rows:
            del row["created_at"]
    source = MovingList(rows, size, order=order, seconds=0.5)
    early = play(script, Mirror(source))
    event(f"left early: {min(early, 3)}")


@examples(200)
@given(
    count=st.integers(21, 45),
    size=st.integers(1, 6),
    script=NIGHTS,
    meanwhile=st.lists(st.lists(CHANGE, max_size=2), max_size=8),
)
def test_changes_while_the_top_is_read_are_found_by_the_next_sync(
    count: int, size: int, script: Script, meanwhile: list[Script]
) -> None:
    source = MovingList(by_change(count), size, order="latest_change", at_once=1)
    mirror = Mirror(source)
    play(script, mirror)
    source.now += timedelta(minutes=10)
    steps = iter(meanwhile)

    def change(list_: MovingList) -> None:
        for name, *places in next(steps, []):
            getattr(list_, name)(*places)

    before = versions_at(source)
    source.change = change
    read_early = mirror.sync() < -(-len(before) // size)
    source.change = lambda _: None
    stayed = before.items() & versions_at(source).items()
    kept = stayed <= mirror.versions().items()
    mirror.sync()
    assert mirror.versions() == versions_at(source)
    assume(read_early)
    assert kept


def test_rows_that_leave_the_top_while_it_is_read_hide_no_new_ones() -> None:
    source = MovingList(by_change(30), 3, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    for _ in range(5):
        source.insert(0)
    source.now += timedelta(hours=1)
    first = source.requests + 1

    def two_leave(list_: MovingList) -> None:
        if list_.requests == first:
            list_.delete(0)
            list_.delete(0)

    source.change = two_leave
    mirror.sync()
    assert mirror.versions() == versions_at(source)


def test_a_row_that_was_replaced_by_one_with_an_old_time_leads_to_a_whole_scan() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    source.delete(4)
    source.rows.append(row_of("restored", LONG_AGO - timedelta(days=300)))
    source.now += timedelta(days=1)
    assert mirror.sync() == 10
    assert mirror.versions() == versions_at(source)


def test_an_unchanged_list_costs_one_page_and_a_changed_one_the_pages_with_changes() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    assert mirror.sync() == 10
    source.now += timedelta(days=1)
    assert mirror.sync() == 1
    for _ in range(15):
        source.now += timedelta(seconds=1)
        source.update(60)
    source.now += timedelta(days=1)
    assert mirror.sync() == 2
    assert mirror.sync() == 1
    assert mirror.versions() == versions_at(source)


def test_a_server_that_changes_its_order_is_read_whole() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    source.order = "stored"
    source.rows[1], source.rows[8] = source.rows[8], source.rows[1]
    source.now += timedelta(days=1)
    source.update(60)
    source.now += timedelta(days=1)
    assert mirror.sync() == 10
    assert mirror.versions() == versions_at(source)


def test_a_destination_that_is_not_what_the_last_scan_left_is_compared_with_the_whole_list() -> (
    None
):
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    key = source.rows[60]["id"]
    older = stamp(LONG_AGO - timedelta(days=99))
    mirror.known[key] = replace(mirror.known[key], version=older, detail_version=older)
    source.now += timedelta(days=1)
    assert mirror.sync() == 10
    assert mirror.versions() == versions_at(source)


def test_the_keys_that_only_rows_below_have_are_remembered() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    for row in source.rows[:10]:
        del row["name"]
    mirror.sync()
    source.now += timedelta(days=1)
    assert mirror.sync() == 1
    assert mirror.last is not None
    assert "name" in mirror.last.list_keys


def test_a_deletion_leads_to_a_whole_scan_which_finds_it() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    source.delete(50)
    source.now += timedelta(days=1)
    assert mirror.sync() == 10
    assert mirror.versions() == versions_at(source)
    assert mirror.sync() == 1


def test_a_list_is_read_whole_every_seven_days_and_then_finds_what_no_version_told() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    row = source.rows[70]
    source.rows[70] = {**row, "name": "renamed without a word"}
    before = mirror.known[row["id"]].row_hash
    for day in range(1, FULL_SCAN_DAYS):
        source.now = START + timedelta(days=day)
        assert mirror.sync() == 1
        assert mirror.known[row["id"]].row_hash == before
    source.now = START + timedelta(days=FULL_SCAN_DAYS, minutes=1)
    assert mirror.sync() == 10
    assert mirror.known[row["id"]].row_hash != before


def test_a_row_that_still_awaits_its_detail_is_read_up_to() -> None:
    source = MovingList(by_change(100), 10, order="latest_change")
    mirror = Mirror(source)
    mirror.sync()
    key = source.rows[34]["id"]
    known = mirror.known[key]
    mirror.known[key] = replace(known, detail_version=None)
    source.now += timedelta(days=1)
    assert mirror.sync() == 4
    assert mirror.known[key].detail_version == known.version
    assert mirror.sync() == 1


def test_lists_without_detail_or_without_a_time_are_never_left_early() -> None:
    without_detail = REPORTS.model_copy(update={"detail": None})
    hashed = REPORTS.model_copy(
        update={"endpoint": REPORTS.endpoint.model_copy(update={"incremental": None})}
    )
    for resource in (without_detail, hashed):
        source = MovingList(by_change(50), 10, order="latest_change")
        mirror = Mirror(source, resource)
        assert [mirror.sync(), mirror.sync(), mirror.sync()] == [5, 5, 5]


def test_an_order_of_rows_without_other_times_is_learned_from_a_row_that_moves_up() -> None:
    rows = [row_of(f"r{n}", LONG_AGO - timedelta(hours=n)) for n in range(50)]
    source = MovingList(rows, 10, order="latest_change")
    mirror = Mirror(source)
    assert [mirror.sync(), mirror.sync()] == [5, 5]
    source.now += timedelta(hours=1)
    source.update(30)
    source.now += timedelta(hours=1)
    assert [mirror.sync(), mirror.sync()] == [5, 1]


def test_two_edits_at_the_top_of_a_list_by_creation_do_not_pass_for_moves() -> None:
    rows = [row_of(f"r{n}", LONG_AGO - timedelta(hours=n)) for n in range(50)]
    source = MovingList(rows, 10)
    mirror = Mirror(source)
    for place in (1, 0):
        mirror.sync()
        source.now += timedelta(hours=1)
        source.update(place)
    source.now += timedelta(hours=1)
    assert [mirror.sync(), mirror.sync()] == [5, 5]


def test_rows_that_were_all_changed_at_once_show_no_order() -> None:
    rows = created([row_of(f"r{n}", LONG_AGO) for n in range(50)], sorted_by_creation=False)
    source = MovingList(rows, 10)
    mirror = Mirror(source)
    mirror.sync()
    source.update(0)
    source.now += timedelta(hours=1)
    assert [mirror.sync(), mirror.sync()] == [5, 5]


def test_an_order_in_which_creation_falls_too_is_not_taken_for_one_by_change() -> None:
    source = MovingList(created(by_change(50), sorted_by_creation=True), 10)
    mirror = Mirror(source)
    assert [mirror.sync(), mirror.sync()] == [5, 5]


def test_an_unsorted_list_is_never_left_early() -> None:
    mirror = Mirror(MovingList(created(rows_of(50), sorted_by_creation=False), 10))
    assert [mirror.sync(), mirror.sync()] == [5, 5]


FACT = {
    "since": "2026-03-02T09:00:00+00:00",
    "read_whole_at": "2026-03-01T09:00:00+00:00",
    "digest": "0" * 32,
    "list_keys": ["id", "name"],
    "by_change": True,
}


@given(
    st.none()
    | st.integers()
    | st.lists(st.text())
    | st.dictionaries(st.sampled_from([*FACT]), st.just(None)).map(lambda bad: FACT | bad)
    | st.sets(st.sampled_from([*FACT])).map(
        lambda lost: {key: value for key, value in FACT.items() if key not in lost}
    )
    | st.dictionaries(
        st.sampled_from(["since", "read_whole_at"]), st.integers() | st.text() | st.lists(st.text())
    ).map(lambda bad: FACT | bad)
)
@example(FACT)
def test_a_damaged_memory_is_as_good_as_none(fact: Any) -> None:
    """What matters of it, that is: the times, the keys, and that each word is there."""
    kept = isinstance(fact, dict) and fact.keys() == FACT.keys()
    matter = ("since", "read_whole_at", "list_keys")
    learned = LearnedOrder.from_fact(fact)
    assert (learned is not None) == (kept and all(fact[key] == FACT[key] for key in matter))
    assert learned is None or LearnedOrder.from_fact(learned.to_fact()) == learned
