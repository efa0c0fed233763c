"""The emulator as a process of its own, filled and warm before any clock starts."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.measuring import KEY, OA_SYNC, plain_environment


@contextmanager
def serving(*options: object) -> Iterator[str]:
    """Run `oa-sync emulator` with `options` on a free port and yield its base URL.

    It has no limits (plan enterprise) and is stopped at the end of the block.
    """
    with tempfile.TemporaryDirectory(prefix="oa-sync-bench-") as folder:
        log = Path(folder) / "emulator.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*OA_SYNC, "emulator", "--port", "0", *map(str, options)],
                stderr=output,
                env=plain_environment(Path(folder), {}),
            )
        try:
            yield _base_url(log, server)
        finally:
            server.terminate()
            server.wait(30)


def _base_url(log: Path, server: subprocess.Popen[bytes]) -> str:
    while server.poll() is None:
        _, found, url = log.read_text().partition(") at ")
        if found and url.endswith("\n"):
            return url.strip()
        time.sleep(0.05)
    raise SystemExit(f"the emulator did not start:\n{log.read_text()}")


def get(url: str) -> Any:
    """The JSON that the emulator answers at `url`."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def list_pages(base_url: str) -> list[str]:
    """The addresses of the pages of the list of reports (page dialect)."""
    first = f"{base_url}/reports?per_page=100&page="
    count = get(f"{first}1")["meta"]["total_pages"]
    return [f"{first}{page}" for page in range(1, count + 1)]


class Editor:
    """Changes reports at the source, each time the next ones of the list.

    A change is dated some seconds back: one of the current second would make a careful client wait
    until that second is over.
    """

    def __init__(self, base_url: str) -> None:
        self._mutate = base_url.removesuffix("/v1") + "/_emulator/mutate"
        self._ids = [row["id"] for url in list_pages(base_url) for row in get(url)["data"]]
        self._next = 0
        self._revision = 0

    def change(self, count: int) -> None:
        """Give `count` reports a new description and a new `updated_at`."""
        self._revision += 1
        changed_at = datetime.now(UTC) - timedelta(seconds=5)
        fields = {
            "description": f"Revision {self._revision}",
            "updated_at": changed_at.isoformat().replace("+00:00", "Z"),
        }
        for _ in range(count):
            self._post(self._ids[self._next], fields)
            self._next = (self._next + 1) % len(self._ids)

    def _post(self, record_id: str, fields: dict[str, str]) -> None:
        body = {"op": "update", "resource": "reports", "id": record_id, "fields": fields}
        request = urllib.request.Request(
            self._mutate,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()
