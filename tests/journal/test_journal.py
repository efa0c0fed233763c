"""What is appended comes back, in order and whole, whatever the end of the file looks like."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oa_sync.errors import ConfigurationError, DiskError, OaSyncError
from oa_sync.journal import journal as journal_module
from oa_sync.journal.disk import Disk
from oa_sync.journal.items import Item, Kind, Sighting
from oa_sync.journal.journal import BUFFER_BYTES, Journal

NOW = datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC)

FULL = Item(
    Kind.DETAIL,
    "reports",
    "k\x1f\x1e1",
    NOW,
    version="v",
    row_hash="h",
    detail_version="d",
    row=b'{"id":1}',
    body=b'{"id":1,"more":2}',
    list_keys=("id", "name"),
    full=False,
    replaces=True,
    first_seen=Sighting(NOW - timedelta(days=1), "webhook"),
    deleted=True,
)
PLAIN = Item(Kind.ROW, "reports", "k", NOW)


def detail(key: str, body: bytes = b"{}") -> Item:
    return Item(Kind.DETAIL, "reports", key, NOW, body=body)


def row(key: str, size: int = 2) -> Item:
    return Item(Kind.ROW, "reports", key, NOW, row=b" " * size)


def written(journal: Journal, *items: Item) -> Path:
    """The segment of `items`."""
    for item in items:
        journal.append(item)
    path = journal.rotate()
    assert path is not None
    return path


def keys(journal: Journal, segment: Path) -> list[str]:
    return [item.key for item in journal.read(segment)]


# -- what comes back --------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [FULL, PLAIN], ids=["every field", "no field"])
def test_an_item_comes_back_with_every_field(tmp_path: Path, item: Item) -> None:
    journal = Journal(tmp_path)
    assert list(journal.read(written(journal, item))) == [item]


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_no_body_and_an_empty_body_are_told_apart(tmp_path: Path, body: bytes | None) -> None:
    journal = Journal(tmp_path)
    item = Item(Kind.DETAIL, "reports", "k", NOW, body=body)
    back, following = journal.read(written(journal, item, detail("next")))
    assert back.body == body
    assert back.nbytes == len(body or b"")
    assert following.key == "next"


def test_a_header_of_an_earlier_version_lacks_two_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = journal_module._header

    def earlier(item: Item) -> dict[str, Any]:
        return {k: v for k, v in header(item).items() if k not in ("first_seen", "deleted")}

    monkeypatch.setattr(journal_module, "_header", earlier)
    journal = Journal(tmp_path)
    (back,) = journal.read(written(journal, FULL))
    assert (back.first_seen, back.deleted) == (None, False)


@pytest.mark.parametrize("spoilt", [{"kind": "of the future"}, {"list_keys": None}])
def test_an_intact_record_that_cannot_be_understood_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: dict[str, Any]
) -> None:
    header = journal_module._header
    monkeypatch.setattr(journal_module, "_header", lambda item: header(item) | spoilt)
    journal = Journal(tmp_path)
    segment = written(journal, PLAIN)
    with pytest.raises(OaSyncError, match=rf"{segment.name} was written by another version"):
        keys(journal, segment)


@pytest.mark.parametrize(("size", "kind"), [(99, bytes), (100, memoryview)])
def test_a_large_body_stays_in_the_file_and_what_follows_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, kind: type
) -> None:
    monkeypatch.setattr(journal_module, "MAPPED_BYTES", 100)
    journal = Journal(tmp_path)
    body = bytes(range(size))
    large, following = journal.read(written(journal, detail("large", body), detail("next")))
    assert isinstance(large.body, kind)
    assert bytes(large.body or b"") == body
    assert following.key == "next"


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (detail("k\x1f\x1e1"), '["k","1"]'),
        (Item(Kind.EVENTS, "runs", "k\x1f\x1e1", NOW), "k\x1f\x1e1"),
    ],
)
def test_keys_of_rows_in_a_file_of_the_first_format_are_written_anew(
    tmp_path: Path, item: Item, key: str
) -> None:
    journal = Journal(tmp_path)
    segment = written(journal, item)
    assert keys(journal, segment) == [item.key]
    segment.write_bytes(segment.read_bytes().replace(b"OAJ2", b"OAJ1"))
    assert keys(journal, segment) == [key]


# -- a damaged end ----------------------------------------------------------------------------------


def test_a_length_that_no_file_can_have_ends_the_reading(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    segment = written(journal, detail("a"), detail("b"))
    content = bytearray(segment.read_bytes())
    length = content.rindex(b"OAJ2") + 20
    content[length : length + 8] = (2**63).to_bytes(8, "little")
    segment.write_bytes(content)
    assert keys(journal, segment) == ["a"]


def test_a_record_that_is_cut_anywhere_ends_the_reading_and_those_before_it_are_kept(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    first = written(journal, FULL).stat().st_size
    segment = written(journal, FULL, detail("b", b'{"some": "body"}'))
    whole = segment.read_bytes()
    for size in range(len(whole)):
        segment.write_bytes(whole[:size])
        assert len(keys(journal, segment)) == (1 if size >= first else 0), size


def test_a_record_with_any_byte_changed_ends_the_reading_and_those_before_it_are_kept(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    first = written(journal, FULL).stat().st_size
    segment = written(journal, FULL, FULL, FULL)
    whole = segment.read_bytes()
    for place in range(first, 2 * first):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        segment.write_bytes(changed)
        assert len(keys(journal, segment)) == 1, place


# -- segments ---------------------------------------------------------------------------------------


def test_segments_are_listed_oldest_first_and_without_the_open_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = (written(journal, detail(key)) for key in "ab")
    journal.append(detail("open"))
    assert journal.segments() == [first, second]
    assert [path.name for path in (first, second)] == ["00000001.oaj", "00000002.oaj"]
    third = journal.rotate()
    assert journal.segments() == [first, second, third]


def test_a_new_segment_has_a_number_above_all_that_are_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = (written(journal, detail(key)) for key in "ab")
    journal.done(first)
    assert not first.exists()
    assert written(Journal(tmp_path), detail("c")).name == "00000003.oaj"
    assert second.exists()


def test_other_files_of_the_folder_are_no_segments(tmp_path: Path) -> None:
    (tmp_path / "notes.oaj").write_text("x")
    (tmp_path / "00000001.oaj.tmp").write_text("x")
    assert Journal(tmp_path).segments() == []


def test_nothing_appended_makes_no_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.rotate() is None
    journal.append(row("a"))
    journal.close()
    assert journal.rotate() is None
    assert len(journal.segments()) == 1


def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not there" / "home" / "journal"
    segment = written(Journal(folder), PLAIN)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (segment, folder, folder.parent)]
    assert modes == [0o600, 0o700, 0o700]


# -- when it is on the disk -------------------------------------------------------------------------


def test_rows_of_lists_are_held_in_memory_until_there_are_enough_of_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(row("a", BUFFER_BYTES // 2))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 0
    journal.append(row("b", BUFFER_BYTES // 2))
    assert file.stat().st_size > BUFFER_BYTES
    journal.append(row("c"))
    journal.close()
    assert keys(journal, file) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", Kind)
def test_what_cost_a_request_of_its_own_is_written_at_once(tmp_path: Path, kind: Kind) -> None:
    journal = Journal(tmp_path)
    journal.append(Item(kind, "reports", "k", NOW, body=b"{}"))
    (file,) = tmp_path.iterdir()
    assert (file.stat().st_size > 0) is (kind in (Kind.DETAIL, Kind.GONE))
    journal.close()
    assert keys(journal, file) == ["k"]


# -- a disk that refuses ----------------------------------------------------------------------------


class Refusing(Disk):
    """Fails where it is told to; a write fails after half of it."""

    refuses = ""

    def __init__(self) -> None:
        self.closed: list[int] = []

    def close(self, handle: int) -> None:
        self.closed.append(handle)
        super().close(handle)

    def write(self, handle: int, data: bytes | bytearray | memoryview) -> None:
        if self.refuses == "write":
            super().write(handle, data[: len(data) // 2])
            self._fail()
        super().write(handle, data)

    def create(self, path: Path) -> int:
        if self.refuses == "create":
            self._fail()
        return super().create(path)

    def sync(self, handle: int) -> None:
        if self.refuses == "sync":
            self._fail()
        super().sync(handle)

    def _fail(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk() -> Refusing:
    return Refusing()


def refused(disk: Refusing, what: str, action: Callable[[], object]) -> None:
    disk.refuses = what
    with pytest.raises(DiskError, match=r"cannot be written \(No space left"):
        action()
    disk.refuses = ""


def test_half_a_record_is_cut_off_and_what_is_appended_later_can_be_read(
    tmp_path: Path, disk: Refusing
) -> None:
    journal = Journal(tmp_path, disk)
    for key in "ab":
        journal.append(detail(key))
    refused(disk, "write", lambda: journal.append(detail("lost")))
    assert keys(journal, written(journal, detail("c"))) == ["a", "b", "c"]


def test_in_a_new_segment_half_a_record_is_cut_off_to_nothing(
    tmp_path: Path, disk: Refusing
) -> None:
    journal = Journal(tmp_path, disk)
    written(journal, detail("a"))
    refused(disk, "write", lambda: journal.append(detail("lost")))
    assert keys(journal, written(journal, detail("b"))) == ["b"]


def test_a_segment_that_cannot_be_made_is_made_by_the_next_append(
    tmp_path: Path, disk: Refusing
) -> None:
    journal = Journal(tmp_path, disk)
    refused(disk, "create", lambda: journal.append(detail("lost")))
    assert keys(journal, written(journal, detail("a"))) == ["a"]


def test_a_segment_that_is_not_made_durable_is_kept_and_the_next_is_another(
    tmp_path: Path, disk: Refusing
) -> None:
    journal = Journal(tmp_path, disk)
    journal.append(detail("a"))
    refused(disk, "sync", journal.rotate)
    assert len(disk.closed) == 1
    second = written(journal, detail("b"))
    assert len(disk.closed) == 2
    assert [keys(journal, segment) for segment in journal.segments()] == [["a"], ["b"]]
    assert second.name == "00000002.oaj"


def test_a_folder_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OaSyncError, match=r"the journal in .*home/journal cannot be written"):
        Journal(tmp_path / "home" / "journal")


@pytest.mark.parametrize(
    ("link", "is_followed"), [("home", True), ("home/journal", False), ("home/journal/x", False)]
)
def test_no_link_is_followed_inside_home(tmp_path: Path, link: str, is_followed: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    if is_followed:
        Journal(tmp_path / "home" / "journal" / "x")
    else:
        with pytest.raises(ConfigurationError, match="link"):
            Journal(tmp_path / "home" / "journal" / "x")


# -- segments that cannot be loaded -----------------------------------------------------------------


def test_loads_that_failed_or_did_not_end_are_counted_for_each_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    one, two = written(journal, detail("a")), written(journal, detail("b"))
    assert journal.failures(one) == 0
    journal.begin(one)
    assert journal.failures(one) == 1, "a process that is killed now leaves it so"
    journal.begin(one)
    assert journal.failed(one) == 2, "the load that was killed, and this one"
    journal.begin(one)
    journal.ended(one)
    journal.ended(one)
    assert (journal.failures(one), journal.failures(two)) == (2, 0)
    assert journal.failed(two) == 1
    assert Journal(tmp_path).failures(one) == 2


def test_a_load_that_ended_without_a_note_leaves_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    segment = written(journal, detail("a"))
    journal.ended(segment)
    assert list(tmp_path.iterdir()) == [segment]


def test_what_is_loaded_is_gone_with_its_failures(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    segment = written(journal, detail("a"))
    journal.failed(segment)
    journal.done(segment)
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_aside_is_not_loaded_until_it_is_taken_back_behind_the_others(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    assert journal.aside() == []
    for key in "abcd":
        segment = written(journal, detail(key))
        if key in "ac":
            journal.failed(segment)
            assert keys(journal, journal.set_aside(segment)) == [key]
            assert journal.failures(segment) == 0
    assert stat.S_IMODE((tmp_path / "aside").stat().st_mode) == 0o700
    assert [keys(journal, each) for each in journal.segments()] == [["b"], ["d"]]
    assert [keys(journal, each) for each in journal.aside()] == [["a"], ["c"]]
    journal.take_back()
    assert journal.aside() == []
    assert [keys(journal, each) for each in journal.segments()] == [["b"], ["d"], ["a"], ["c"]]
