from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.webhooks.inbox import (
    REMEMBER,
    Delivery,
    Inbox,
    InboxFullError,
    delivery_id,
    inbox_folder,
)
from tests.support.clock import START, ManualClock
from tests.support.properties import examples

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def inbox(tmp_path: Path, clock: ManualClock) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "inbox", clock)) as opened:
        yield opened


def bodies(inbox: Inbox) -> list[bytes]:
    return [delivery.body for delivery in inbox.drain()]


def test_deliveries_come_oldest_first_with_id_and_time(inbox: Inbox) -> None:
    inbox.append(b"second", START + 2 * SECOND)
    inbox.append(b"first", START + timedelta(microseconds=1))
    inbox.append(b"third", START + 2 * SECOND)
    assert list(inbox.drain()) == [
        Delivery(delivery_id(b"first"), START + timedelta(microseconds=1), b"first"),
        Delivery(delivery_id(b"second"), START + 2 * SECOND, b"second"),
        Delivery(delivery_id(b"third"), START + 2 * SECOND, b"third"),
    ]


def test_same_body_twice_is_one_delivery(inbox: Inbox) -> None:
    assert inbox.append(b"body", START)
    assert not inbox.append(b"body", START + SECOND)
    assert [delivery.received_at for delivery in inbox.drain()] == [START]


def test_same_body_twice_in_one_commit_is_one_delivery(inbox: Inbox) -> None:
    assert inbox.append_all([(b"a", START), (b"b", START), (b"a", START)]) == [True, True, False]
    assert bodies(inbox) == [b"a", b"b"]


def test_commit_of_more_deliveries_than_one_statement_takes(inbox: Inbox) -> None:
    many = [(b"%d" % number, START) for number in range(2500)]
    assert inbox.append_all([*many, many[0]]) == [True] * 2500 + [False]
    assert inbox.depth() == 2500
    assert inbox.append_all([]) == []


def test_what_is_not_acknowledged_comes_again_also_after_a_restart(
    inbox: Inbox, tmp_path: Path, clock: ManualClock
) -> None:
    inbox.append_all([(b"one", START), (b"two", START)])
    assert bodies(inbox) == [b"one", b"two"]
    inbox.acknowledge([delivery_id(b"one")])
    inbox.close()
    with closing(Inbox(tmp_path / "inbox", clock)) as again:
        assert bodies(again) == [b"two"]
        assert again.depth() == 1


def test_late_retry_of_an_acknowledged_delivery_stays_a_duplicate_for_thirty_days(
    inbox: Inbox, clock: ManualClock
) -> None:
    inbox.append_all([(b"early", START), (b"late", START)])
    inbox.acknowledge([delivery_id(b"early")])
    clock.advance(10)
    inbox.acknowledge([delivery_id(b"late"), delivery_id(b"early")])
    clock.advance(REMEMBER.total_seconds() - 5)
    inbox.acknowledge([])
    assert not inbox.append(b"late", clock.now())
    assert inbox.append(b"early", clock.now())


def test_thirty_days_do_not_touch_what_still_waits(inbox: Inbox, clock: ManualClock) -> None:
    inbox.append(b"waiting", START)
    clock.advance(10 * REMEMBER.total_seconds())
    inbox.acknowledge([])
    assert bodies(inbox) == [b"waiting"]


def test_many_are_acknowledged_and_forgotten_in_pieces(inbox: Inbox, clock: ManualClock) -> None:
    many = [(b"%d" % number, START) for number in range(1200)]
    inbox.append_all(many)
    inbox.acknowledge(delivery_id(body) for body, _ in many)
    assert inbox.depth() == 0
    clock.advance(REMEMBER.total_seconds() + 1)
    inbox.acknowledge([])
    assert inbox.append_all(many) == [True] * 1200


def test_unknown_ids_are_passed_over(inbox: Inbox) -> None:
    inbox.append(b"one", START)
    inbox.acknowledge([delivery_id(b"never seen")])
    assert bodies(inbox) == [b"one"]


def test_drain_skips_what_another_acknowledges_meanwhile_and_leaves_new_ones(
    inbox: Inbox, tmp_path: Path, clock: ManualClock
) -> None:
    inbox.append_all([(b"one", START), (b"two", START), (b"three", START)])
    draining = inbox.drain()
    assert next(draining).body == b"one"
    with closing(Inbox(tmp_path / "inbox", clock)) as other:
        other.acknowledge([delivery_id(b"two")])
        other.append(b"four", START)
    assert [delivery.body for delivery in draining] == [b"three"]
    assert bodies(inbox) == [b"one", b"three", b"four"]


def test_only_the_owner_can_read_the_files(inbox: Inbox, tmp_path: Path) -> None:
    inbox.append(b"private", START)
    folder = tmp_path / "inbox"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {"inbox.sqlite", "inbox.sqlite-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_permissions_of_an_older_folder_are_tightened(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "inbox.sqlite").touch(mode=0o644)
    tmp_path.chmod(0o755)
    with closing(Inbox(tmp_path, clock)):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "inbox.sqlite").stat().st_mode) == 0o600


def test_every_commit_is_flushed_to_the_disk(inbox: Inbox) -> None:
    # What a power cut takes cannot be seen from here; that SQLite was told to flush can.
    for name, expected in (("synchronous", 2), ("fullfsync", 1)):
        assert inbox._connection.execute(f"PRAGMA {name}").fetchone() == (expected,)


