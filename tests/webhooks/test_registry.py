"""The registry of webhooks at the API, by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oa_sync.emulator.server import RunningEmulator
from oa_sync.webhooks.signature import SECRET_VARIABLE
from tests.support.command import oa_sync
from tests.support.emulator import KEY, emulator

URL = "https://hooks.example.com/webhooks/openanalyst"


def webhook(server: RunningEmulator, folder: Path, *arguments: str, **environment: str) -> Any:
    flags = ("--base-url", server.base_url, "--rpm", "0")
    command = ("webhook", *arguments, *flags)
    return oa_sync(*command, cwd=folder, OPENANALYST_API_KEY=KEY, **environment)


def test_webhooks_are_registered_listed_and_deleted(tmp_path: Path) -> None:
    with emulator(dialect="cursor") as server:
        done = webhook(
            server, tmp_path, "register", URL, **{SECRET_VARIABLE: "whsec_new,whsec_old"}
        )
        [hook] = server.emulator.webhooks.hooks.values()
        assert (done.returncode, done.stdout.strip()) == (0, hook.id)
        assert (hook.url, hook.events) == (URL, ("agent.session.completed",))
        assert hook.secret == "whsec_new"
        events = ("--event", "report.completed", "--event", "export.ready")
        webhook(server, tmp_path, "register", URL, *events)
        listed = json.loads(webhook(server, tmp_path, "list", "--json").stdout)["webhooks"]
        assert [each["events"] for each in listed] == [
            ["agent.session.completed"],
            ["report.completed", "export.ready"],
        ]
        assert webhook(server, tmp_path, "delete", hook.id).returncode == 0
        lines = webhook(server, tmp_path, "list").stdout.splitlines()
        assert lines == [f"{listed[1]['id']}\t{URL}\treport.completed, export.ready"]


def test_what_the_api_refuses_is_told_without_the_secret(tmp_path: Path) -> None:
    with emulator(dialect="cursor") as server:
        secret = {SECRET_VARIABLE: "whsec_the_secret"}
        assert webhook(server, tmp_path, "register", URL, **secret).returncode == 0
        again = webhook(server, tmp_path, "register", URL, **secret)
        assert again.returncode == 1
        assert "409" in again.stderr
        assert "whsec" not in again.stderr + again.stdout
        gone = webhook(server, tmp_path, "delete", "wh_other")
        assert (gone.returncode, "no webhook 'wh_other'" in gone.stderr) == (2, True)


@pytest.mark.parametrize("url", ["http://hooks.example.com/x", "hooks.example.com", "https://[x"])
def test_an_address_that_is_not_https_is_refused(tmp_path: Path, url: str) -> None:
    with emulator(dialect="cursor") as server:
        assert webhook(server, tmp_path, "register", url).returncode == 2
        assert server.state.counters.by_route["POST", "/webhooks"] == 0


def test_the_page_dialect_has_no_registry(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        refused = webhook(server, tmp_path, "list")
        assert (refused.returncode, "--webhook-url" in refused.stderr) == (2, True)
