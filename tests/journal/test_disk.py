"""How files are written: whole, for their owner alone, and flushed when that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oa_sync.journal.disk import TRIED_BYTES, Disk, require_writable
from tests.support.filesystems import filesystem, fill


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers (inodes) of what was flushed. A test cannot cut the power."""
    numbers: list[int] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        numbers.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return numbers


def free_handle() -> int:
    """The number that the next opened file gets."""
    handle = os.dup(0)
    os.close(handle)
    return handle


def test_a_file_and_its_name_are_flushed_each_when_asked_for(
    tmp_path: Path, flushed: list[int]
) -> None:
    disk, path = Disk(), tmp_path / "segment"
    handle = disk.create(path)
    disk.write(handle, b"first")
    assert flushed == []
    disk.sync(handle)
    assert flushed == [path.stat().st_ino]
    disk.sync_folder(tmp_path)
    assert flushed == [path.stat().st_ino, tmp_path.stat().st_ino]
    disk.close(handle)


def test_no_handle_stays_open(tmp_path: Path) -> None:
    disk, before = Disk(), free_handle()
    disk.close(disk.create(tmp_path / "segment"))
    disk.sync_folder(tmp_path)
    disk.replace(tmp_path / "memory", b"1")
    assert free_handle() == before


def test_a_created_file_is_new_and_for_its_owner_alone(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "segment"
    disk.close(disk.create(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.create(path)


def test_after_a_cut_writing_goes_on_at_the_new_end(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "segment"
    handle = disk.create(path)
    disk.write(handle, b"first half")
    disk.cut(handle, 5)
    disk.write(handle, memoryview(b", second"))
    disk.close(handle)
    assert path.read_bytes() == b"first, second"


def test_what_is_removed_is_gone_whether_it_was_there_or_not(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "segment"
    disk.close(disk.create(path))
    for _ in range(2):
        disk.remove(path)
        assert not path.exists()


def test_a_replaced_file_is_whole_alone_in_its_folder_and_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    left_over = folder / f"memory.{os.getpid()}.tmp"
    for content in (b"a longer one", b"short"):
        Disk().replace(folder / "memory.json", content)
        assert (folder / "memory.json").read_bytes() == content
        assert [file.name for file in folder.iterdir()] == ["memory.json"]
        left_over.write_bytes(b"of a process that was killed while it wrote this")
    assert (folder / "memory.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_is_full_is_told_by_what_is_tried(tmp_path: Path) -> None:
    with filesystem(tmp_path / "disk", "1m") as disk:
        full = fill(disk)
        with pytest.raises(OSError, match="No space left"):
            require_writable(disk)
        full.unlink()
        fill(disk, leaving=TRIED_BYTES)
        require_writable(disk)
        assert len(list(disk.iterdir())) == 1, "and nothing of it stays"
