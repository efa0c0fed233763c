"""The tables of one dataset in PostgreSQL: which there are, and how they are made, extended and widened."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from oa_sync.load.table_schema import TableSchema, schema_of_text
from oa_sync.load.widening import widen_sql
from oa_sync.tables.batches import DELETED_AT
from oa_sync.tables.false_marks import has_false_marks

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMAS = "_oa_schemas"
"""Our table of table schemas."""
_NOT_DROPPED = (
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.InsufficientPrivilege,
)
"""A view of somebody else needs the column; or the table is theirs."""

TYPES = {
    "text": sql.SQL("text"),
    "json": sql.SQL("jsonb"),
    "bigint": sql.SQL("bigint"),
    "double": sql.SQL("double precision"),
    "bool": sql.SQL("boolean"),
    "timestamp": sql.SQL("timestamptz"),
    "date": sql.SQL("date"),
    "decimal": sql.SQL("numeric(38,9)"),
}

_MAX_NAME_BYTES = 63
_COLUMNS = """
SELECT c.relname, a.attname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %s AND c.relkind IN ('r', 'p')
"""


def short(name: str) -> str:
    """`name` as PostgreSQL can store it: at most 63 bytes, the end of longer ones replaced by a hash.

    PostgreSQL itself would cut them off, and two names could become one.
    """
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    kept = name.encode()[: _MAX_NAME_BYTES - 9].decode(errors="ignore")
    return f"{kept}_{digest}"


def quoted(name: str) -> sql.Identifier:
    """A column of ours, quoted."""
    return sql.Identifier(short(name))


def quoted_list(names: Sequence[str]) -> sql.Composed:
    """Columns of ours, quoted, with commas."""
    return sql.SQL(", ").join(quoted(name) for name in names)


class Catalog:
    """`tables` is what `read` found last, and `declared` the tables that only readers have; changes are made in
    the caller's transaction."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self.tables: dict[str, TableSchema] = {}
        self.declared: dict[str, TableSchema] = {}

    def table(self, name: str) -> sql.Identifier:
        """A table of ours, quoted, with its schema."""
        return sql.Identifier(self._dataset, short(name))

    def read(self, connection: Connection) -> None:
        """Look which tables and columns exist. Those that somebody dropped by hand are left out."""
        there: dict[str, set[str]] = defaultdict(set)
        for table, name in connection.execute(_COLUMNS, [self._dataset]):
            there[table].add(name)
        self.tables, self.declared = {}, {}
        if SCHEMAS not in there:
            return
        rows = connection.execute(
            sql.SQL("SELECT name, schema FROM {}").format(self.table(SCHEMAS))
        )
        for table, text in rows:
            schema = schema_of_text(text)
            if schema is not None and short(table) in there:
                kept = {n: c for n, c in schema.columns.items() if short(n) in there[short(table)]}
                self._note(table, replace(schema, columns=kept))

    def lock(self, connection: Connection, *, shared: bool) -> None:
        """Lock the dataset until the end of the transaction: `shared` with others to write rows, else alone
        to change tables."""
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(
            sql.SQL("SELECT {}(hashtextextended(%s, 0))").format(sql.SQL(function)),
            [f"oa_sync {self._dataset}"],
        )

    def create_dataset(self, connection: Connection) -> None:
        """Make the schema and our own table in it, where they are not there."""
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._dataset])
        if found.fetchone() is None:
            dataset = sql.Identifier(self._dataset)
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(dataset))
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, schema text NOT NULL)"
            ).format(self.table(SCHEMAS))
        )

    def extend(self, connection: Connection, name: str, arriving: TableSchema) -> None:
        """Make the table, or give it the columns of `arriving` that it lacks."""
        before, declared = self.tables.get(name), self.declared.get(name)
        after = before.merged(arriving) if before else arriving
        if declared is not None:
            after = self._become(connection, name, declared, arriving)
        elif before is None:
            self._create(connection, name, after)
        elif after.columns != before.columns or after.key != before.key:
            self._alter(connection, name, before, after)
        else:
            return
        self._store(connection, name, after)

    def declare(self, connection: Connection, name: str, schema: TableSchema) -> None:
        """Make a table that has no rows, or give it the columns and types of `schema`; not if it was loaded into
        meanwhile."""
        before = self.declared.get(name)
        if name in self.tables:
            return
        if before is None:
            self._create(connection, name, schema)
        else:
            schema = self._become(connection, name, before, schema)
        self._store(connection, name, schema)
        if has_false_marks(schema.columns):
            with suppress(*_NOT_DROPPED), connection.transaction():
                self.drop_column(connection, name, DELETED_AT)

    def widen(self, connection: Connection, name: str, changed: str, data_type: str) -> None:
        """Give the column `changed` of a table the type `data_type`, converting its values."""
        schema = self.tables[name]
        before = schema.columns[changed].data_type
        for statement in widen_sql(
            "postgres",
            self.table(name).as_string(connection),
            quoted(changed).as_string(connection),
            before,
            data_type,
        ):
            connection.execute(statement.encode())
        self._store(connection, name, schema.retyped(changed, data_type))

    def drop_column(self, connection: Connection, name: str, column: str) -> None:
        """Drop a column; not what uses it: somebody else made that."""
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(self.table(name), quoted(column))
        )
        schema = self.tables.get(name) or self.declared[name]
        self._store(connection, name, schema.without(column))

    def create_index(self, connection: Connection, name: str) -> None:
        """The index on the key of a table, if it is not there; unique where a row has a key of its own."""
        schema = self.tables[name]
        index = short(f"{name}__oa_key")
        found = connection.execute(
            "SELECT 1 FROM pg_indexes WHERE schemaname = %s AND indexname = %s",
            [self._dataset, index],
        )
        if found.fetchone() is not None:
            return
        connection.execute(
            sql.SQL("CREATE {} {} ON {} ({})").format(
                sql.SQL("INDEX" if schema.by_parent else "UNIQUE INDEX"),
                sql.Identifier(index),
                self.table(name),
                quoted_list(schema.key),
            )
        )
        connection.execute(sql.SQL("ANALYZE {}").format(self.table(name)))

    def drop_index(self, connection: Connection, name: str) -> None:
        """Drop that index."""
        index = sql.Identifier(self._dataset, short(f"{name}__oa_key"))
        connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(index))

    def _create(self, connection: Connection, name: str, schema: TableSchema) -> None:
        parts = [self._definition(c, schema) for c in schema.columns]
        connection.execute(
            sql.SQL("CREATE TABLE {} ({})").format(self.table(name), sql.SQL(", ").join(parts))
        )

    def _become(
        self, connection: Connection, name: str, declared: TableSchema, after: TableSchema
    ) -> TableSchema:
        """Make a table without rows what `after` says, and return that with the columns that it had besides. It is
        altered, not made anew: views and grants may be on it."""
        table, add, retype = (
            self.table(name),
            sql.SQL("ADD COLUMN {} {}"),
            sql.SQL("ALTER COLUMN {0} TYPE {1} USING NULL::{1}"),
        )
        parts = [
            (add if c not in declared.columns else retype).format(quoted(c), TYPES[now.data_type])
            for c, now in after.columns.items()
            if c not in declared.columns or declared.columns[c].data_type != now.data_type
        ]
        keys = () if after.is_declared else after.key
        parts += [sql.SQL("ALTER COLUMN {} SET NOT NULL").format(quoted(c)) for c in keys]
        if parts:
            connection.execute(
                sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(parts))
            )
        return replace(after, columns={**declared.columns, **after.columns})

    def _alter(
        self, connection: Connection, name: str, before: TableSchema, after: TableSchema
    ) -> None:
        added = [c for c in after.columns if c not in before.columns]
        if added:
            parts = [
                sql.SQL("ADD COLUMN {} {}").format(quoted(c), TYPES[after.columns[c].data_type])
                for c in added
            ]
            connection.execute(
                sql.SQL("ALTER TABLE {} {}").format(self.table(name), sql.SQL(", ").join(parts))
            )
        for changed, now in after.columns.items():
            if changed in before.columns and before.columns[changed].data_type != now.data_type:
                self.widen(connection, name, changed, now.data_type)
                before = self.tables[name]

    def _definition(self, name: str, schema: TableSchema) -> sql.Composed:
        is_key = name in schema.key and not schema.is_declared
        null = sql.SQL(" NOT NULL" if is_key else "")
        return sql.SQL("{} {}{}").format(quoted(name), TYPES[schema.columns[name].data_type], null)

    def _note(self, name: str, schema: TableSchema) -> None:
        (self.declared if schema.is_declared else self.tables)[name] = schema

    def _store(self, connection: Connection, name: str, schema: TableSchema) -> None:
        self.declared.pop(name, None)
        self._note(name, schema)
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (name, schema) VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET schema = excluded.schema"
            ).format(self.table(SCHEMAS)),
            [name, schema.text()],
        )
