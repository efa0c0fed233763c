"""`oa-sync download`: a dataset exported by the API, fetched as a file, loaded as a typed table."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from oa_sync.clock import Clock
from oa_sync.commands.results.on_request import (
    ResultReport,
    Session,
    checked_table,
    load_on_request,
)
from oa_sync.errors import ConfigurationError
from oa_sync.extract.jobs.download import Download, Fetched
from oa_sync.extract.jobs.exports import ExportRequests, Format
from oa_sync.extract.jobs.hosts import DownloadHosts
from oa_sync.private import fresh_folder
from oa_sync.settings import Settings
from oa_sync.shape.export_file import export_rows
from oa_sync.tables.results import ResultTable
from oa_sync.workspace.connection import Connection

SECONDS = 1800
"""How long the API may take to make the export, unless told otherwise."""

_JSON_SCALAR = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false|null")


def download(
    settings: Settings,
    dataset_id: str,
    form: Format,
    table: str,
    *,
    filters: Sequence[str] = (),
    download_hosts: Sequence[str] = (),
    seconds: int = SECONDS,
    clock: Clock | None = None,
    heard: Callable[[int], None] = lambda polls: None,
) -> ResultReport:
    """Export the dataset and load it as `export_<table>`; rows of this workspace are replaced.

    `filters` (`column=value`) go to the API. `download_hosts`: hosts that the signed URL may name
    beside the API's. Requests for the file are counted in the report's `download`, and in no quota.

    Raises:
        ConfigurationError: an argument, the settings or the definition are wrong, or the API speaks the
            page dialect, which has no exports.
        LockHeldError: a sync of this workspace and destination is running.
    """
    name = checked_table("export", table)
    if not dataset_id:
        raise ConfigurationError("an empty dataset id")
    wanted = dict(_filter(text) for text in filters)

    async def work(session: Session) -> None:
        connection, report = session.connection, session.report
        hosts = DownloadHosts(httpx.URL(connection.client.base), download_hosts)
        await _check_dialect(connection)
        requests = ExportRequests(connection.client, session.clock, heard)
        report.details = {"dataset_id": dataset_id, "export_id": None, "download": None}
        export_id = await connection.before_stop(
            requests.create(dataset_id, form, wanted),
            sent="the export was asked for and is not loaded",
        )
        report.details["export_id"] = export_id
        with _folder(settings) as folder:
            path = folder / f"export.{form}"
            with path.open("wb", buffering=0) as file:

                async def fetch() -> Fetched:
                    ticket = await requests.ticket(export_id, seconds)
                    renew = lambda: requests.ticket(export_id, seconds)  # noqa: E731
                    return await Download(file, hosts, session.clock, renew).fetch(ticket)

                fetched = await session.until_stopped(fetch())
            report.details["download"] = {"requests": fetched.requests, "bytes": fetched.nbytes}
            rows = export_rows(path, form)
            await session.load(ResultTable(name, types=rows.types), rows)

    return load_on_request(settings, name, clock or Clock(), work)


async def _check_dialect(connection: Connection) -> None:
    if await connection.api_dialect() == "page":
        raise ConfigurationError(
            "exports exist in the cursor dialect only, and this API speaks the page dialect; use"
            " oa-sync query, or --dialect cursor if that is wrong"
        )


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """An empty folder that only this user may read, deleted at the end. What a killed download left in it is
    deleted first."""
    folder = settings.home / "downloads" / settings.fingerprint()
    fresh_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _filter(text: str) -> tuple[str, Any]:
    """`column=value`; numbers, true, false and null are themselves, `column="5"` is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"--filter {text!r}: write COLUMN=VALUE")
    if _JSON_SCALAR.fullmatch(value):
        return name, orjson.loads(value)
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return name, value[1:-1] if quoted else value
