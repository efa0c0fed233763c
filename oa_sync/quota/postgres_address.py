"""The address of a PostgreSQL database, and what of it may stand in a message."""

from __future__ import annotations

from typing import Any

from oa_sync.errors import ConfigurationError


def place_of(address: str, what: str) -> str:
    """Host and database of `address`, without user, password or options. `what`: who gave the address.

    Ask this before the driver gets the address. libpq quotes what it cannot read of one, and what it takes
    for the host: where a password has characters that are not percent-encoded, that is the password.

    Raises:
        ConfigurationError: it cannot be read. Nothing of it stands in the message.
    """
    parts = _parts(address, what)
    return f"{parts.get('host', 'local')}/{parts.get('dbname', '')}"


def server_of(address: str, what: str) -> str:
    """The server that libpq asks for `address`: its `hostaddr` or `host` wherever they stand, and the port.

    Raises:
        ConfigurationError: as `place_of`.
    """
    parts = _parts(address, what)
    host = parts.get("hostaddr") or parts.get("host") or "local"
    return f"{host}:{parts['port']}" if parts.get("port") else str(host)


def _parts(address: str, what: str) -> dict[str, Any]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    authority, _, path = address.partition("://")[2].partition("?")[0].partition("/")
    try:
        # To libpq a password ends at the first "@", and one with a "/" is a host and a database.
        parts = None if authority.count("@") > 1 or "@" in path else conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        parts = None
    if parts is None:
        raise ConfigurationError(
            f"{what} (postgresql://USER:PASSWORD@HOST:PORT/DATABASE): cannot be read; check the address:"
            " in a password, write %40 for @, %2F for /, %3A for :, %23 for #, %3F for ? and %25 for %"
        )
    return parts
