"""Whether a role may do in PostgreSQL what a load does, read from the catalog: nothing is made for it."""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from oa_sync.errors import UnusableDestinationError
from oa_sync.load.postgres.catalog import SCHEMAS, Catalog, Connection, short

_RIGHTS = """
SELECT
    current_user,
    current_database(),
    pg_is_in_recovery(),
    has_database_privilege(current_database(), 'TEMPORARY'),
    CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
         ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END,
    n.oid IS NOT NULL
FROM (SELECT 1) AS one
LEFT JOIN pg_namespace n ON n.nspname = %s
"""
_NOT_CHANGED = """
SELECT c.relname FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s) AND NOT (
    has_table_privilege(c.oid, 'SELECT')
    AND has_table_privilege(c.oid, 'INSERT')
    AND has_table_privilege(c.oid, 'DELETE'))
"""
_TAKEN = """
SELECT c.relname FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s)
"""


def require_rights(connection: Connection, dataset: str, catalog: Catalog) -> None:
    """Make sure that the role may make tables, and change those of ours.

    Raises:
        UnusableDestinationError: it may not; the message has the statement that gives the right.
    """
    [(role, database, is_standby, may_stage, may_create, is_there)] = connection.execute(
        _RIGHTS, [dataset]
    )
    user, schema = (sql.Identifier(n).as_string(connection) for n in (role, dataset))
    base = sql.Identifier(database).as_string(connection)
    if is_standby:
        raise UnusableDestinationError(
            f"postgres: database {database} is on a standby, which takes no changes; name the primary server"
            " in the credentials"
        )
    if not may_create:
        grant = (
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}"
            if is_there
            else f"CREATE SCHEMA {schema} AUTHORIZATION {user}"
        )
        what = (
            f"tables in schema {dataset}" if is_there else f"schema {dataset}, which is not there"
        )
        raise UnusableDestinationError(
            f"postgres: role {role} may not make {what}; have the owner of database {database} run"
            f" {grant}; or choose another --dataset-name"
        )
    if not may_stage:
        raise UnusableDestinationError(
            f"postgres: role {role} may not make temporary tables, by which rows are merged; have the"
            f" owner of database {database} run GRANT TEMPORARY ON DATABASE {base} TO {user}"
        )
    ours = [short(name) for name in (SCHEMAS, *catalog.tables)]
    refused = [name for (name,) in connection.execute(_NOT_CHANGED, [dataset, ours])]
    if refused:
        own_last = sorted(refused, key=lambda name: (name.startswith("_"), name))
        raise UnusableDestinationError(
            f"postgres: role {role} may not change {', '.join(own_last[:5])} in schema {dataset};"
            f" have their owner run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}"
            f" TO {user}, or sync as that owner"
        )


def taken(connection: Connection, dataset: str, names: Collection[str]) -> list[str]:
    """Those of `names` that something in the schema has: a table, a view, whatever it is."""
    by_short = {short(name): name for name in names}
    return [by_short[name] for (name,) in connection.execute(_TAKEN, [dataset, list(by_short)])]
