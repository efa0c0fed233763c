"""The files of one table: which there are, what each holds, and whose they are."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow.parquet as pq

from oa_sync.load.destination_errors import destination_errors
from oa_sync.load.staging import ROW
from oa_sync.load.store import Found, Store
from oa_sync.load.table_schema import (
    TableSchema,
    identifier,
    literal,
    projection,
    stored_schema,
)

logger = logging.getLogger(__name__)

_PLAIN_LABEL = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_PARALLEL_FOOTERS = 16


def owner_of(workspace: str) -> str:
    """The prefix of a workspace's file names: the label itself where that is a plain file name.

    Other labels get a hash after a dot, which no plain label has; so no two workspaces share one.
    """
    if _PLAIN_LABEL.fullmatch(workspace):
        return workspace
    plain = re.sub(r"[^a-z0-9_-]+", "_", workspace.lower())[:40].strip("_")
    digest = hashlib.sha256(workspace.encode()).hexdigest()[:12]
    return f"{plain or 'workspace'}.{digest}"


@dataclass(frozen=True)
class LakeFile:
    """One file, the schema it was written with and the bytes of its rows. `number`: its place among its
    owner's files; None: another workspace's."""

    found: Found
    schema: TableSchema
    nbytes: int
    number: int | None


class LakeTable:
    """The files of one table, and the schema that all of them have or will get."""

    def __init__(self, name: str, store: Store, owner: str) -> None:
        self.name = name
        self.schema = TableSchema()
        self.files: list[LakeFile] = []
        self.declared: LakeFile | None = None
        """The file without rows, which only readers have as long as nothing is loaded."""
        self._store = store
        self._own_name = re.compile(re.escape(owner) + r"-(\d{5,})\.parquet")
        self._owner = owner
        self._widened: dict[str, tuple[str, str]] = {}
        self._dropped: set[str] = set()

    @property
    def own(self) -> list[LakeFile]:
        """This workspace's files, oldest first."""
        return sorted(
            (file for file in self.files if file.number is not None),
            key=lambda file: file.number or 0,
        )

    def refresh(self) -> None:
        """Look again which files there are; only files that changed are opened."""
        with destination_errors(f"{self._store.shown}: {self.name}"):
            listed = self._store.files(self.name)
            known = {file.found: file for file in self.files}
            if self.declared is not None:
                known[self.declared.found] = self.declared
            unread = [found for found in listed if found not in known]
            with ThreadPoolExecutor(min(_PARALLEL_FOOTERS, max(1, len(unread)))) as threads:
                read = dict(zip(unread, threads.map(self._read, unread), strict=True))
        files = [known.get(found) or read[found] for found in listed]
        ours = [file for file in files if file is not None]
        self.files = [file for file in ours if not file.schema.is_declared]
        self.declared = next((file for file in ours if file.schema.is_declared), None)
        self.schema = self._common_schema(self.schema)

    def widen(self, column: str, data_type: str) -> None:
        """Give `column` a wider type. Reading converts values at once; the next load converts the files."""
        before = self.schema.columns[column].data_type
        self._widened[column] = (before, data_type)
        self.schema = self._common_schema(self.schema.retyped(column, data_type))

    def drop(self, column: str) -> None:
        """Forget `column`, which files may still have."""
        self._dropped.add(column)
        self.schema = self._common_schema(self.schema)

    def extend(self, arriving: TableSchema) -> None:
        """Let the schema hold the columns of `arriving` as well."""
        self.schema = self._common_schema(self.schema.merged(arriving))

    def next_names(self, count: int) -> list[str]:
        """Names for `count` new files of this workspace."""
        first = max((file.number or 0 for file in self.own), default=-1) + 1
        return [f"{self._owner}-{number:05d}.parquet" for number in range(first, first + count)]

    def relation(
        self, files: Iterable[LakeFile], columns: Sequence[str], *, with_file: str | None = None
    ) -> str:
        """SQL of the `columns` of `files` in the types of the schema, with `ROW` (the row's number in
        its file) and, as column `with_file`, the file's address."""
        alike: list[tuple[TableSchema, list[str]]] = []
        for file in files:
            address = literal(self._store.address(self.name, file.found.name))
            for schema, addresses in alike:
                if _same_types(schema, file.schema):
                    addresses.append(address)
                    break
            else:
                alike.append((file.schema, [address]))
        extra = f", filename AS {identifier(with_file)}" if with_file else ""
        selects = [
            f"SELECT {projection(schema, self.schema, columns)}, file_row_number AS {ROW}{extra}"
            f" FROM read_parquet([{', '.join(addresses)}], file_row_number = true, filename = true)"
            for schema, addresses in alike
        ]
        return " UNION ALL ".join(selects)

    def _common_schema(self, schema: TableSchema) -> TableSchema:
        """The schema of all files and `schema`. What `widen` and `drop` were told wins over the general rule."""
        merged = TableSchema()
        written = sorted((file.schema for file in self.files), key=lambda part: part.version)
        for part in (*written, schema):
            for column, (before, after) in self._widened.items():
                if column in part.columns and part.columns[column].data_type == before:
                    part = part.retyped(column, after)
            merged = merged.merged(part)
        for column in self._dropped:
            merged = merged.without(column)
        newest = written[-1] if written else TableSchema()
        version = newest.version + (newest.columns != merged.columns)
        return replace(merged, version=version)

    def _read(self, found: Found) -> LakeFile | None:
        with (
            destination_errors(f"{self._store.shown}: {self.name}/{found.name} cannot be read"),
            self._store.open(self.name, found.name) as file,
        ):
            metadata = pq.read_metadata(file)
            schema = stored_schema(metadata.schema.to_arrow_schema())
        if schema is None:
            logger.warning(
                "%s: %s/%s was not written by this program and is left alone; readers of the folder will"
                " see its rows too",
                self._store.shown,
                self.name,
                found.name,
            )
            return None
        own = self._own_name.fullmatch(found.name)
        return LakeFile(found, schema, _row_bytes(metadata), int(own[1]) if own else None)


def _row_bytes(metadata: pq.FileMetaData) -> int:
    return sum(
        metadata.row_group(group).column(column).total_compressed_size
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )


def _same_types(one: TableSchema, other: TableSchema) -> bool:
    return one.columns.keys() == other.columns.keys() and not one.differs_in_type(other)