def test_deleted_file_is_made_anew_rather_than_written_in_vain(
    inbox: Inbox, tmp_path: Path, clock: ManualClock
) -> None:
    inbox.append(b"gone", START)
    for path in (tmp_path / "inbox").iterdir():
        path.unlink()
    (tmp_path / "inbox").rmdir()
    assert inbox.append(b"kept", START)
    with closing(Inbox(tmp_path / "inbox", clock)) as other:
        assert bodies(other) == [b"kept"]


def test_file_that_is_in_place_is_not_opened_again(inbox: Inbox) -> None:
    connection = inbox._connection
    inbox.append(b"one", START)
    assert bodies(inbox) == [b"one"]
    assert inbox._connection is connection


def test_what_fails_half_way_stores_nothing_and_does_not_stand_in_the_way(inbox: Inbox) -> None:
    inbox.append(b"one", START)
    with pytest.raises(ValueError, match="hexadecimal"):
        inbox.acknowledge([delivery_id(b"one"), "no id"])
    assert inbox.append(b"two", START)
    assert bodies(inbox) == [b"one", b"two"]


def test_closed_inbox_is_an_error(inbox: Inbox) -> None:
    inbox.close()
    with pytest.raises(OaSyncError, match="closed database"):
        inbox.append(b"one", START)


def test_folders_above_are_made(tmp_path: Path, clock: ManualClock) -> None:
    with closing(Inbox(tmp_path / "home" / "inbox" / "label", clock)) as made:
        assert made.append(b"one", START)


def test_folder_of_a_workspace_is_that_of_earlier_versions() -> None:
    """Where it moves, an upgrade loses what waits there."""
    assert inbox_folder(Path("home"), "default") == Path("home/inbox/37a8eec1ce19687d")


def test_an_inbox_takes_what_fits_to_the_byte_and_counts_free_pages_as_room(
    tmp_path: Path, clock: ManualClock
) -> None:
    with closing(Inbox(tmp_path, clock)) as inbox:
        inbox.append(b"x" * 50_000, START)
        inbox.acknowledge([delivery_id(b"x" * 50_000)])
        pages, free, size = (
            inbox._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    assert free * size > 40_000
    with closing(Inbox(tmp_path, clock, (pages - free) * size + 10)) as inbox:
        with pytest.raises(InboxFullError, match=r"is full \([\d,]+ bytes\)"):
            inbox.append_all([(b"12345", START), (b"678901", START)])
        assert inbox.append_all([(b"12345", START), (b"67890", START)]) == [True, True]


def test_a_full_inbox_knows_what_it_has_and_takes_nothing_else(
    inbox: Inbox, tmp_path: Path, clock: ManualClock
) -> None:
    inbox.append_all([(b"a", START), (b"b", START)])
    inbox.acknowledge([delivery_id(b"a")])
    with closing(Inbox(tmp_path / "inbox", clock, 0)) as full:
        assert full.append_all([(b"a", START), (b"b", START)]) == [False, False]
        for refused in (b"c", b"d"):
            with pytest.raises(InboxFullError):
                full.append_all([(b"a", START), (refused, START)])
        assert bodies(full) == [b"b"]


@pytest.mark.parametrize(
    ("link", "is_followed"),
    [
        ("home", True),
        ("home/inbox", False),
        ("home/inbox/x", False),
        ("home/inbox/x/inbox.lock", False),
    ],
)
def test_no_link_is_followed_inside_home(
    tmp_path: Path, clock: ManualClock, link: str, is_followed: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    if is_followed:
        Inbox(tmp_path / "home" / "inbox" / "x", clock).close()
    else:
        with pytest.raises(ConfigurationError, match="link"):
            Inbox(tmp_path / "home" / "inbox" / "x", clock)
        assert list(elsewhere.iterdir()) == []


def test_damaged_file_is_an_error_that_names_it(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"this is not a database, and long enough to tell" * 99)
    with pytest.raises(OaSyncError, match=r"inbox\.sqlite: the inbox failed"):
        Inbox(tmp_path, clock)


def test_workspaces_have_inboxes_of_their_own_whatever_their_labels(tmp_path: Path) -> None:
    labels = ["default", "Default", "../../etc", "a/b", "", "x" * 5000]
    folders = {inbox_folder(tmp_path, label) for label in labels}
    assert len(folders) == len(labels)
    assert {folder.parent for folder in folders} == {tmp_path / "inbox"}


steps = st.lists(
    st.tuples(st.sampled_from(["append", "acknowledge", "reopen"]), st.lists(st.integers(0, 5))),
    min_size=1,
)


@examples(40)
@given(steps)
def test_any_history_agrees_with_a_list_and_a_set(history: list[tuple[str, list[int]]]) -> None:
    clock = ManualClock()
    with TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder), clock)
        waiting: list[bytes] = []
        seen: set[bytes] = set()
        for action, numbers in history:
            given_bodies: list[Any] = [b"%d" % number for number in numbers]
            if action == "append":
                clock.advance(1)
                for body in given_bodies:
                    assert inbox.append(body, clock.now()) == (body not in seen)
                    waiting += [] if body in seen else [body]
                    seen.add(body)
            elif action == "acknowledge":
                inbox.acknowledge(map(delivery_id, given_bodies))
                waiting = [body for body in waiting if body not in given_bodies]
            else:
                inbox.close()
                inbox = Inbox(Path(folder), clock)
            assert bodies(inbox) == waiting
            assert inbox.depth() == len(waiting)
        inbox.close()
