"""The command: what it serves, how it refuses, how it ends, and its door for other processes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from oa_sync.cli.emulator import PLAN_NAMES, emulator
from oa_sync.emulator.options import PLANS
from tests.support.command import PATIENCE
from tests.support.emulator import HEADERS, HTTP

PROGRAM = "from oa_sync.cli.emulator import emulator; emulator()"


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stderr.readline())
        assert found
        yield process, found.group()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_ends_at_a_signal(number: signal.Signals) -> None:
    spec = "reports=40,rows=2"
    arguments = ("--dialect", "cursor", "--faults", "500=1,paths=/dash")
    with command("--synthetic", spec, *arguments) as (process, url):
        answer = HTTP.get(f"{url}/reports", headers=HEADERS)
        assert answer.json()["pagination"]["total"] == 40
        assert HTTP.get(f"{url}/dashboards", headers=HEADERS).status_code == 500
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_another_process_reads_counters_and_changes_things() -> None:
    with command("--rpm", "3") as (_, url):
        admin = url.removesuffix("/v1") + "/_emulator"

        def post(path: str, **body: Any) -> httpx.Response:
            return HTTP.post(f"{admin}/{path}", json=body)

        for _ in range(4):
            HTTP.get(f"{url}/reports", headers=HEADERS)
        counters = HTTP.get(f"{admin}/counters").json()
        assert (counters["total"], counters["over_limit"]) == (4, 1)
        assert counters["by_route"] == {"GET /reports": 4}
        post("reset")
        assert HTTP.get(f"{admin}/counters").json()["total"] == 0
        new = post("mutate", op="insert", resource="reports", fields={"name": "N"}).json()["ids"]
        post("mutate", op="update", resource="reports", id=new[0], fields={"name": "M"})
        assert HTTP.get(f"{url}/reports/{new[0]}", headers=HEADERS).json()["name"] == "M"
        assert post("mutate", op="delete", resource="reports", id=new[0]).status_code == 200
        assert post("mutate", op="delete", resource="reports", id=new[0]).status_code == 404
        assert len(post("mutate", op="touch", resource="reports", count=3).json()["ids"]) == 3
        assert post("mutate", op="burn", resource="reports").status_code == 422
        assert post("faults", spec="fire=1").status_code == 422
        post("faults", spec="500=1")
        assert HTTP.get(f"{url}/reports", headers=HEADERS).status_code == 500


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--synthetic", "reports"], "NAME=NUMBER"),
        (["--faults", "fire=1"], "fire"),
        (["--full-lists", "--lean-lists"], "contradict"),
        (["--data", ".", "--synthetic", "rows=1"], "contradict"),
        (["--plan", "gold"], "gold"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], word: str) -> None:
    result = CliRunner().invoke(emulator, arguments)
    assert (result.exit_code, word in result.output) == (2, True)


def test_a_bad_line_in_the_data_is_exit_2_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "datasets.ndjson").write_text('{"id": "a"}\nnonsense\n')
    result = CliRunner().invoke(emulator, ["--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "datasets.ndjson:2:" in result.output.replace("\n", "")


def test_the_command_knows_every_plan() -> None:
    assert set(PLAN_NAMES) == set(PLANS)
