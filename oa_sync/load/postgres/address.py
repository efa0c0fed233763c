"""Where the PostgreSQL of `--destination postgres` is, from dlt's configuration."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oa_sync.errors import ConfigurationError
from oa_sync.quota.postgres_address import place_of

CONNECT_SECONDS = 15
_CREDENTIALS = "destination postgres: its credentials"
_FORM = (
    "DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host:5432/database, or"
    " [destination.postgres.credentials] in .dlt/secrets.toml"
)


def address() -> str:
    """The connection string, from `DESTINATION__POSTGRES__CREDENTIALS` and dlt's other names for it.

    dlt wants user, password and host in it. libpq does not: they may come from a socket's folder, a
    `.pgpass`, `PGUSER` or a server that trusts. So what dlt cannot complete is left to libpq as it was written.

    Raises:
        ConfigurationError: there are no credentials, or they are not an address. It does not repeat them.
    """
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.configuration.resolve import resolve_configuration
    from dlt.destinations.impl.postgres.configuration import PostgresCredentials

    try:
        credentials = resolve_configuration(
            PostgresCredentials(), sections=("destination", "postgres")
        )
    except (ConfigurationException, ValueError) as error:
        written = _as_written()
        if written is None:
            raise ConfigurationError(f"{_CREDENTIALS} are not set; use {_FORM}") from error
        return written
    found = str(credentials.to_native_representation())
    place_of(found, _CREDENTIALS)
    return found


def _as_written() -> str | None:
    """The connection string as the user wrote it, None where there is none.

    Raises:
        ConfigurationError: libpq cannot read it.
    """
    import dlt

    text: object = dlt.secrets.get("destination.postgres.credentials")
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        parts = conninfo_to_dict(text)
    except psycopg.ProgrammingError:  # its text may quote the password
        raise ConfigurationError(
            f"{_CREDENTIALS} are not an address of PostgreSQL; use {_FORM}"
        ) from None
    place_of(text, _CREDENTIALS)
    return make_conninfo("", **{"connect_timeout": CONNECT_SECONDS, **parts})
