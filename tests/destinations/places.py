"""The destinations that run here, each with a reader written with its own library."""

from __future__ import annotations

import json
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from psycopg import sql
from pyarrow import fs
from pyiceberg.catalog.sql import SqlCatalog

from oa_sync.settings import Settings
from tests.support.postgres import shared_postgres
from tests.support.s3 import BUCKET, dlt_environment, running_s3
from tests.support.syncing import settings_for

Row = dict[str, Any]
DATASET = "openanalyst"
THEIRS = pa.table({"id": [1]})


class Place(ABC):
    """One destination, empty at first, and how to read it without oa-sync. `environment` holds the
    credentials that a sync needs."""

    destination: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}

    def settings(self, base_url: str, **changes: Any) -> Settings:
        """Settings of a sync from `base_url` to here."""
        return settings_for(base_url, self.folder, destination=self.destination, **changes)

    @abstractmethod
    def read(self, table: str) -> list[Row]:
        """All rows of `table`; none where there is no such table."""

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """The type of each column of `table`, as its library spells it; none where there is no such table."""

    @abstractmethod
    def make(self, table: str, dataset: str = DATASET) -> None:
        """Make a `table` with one row that is somebody else's, without oa-sync."""


class DuckDB(Place):
    destination = "duckdb"

    def read(self, table: str) -> list[Row]:
        file = self.folder / "oa_sync.duckdb"
        if not file.exists():
            return []
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                found = connection.sql(f'FROM "{DATASET}"."{table}"').to_arrow_table()
            except duckdb.CatalogException:
                return []
            return list(found.to_pylist())

    def columns(self, table: str) -> dict[str, str]:
        with duckdb.connect(str(self.folder / "oa_sync.duckdb"), read_only=True) as connection:
            found = connection.execute(
                "SELECT column_name, data_type || ' ' || is_nullable FROM information_schema.columns"
                " WHERE table_schema = ? AND table_name = ?",
                [DATASET, table],
            )
            return dict(found.fetchall())

    def make(self, table: str, dataset: str = DATASET) -> None:
        with duckdb.connect(str(self.folder / "oa_sync.duckdb")) as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{dataset}"')
            connection.execute(f'CREATE TABLE "{dataset}"."{table}" AS SELECT 1 AS id')


class Parquet(Place):
    destination = "parquet"

    def settings(self, base_url: str, **changes: Any) -> Settings:
        return super().settings(base_url, bucket_url=str(self.folder / "lake"), **changes)

    def read(self, table: str) -> list[Row]:
        folder = self.folder / "lake" / DATASET / table
        return list(ds.dataset(folder).to_table().to_pylist()) if folder.is_dir() else []

    def columns(self, table: str) -> dict[str, str]:
        folder = self.folder / "lake" / DATASET / table
        return described(ds.dataset(folder).schema) if folder.is_dir() else {}

    def make(self, table: str, dataset: str = DATASET) -> None:
        folder = self.folder / "lake" / dataset / table
        folder.mkdir(parents=True)
        pq.write_table(THEIRS, folder / "theirs.parquet")


class S3(Place):
    destination = "parquet"

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__(folder)
        self.environment = dlt_environment(endpoint)
        self._prefix = f"{BUCKET}/{uuid.uuid4().hex}"
        self._files = fs.S3FileSystem(
            access_key="key", secret_key="secret", endpoint_override=endpoint, region="eu-central-1"
        )

    def settings(self, base_url: str, **changes: Any) -> Settings:
        return super().settings(base_url, bucket_url=f"s3://{self._prefix}", **changes)

    def read(self, table: str) -> list[Row]:
        place = f"{self._prefix}/{DATASET}/{table}"
        if self._files.get_file_info(place).type == fs.FileType.NotFound:
            return []
        return list(ds.dataset(place, filesystem=self._files).to_table().to_pylist())

    def columns(self, table: str) -> dict[str, str]:
        place = f"{self._prefix}/{DATASET}/{table}"
        if self._files.get_file_info(place).type == fs.FileType.NotFound:
            return {}
        return described(ds.dataset(place, filesystem=self._files).schema)

    def make(self, table: str, dataset: str = DATASET) -> None:
        place = f"{self._prefix}/{dataset}/{table}/theirs.parquet"
        pq.write_table(THEIRS, place, filesystem=self._files)


class PostgreSQL(Place):
    destination = "postgres"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url
        self.environment = {"DESTINATION__POSTGRES__CREDENTIALS": url}

    def read(self, table: str) -> list[Row]:
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(DATASET, table))
        with psycopg.connect(self._url, row_factory=psycopg.rows.dict_row) as connection:
            try:
                return connection.execute(query).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def columns(self, table: str) -> dict[str, str]:
        with psycopg.connect(self._url) as connection:
            found = connection.execute(
                "SELECT column_name, data_type || ' ' || is_nullable FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s",
                [DATASET, table],
            )
            return dict(found.fetchall())

    def make(self, table: str, dataset: str = DATASET) -> None:
        schema = sql.Identifier(dataset)
        with psycopg.connect(self._url) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            name = sql.Identifier(dataset, table)
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS id").format(name))


