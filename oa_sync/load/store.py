"""Where the files are: a folder on a disk, or anything that fsspec knows."""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import duckdb

from oa_sync.errors import ConfigurationError, DestinationError
from oa_sync.journal.disk import require_writable
from oa_sync.settings import Settings

if TYPE_CHECKING:
    from dlt.common.storages.configuration import FilesystemConfiguration
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)

HIDDEN = ".oa_sync"
"""Folder beside the tables for unfinished files and locks; globs and dataset readers skip it."""

_LOCK_SECONDS = 900.0
_WHOLE_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "azure", "memory"})
"""Protocols on which a file is not visible before its upload is complete. Others: upload, then rename."""


@dataclass(frozen=True)
class Found:
    """A file of a table as listed. `version` changes whenever the file is replaced."""

    name: str
    size: int
    version: tuple[str, ...]


class Store:
    """The files of one dataset, `<bucket_url>/<dataset_name>/<table>/<name>`.

    Raises DestinationError where the place cannot be reached, read or written.
    """

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self.filesystem, root, self.configuration = _resolved(settings)
        self.shown = str(self.configuration)
        self.shown_dataset = f"{self.shown}, dataset {settings.dataset_name},"
        protocols = self.filesystem.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        self.is_local = bool(self._protocols & {"file", "local"})
        self._root = posixpath.join(root, settings.dataset_name)
        self._scratch = Path(self._root) / HIDDEN if self.is_local else scratch

    # -- reading --------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """The names of the folders in the dataset."""
        entries = self._list(self._root)
        names = [_name(entry) for entry in entries if entry["type"] == "directory"]
        return sorted(name for name in names if not name.startswith("."))

    def files(self, table: str) -> list[Found]:
        """The `*.parquet` of `table`, by name."""
        found = [
            Found(_name(entry), int(entry["size"] or 0), _version(entry))
            for entry in self._list(self._path(table))
            if entry["type"] == "file" and _name(entry).endswith(".parquet")
        ]
        return sorted(found, key=lambda file: file.name)

    def open(self, table: str, name: str) -> BinaryIO:
        """A file, to be read in binary."""
        return cast(BinaryIO, self.filesystem.open(self._path(table, name), "rb"))

    def address(self, table: str, name: str) -> str:
        """The path by which DuckDB reads the file, on a connection that `connect` has prepared."""
        path = self._path(table, name)
        return path if self.is_local else str(self.filesystem.unstrip_protocol(path))

    def folder(self, table: str) -> str:
        """The path of the folder of `table`, for the library of a table format."""
        path = self._path(table)
        return path if self.is_local else str(self.filesystem.unstrip_protocol(path))

    def connect(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let `connection` read files by their `address`."""
        if not self.is_local:
            connection.register_filesystem(self.filesystem)

    def local_path(self, table: str, name: str) -> Path | None:
        """Where the file is on a disk; None on an object store."""
        return Path(self._path(table, name)) if self.is_local else None

    # -- writing --------------------------------------------------------------------------------

    def scratch(self, owner: str, table: str) -> Path:
        """A path for an unfinished file of `owner`, from where `replace` can put it in place."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch / f"{owner}@{table}@{uuid.uuid4().hex}.tmp"

    def replace(self, unfinished: Path, table: str, name: str, seen: Found | None) -> None:
        """Replace the file `name` by the one at `unfinished`, in the same instant for every reader.

        `seen` is the file it was made from (None: the name is new). If another process has replaced that
        file meanwhile, nothing is written and DestinationError is raised: the load can be repeated.
        """
        current = next((file for file in self.files(table) if file.name == name), None)
        if current != seen:
            unfinished.unlink()
            raise DestinationError(
                f"{self.shown}: {table}/{name} was changed by another sync while this one wrote it;"
                " run again"
            )
        path = self._path(table, name)
        if self.is_local:
            _rename(unfinished, Path(path))
            return
        if self._protocols & _WHOLE_PUT:
            self.filesystem.put_file(str(unfinished), path)
        else:
            hidden = posixpath.join(self._root, HIDDEN, unfinished.name)
            self.filesystem.makedirs(posixpath.dirname(hidden), exist_ok=True)
            self.filesystem.makedirs(self._path(table), exist_ok=True)
            self.filesystem.put_file(str(unfinished), hidden)
            self.filesystem.mv(hidden, path)
        unfinished.unlink()

    def remove(self, table: str, name: str) -> None:
        """Delete the file `name` of `table`."""
        self.filesystem.rm_file(self._path(table, name))

    def try_writing(self) -> None:
        """Write a file beside the tables and delete it again."""
        self.filesystem.makedirs(self._root, exist_ok=True)
        if self.is_local:
            require_writable(Path(self._root))
            return
        path = posixpath.join(self._root, f".oa_sync_check_{uuid.uuid4().hex}")
        self.filesystem.pipe_file(path, b"")
        self.filesystem.rm_file(path)

    def remove_leftovers(self, owner: str) -> None:
        """Delete the unfinished files of `owner` that a killed process left."""
        folder = posixpath.join(self._root, HIDDEN)
        for entry in self._list(folder):
            if _name(entry).startswith(f"{owner}@"):
                self.filesystem.rm_file(posixpath.join(folder, _name(entry)))

    @contextlib.contextmanager
    def lock(self, table: str) -> Iterator[None]:
        """Keep other processes from replacing files of `table`. This works on disks only.

        On an object store, `replace` looks for a change just before it writes.
        """
        if not self.is_local:
            yield
            return
        from filelock import FileLock, Timeout

        folder = Path(self._root) / HIDDEN
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / f"{table}.lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout:
            raise DestinationError(
                f"{self.shown}: {table}: another sync has been writing for {_LOCK_SECONDS:.0f} s;"
                " run again when it is done"
            ) from None

    # -- paths ----------------------------------------------------------------------------------

    def _path(self, table: str, name: str = "") -> str:
        if not is_folder_name(table):
            raise DestinationError(f"table name {table!r} cannot be the name of a folder")
        return (
            posixpath.join(self._root, table, name) if name else posixpath.join(self._root, table)
        )

    def _list(self, path: str) -> list[dict[str, Any]]:
        if self.is_local:
            return _list_folder(path)
        try:
            entries = self.filesystem.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return [entry for entry in entries if entry["name"].strip("/") != path.strip("/")]


def is_folder_name(table: str) -> bool:
    """Whether `table` names a visible folder and nothing else."""
    return bool(table) and not table.startswith(".") and not set(table) & set("/\\\0")


def _resolved(settings: Settings) -> tuple[AbstractFileSystem, str, FilesystemConfiguration]:
    """The filesystem of `settings.bucket_url`, the path in it, and how it is configured (as text: the
    URL without password).

    Credentials come from dlt's configuration (`DESTINATION__FILESYSTEM__CREDENTIALS__…`) or from
    where the vendor's own library finds them (`AWS_…`).
    """
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.configuration.resolve import resolve_configuration
    from dlt.common.exceptions import MissingDependencyException
    from dlt.common.storages.configuration import FilesystemConfiguration
    from dlt.common.storages.fsspec_filesystem import fsspec_from_config

    if not settings.bucket_url:
        raise ConfigurationError(
            f"destination {settings.destination} needs a folder or bucket: --bucket-url DIR_OR_URL"
        )
    given = FilesystemConfiguration(bucket_url=settings.bucket_url)
    try:
        configuration = resolve_configuration(given, sections=("destination", "filesystem"))
        filesystem, path = fsspec_from_config(configuration)
    except (ConfigurationException, MissingDependencyException, ImportError, ValueError) as error:
        text = " ".join(str(error).split())[:500]
        raise ConfigurationError(
            f"bucket URL {given}: {text}; credentials go to DESTINATION__FILESYSTEM__CREDENTIALS__…"
        ) from error
    return filesystem, path.rstrip("/"), configuration


def _list_folder(path: str) -> list[dict[str, Any]]:
    entries = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                entries.append(
                    {
                        "name": entry.name,
                        "type": "directory" if entry.is_dir() else "file",
                        "size": status.st_size,
                        "ETag": f"{status.st_ino}-{status.st_mtime_ns}",
                    }
                )
    return entries


def _name(entry: dict[str, Any]) -> str:
    return posixpath.basename(str(entry["name"]).rstrip("/"))


def _version(entry: dict[str, Any]) -> tuple[str, ...]:
    """Everything in a listing that changes with a file's content: ETag or times, and size."""
    marks = (
        "ETag",
        "etag",
        "md5Hash",
        "LastModified",
        "last_modified",
        "updated",
        "mtime",
        "created",
    )
    return (str(entry["size"]), *(str(entry[mark]) for mark in marks if mark in entry))


def _rename(unfinished: Path, path: Path) -> None:
    """Rename, and flush the file before and its folder after: a power cut leaves the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
