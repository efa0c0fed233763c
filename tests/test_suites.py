"""What holds the suites together: their table is up to date, the shared PostgreSQL ends with its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.faults.processes import wait_for


def test_the_table_of_the_rest_names_what_is_there(stale_in_rest: set[object]) -> None:
    assert stale_in_rest == set()


RUN = """
import sys
from tests.support.postgres import shared_postgres, sharing
with sharing() as folder:
    print(folder, shared_postgres().create_database("mine"), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("ending", ["its end", "SIGKILL"])
def test_the_shared_postgres_ends_with_its_run(ending: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdin is not None and run.stdout is not None
        folder, url = run.stdout.readline().split()
        psycopg.connect(url).close()
        if ending == "SIGKILL":
            run.send_signal(signal.SIGKILL)
        else:
            run.stdin.close()
        run.wait()
    wait_for(lambda: not Path(folder).exists(), "the server's folder is gone")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