class Delta(Place):
    destination = "delta"

    def settings(self, base_url: str, **changes: Any) -> Settings:
        return super().settings(base_url, bucket_url=str(self.folder / "lake"), **changes)

    def read(self, table: str) -> list[Row]:
        place = self.folder / "lake" / DATASET / table
        if not DeltaTable.is_deltatable(str(place)):
            return []
        return list(DeltaTable(place).to_pyarrow_table().to_pylist())

    def columns(self, table: str) -> dict[str, str]:
        place = self.folder / "lake" / DATASET / table
        if not DeltaTable.is_deltatable(str(place)):
            return {}
        return described(DeltaTable(place).to_pyarrow_dataset().schema)

    def make(self, table: str, dataset: str = DATASET) -> None:
        write_deltalake(str(self.folder / "lake" / dataset / table), THEIRS)


class Iceberg(Place):
    destination = "iceberg"

    def settings(self, base_url: str, **changes: Any) -> Settings:
        return super().settings(base_url, bucket_url=str(self.folder / "lake"), **changes)

    def read(self, table: str) -> list[Row]:
        catalog = self._catalog()
        if not catalog.table_exists(f"{DATASET}.{table}"):
            return []
        return list(catalog.load_table(f"{DATASET}.{table}").scan().to_arrow().to_pylist())

    def columns(self, table: str) -> dict[str, str]:
        catalog = self._catalog()
        if not catalog.table_exists(f"{DATASET}.{table}"):
            return {}
        return described(catalog.load_table(f"{DATASET}.{table}").schema().as_arrow())

    def make(self, table: str, dataset: str = DATASET) -> None:
        catalog = self._catalog()
        catalog.create_namespace_if_not_exists(dataset)
        catalog.create_table((dataset, table), THEIRS.schema)

    def _catalog(self) -> SqlCatalog:
        lake = self.folder / "lake"
        lake.mkdir(exist_ok=True)
        uri = f"sqlite:///{lake / 'iceberg_catalog.db'}"
        return SqlCatalog("oa_sync", uri=uri, warehouse=lake.as_uri())


class SQLite(Place):
    """Through dlt's destination `sqlalchemy`, as any database of dlt's would be."""

    destination = "sqlalchemy"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        url = f"sqlite:///{folder / 'main.sqlite'}"
        self.environment = {"DESTINATION__SQLALCHEMY__CREDENTIALS": url}

    def read(self, table: str) -> list[Row]:
        file = self.folder / f"main__{DATASET}.sqlite"
        if not file.exists():
            return []
        with closing(sqlite3.connect(file)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", [table])
            if found.fetchone() is None:
                return []
            rows = [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
        return [one_column_each(row) for row in rows]

    def columns(self, table: str) -> dict[str, str]:
        with closing(sqlite3.connect(self.folder / f"main__{DATASET}.sqlite")) as connection:
            found = connection.execute(
                'SELECT name, type, "notnull" FROM pragma_table_info(?)', [table]
            )
            return {name: f"{kind} {required}" for name, kind, required in found}

    def make(self, table: str, dataset: str = DATASET) -> None:
        with closing(sqlite3.connect(self.folder / f"main__{dataset}.sqlite")) as connection:
            connection.execute(f'CREATE TABLE "{table}" (id INTEGER)')
            connection.commit()


def described(schema: pa.Schema) -> dict[str, str]:
    """The type of each column, and whether it may be null."""
    return {field.name: f"{field.type} {field.nullable}" for field in schema}


def one_column_each(row: Row) -> Row:
    """`row` with the columns that continue another, as dlt names them, in that one's place; times as such."""
    merged: Row = {}
    for name, value in row.items():
        column = name.partition("__v_")[0]
        if not name.startswith("_dlt"):
            merged[column] = merged.get(column) if value is None else value
    for name, value in merged.items():
        if name.endswith(("_at", "_valid_from", "_valid_to")) and isinstance(value, str):
            merged[name] = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return merged


class Places:
    """Makes empty places; servers are started when first asked for, and shared."""

    names = ("duckdb", "parquet", "parquet on S3", "postgres", "delta", "iceberg", "sqlite")

    def __init__(self, folder: Path, servers: Servers) -> None:
        self._folder, self._servers = folder, servers

    def open(self, name: str) -> Place:
        """An empty place of the kind `name`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        match name:
            case "duckdb":
                return DuckDB(self._folder)
            case "parquet":
                return Parquet(self._folder)
            case "parquet on S3":
                return S3(self._folder, self._servers.s3())
            case "postgres":
                return PostgreSQL(self._folder, shared_postgres().create_database("place"))
            case "delta":
                return Delta(self._folder)
            case "iceberg":
                return Iceberg(self._folder)
            case "sqlite":
                return SQLite(self._folder)
        raise KeyError(name)


class Servers:
    """An S3, started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._s3: str | None = None

    def s3(self) -> str:
        if self._s3 is None:
            self._s3 = self._stack.enter_context(running_s3())
        return self._s3


def canonical(rows: list[Row], ignoring: frozenset[str] = frozenset()) -> list[str]:
    """Rows in a form that is the same for every library: without NULLs, all that is JSON parsed, sorted."""
    return sorted(
        json.dumps(
            {k: _plain(v) for k, v in row.items() if v is not None and k not in ignoring},
            sort_keys=True,
        )
        for row in rows
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone().timestamp()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


@contextmanager
def in_environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    from unittest import mock

    with mock.patch.dict("os.environ", values):
        yield
