"""The API key, and passwords in addresses, stand nowhere: not on disk, in no log, message or table."""

from __future__ import annotations

import logging
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import duckdb
import pytest

from oa_sync.cli.logs import configure
from oa_sync.commands.sync import sync
from oa_sync.extract.extraction import Extraction
from oa_sync.settings import Settings
from tests.faults.places import place
from tests.faults.processes import Point, sync_until, syncing, wait_for
from tests.faults.test_unfinished import AMONG_DETAILS
from tests.support.command import PATIENCE
from tests.support.syncing import settings_for

CANARY = "oa_live_canary7Q4mZxW2"
PASSWORD = "pw_canary_9f3k"
LOUD = ("-v", "--log-format", "json", "--json")


def found_in(folder: Path, secret: str = CANARY) -> list[Path]:
    """The files below `folder` that hold the secret in clear."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if secret.encode() in path.read_bytes()]


def tables_text(settings: Settings) -> str:
    """Every value of every table, dlt's own too: in the file they may be compressed."""
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
        ).fetchall()
        return "".join(
            str(connection.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall())
            for schema, name in names
        )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and everything it printed."""
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output + errors


def test_a_whole_cycle_with_failures_leaves_the_key_nowhere(tmp_path: Path) -> None:
    with place(tmp_path, api_key=CANARY) as watched:
        for faults, code in (("", 0), ("500=1,paths=/reports/", 1), ("403=1", 5), ("", 0)):
            watched.changes.make(3)
            watched.server.emulator.faults.set(faults)
            with syncing(watched.settings, *LOUD) as process:
                wait_for(lambda: watched.state.counters.total > 0, "a request")
                line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                assert b"base-url" in line
                assert CANARY.encode() not in line
                exit_code, printed = finished(process)
            assert exit_code == code
            assert CANARY not in printed
            watched.state.counters.reset()
        assert not found_in(tmp_path)
        assert CANARY not in tables_text(watched.settings)


def test_a_key_that_the_api_refuses_ends_in_5_and_stands_nowhere(tmp_path: Path) -> None:
    wrong = CANARY.removeprefix("oa_")
    with place(tmp_path, api_key=wrong) as watched:
        with syncing(watched.settings, *LOUD) as process:
            exit_code, printed = finished(process)
        assert exit_code == 5
        assert watched.state.counters.by_status == {401: 1}, "one request told it"
    assert wrong not in printed
    assert not found_in(tmp_path, wrong)


@pytest.mark.parametrize(
    "point", [AMONG_DETAILS, Point("dlt.pipeline.pipeline:Pipeline.load")], ids=str
)
def test_what_a_killed_sync_leaves_holds_no_key_and_is_for_its_owner_alone(
    point: Point, tmp_path: Path
) -> None:
    with place(tmp_path, api_key=CANARY) as killed:
        sync_until(point, killed.settings)
        assert not found_in(tmp_path)
        home = killed.settings.home
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        for folder in (home / "journal", killed.folder, home / "dlt", home / "locks"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        files = [*killed.folder.rglob("*.oaj"), *home.glob("quota.sqlite3*")]
        assert len(files) > 1
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


# -- answers that hold the key --------------------------------------------------------------------


@contextmanager
def echoing(status: int) -> Iterator[str]:
    """An API that answers everything with `status` and the headers it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers.get("Authorization", "")
            body = f'{{"error": {{"code": "{sent}", "message": "you sent {sent}"}}}}'.encode()
            self.send_response(status, f"no {sent}")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Request-Id", sent)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "code"), [(401, 5), (422, 1), (200, 1)])
def test_an_answer_that_echoes_the_key_does_not_get_it_into_a_message(
    status: int, code: int, tmp_path: Path
) -> None:
    with echoing(status) as base_url:
        settings = settings_for(base_url, tmp_path, api_key=CANARY, dialect="page")
        with syncing(settings, *LOUD) as process:
            exit_code, printed = finished(process)
    assert exit_code == code
    assert CANARY not in printed
    assert not found_in(tmp_path)
    assert CANARY not in tables_text(settings)


@pytest.mark.parametrize("key", [f"{CANARY}\nX-More: 1", f"{CANARY}\u00e9", f"{CANARY} \x7f"])
def test_a_key_that_cannot_be_sent_is_not_printed(key: str, tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path, api_key=key, dialect="page")
    with syncing(settings, *LOUD) as process:
        exit_code, printed = finished(process)
    assert exit_code in (1, 2)
    assert CANARY not in printed
    assert not found_in(tmp_path)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_of_ours_that_holds_the_key_is_logged_with_its_traceback_and_without_the_key(
    log_format: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def broken(*_: object) -> None:
        logging.getLogger("oa_sync.test").warning("now", extra={"field": CANARY})
        raise RuntimeError(f"Bearer {CANARY}")

    monkeypatch.setattr(Extraction, "run", broken)
    monkeypatch.setattr(logging.getLogger("oa_sync"), "handlers", [])
    configure(log_format, True, (CANARY,))
    with place(tmp_path, api_key=CANARY) as watched:
        report = sync(watched.settings)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "***" in printed
    assert CANARY not in printed + str(report.error) + str(report.as_json())
    assert report.exit_code == 1
    assert not found_in(tmp_path)


def test_passwords_in_addresses_are_not_printed(tmp_path: Path) -> None:
    address = f"postgresql://someone:{PASSWORD}@127.0.0.1:9/nothing"
    with place(tmp_path, dialect="page") as watched:
        for settings, environment in (
            (replace(watched.settings, quota_url=address), {}),
            (
                replace(watched.settings, destination="postgres"),
                {"DESTINATION__POSTGRES__CREDENTIALS": address},
            ),
        ):
            with syncing(settings, *LOUD, **environment) as process:
                exit_code, printed = finished(process)
            assert exit_code in (1, 2)
            assert PASSWORD not in printed
        assert watched.state.counters.total == 0
        assert not found_in(tmp_path, PASSWORD)
