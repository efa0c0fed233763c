"""The README says what is so: its commands run, its tables match the code, its screen is a real one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.demo_screen import second_half
from oa_sync import errors
from oa_sync.cli import cli
from oa_sync.definitions.loader import load_definition
from oa_sync.settings import _ENVIRONMENT
from tests.support.command import OA_SYNC, oa_sync, run
from tests.support.emulator import KEY, emulator
from tests.support.syncing import query, settings_for

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The only code block of `language` with this text in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return str(found)


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """The rows of the table in a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def on_path(folder: Path) -> str:
    """A PATH on which `oa-sync` and `python` are those of this environment."""
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    script = bin_folder / "oa-sync"
    quoted = " ".join(f"'{part}'" for part in OA_SYNC)
    script.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    script.chmod(0o755)
    return f"{bin_folder}{os.pathsep}{os.environ['PATH']}"


def test_the_problem_is_told_in_three_sentences_before_the_two_commands() -> None:
    opening = README.split("```sh")[0].split("\n\n", 1)[1]
    assert len(re.findall(r"\.(?=\s)", opening)) == 3
    assert re.search(r"```sh\nmake demo .*\nmake test .*\n```", README)


@pytest.mark.parametrize("target", ["demo", "test", "test-rest", "test-all", "lint", "picture"])
def test_every_make_target_that_is_named_exists(target: str, tmp_path: Path) -> None:
    assert f"make {target}" in README
    done = run("make", "-n", "-C", ROOT, target, f"VENV={tmp_path / 'venv'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_links_lead_to_files_that_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 8
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_screen_of_the_demo_is_what_the_demo_prints(tmp_path: Path) -> None:
    def timeless(text: str) -> str:
        text = re.sub(r"\d+\.\d s", "N s", text)
        return re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", text)

    done = oa_sync("demo", cwd=tmp_path)
    assert timeless(second_half(done.stdout)) == timeless(block("text", "Second sync"))


def test_picture_of_the_demo_shows_the_same_screen() -> None:
    svg = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]+>", "", svg).replace("&#160;", " ")
    for line in block("text", "Second sync").splitlines():
        if line.strip() and not re.search(r"\d s;|\d:\d", line):
            assert "".join(line.split()) in "".join(shown.split()), line


def test_commands_for_a_workspace_of_one_s_own_run_as_written(tmp_path: Path) -> None:
    lines = block("sh", "oa-sync check").splitlines()
    assert lines[0] == "python3 -m venv .venv && .venv/bin/pip install ."
    with emulator() as api:
        done = run(
            "sh",
            "-ec",
            "\n".join(lines[1:]),
            cwd=tmp_path,
            PATH=on_path(tmp_path),
            OPENANALYST_BASE_URL=api.base_url,
            OA_SYNC_PLAN="max",
        )
        settings = settings_for(api.base_url, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(query(settings, block("sql", "FROM openanalyst.reports"))) > 10


CRON = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "me"}
"""All that cron gives to a job, beside HOME."""


def test_the_nightly_lines_run_as_written_in_the_environment_of_cron(tmp_path: Path) -> None:
    folder = tmp_path / "my analytics"
    making = block("sh", "secrets.toml").replace("/srv/analytics", "$FOLDER").splitlines()
    assert making[1].startswith("python3 -m venv ")
    script = "\n".join([making[0], *making[2:]]).replace("$FOLDER", f"'{folder}'")
    made = run("sh", "-euc", script, cwd=tmp_path, PATH=CRON["PATH"], OPENANALYST_API_KEY=KEY)
    assert made.returncode == 0, made.stderr
    on_path(folder)
    secrets = folder / ".dlt" / "secrets.toml"
    assert secrets.stat().st_mode & 0o77 == 0
    line = block("cron", "oa-sync").strip()
    fields = line.split(maxsplit=5)
    assert all(re.fullmatch(r"\d+|\*", field) for field in fields[:5])
    assert "%" not in fields[5], "cron makes a line break of it"
    command = fields[5].replace("/srv/analytics", str(folder))

    def night() -> tuple[str, str]:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd="/",
            env={**CRON, "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout, done.stderr

    with emulator() as api:
        config = folder / ".dlt" / "config.toml"
        config.write_text(f'[sources.openanalyst]\nbase_url = "{api.base_url}"\nplan = "max"\n')
        assert night() == ("", "")
        log = folder / "oa_sync.log"
        assert re.search(r"^complete in [\d.]+ s, at 20\d\d-.*Z$", log.read_text(), re.MULTILINE)
        before = log.read_text()
        enough = config.read_text()
        config.write_text(f"{enough}max_requests = 1\n")
        assert night() == ("", ""), "an ended budget is no reason for a mail"
        assert "partial" in log.read_text().removeprefix(before)
    config.write_text(enough)
    mail, _ = night()
    assert "error" in mail, "the API is gone: cron mails why"


def test_python_lines_run_as_written(tmp_path: Path) -> None:
    with emulator() as api:
        done = run(
            sys.executable,
            "-c",
            block("python", "oa_sync"),
            cwd=tmp_path,
            OPENANALYST_API_KEY=KEY,
            OPENANALYST_BASE_URL=api.base_url,
            OA_SYNC_PLAN="max",
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("complete ")
    assert (tmp_path / "analytics.duckdb").exists()


def test_definition_file_is_valid(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(block("yaml", "name: shop"), encoding="utf-8")
    done = oa_sync("validate", "shop.yaml", cwd=tmp_path, SHOP_TOKEN="t")
    assert done.returncode == 0, done.stderr
    assert "order_lines" in done.stdout


def test_table_of_commands_is_complete() -> None:
    named = {row[0].strip("`") for row in table("Commands")}
    assert named == set(cli.list_commands(click.Context(cli)))


def test_table_of_settings_is_complete() -> None:
    rows = table("Settings")
    assert {row[2].strip("`") for row in rows if row[2]} == set(_ENVIRONMENT.values())
    sync = cli.get_command(click.Context(cli), "sync")
    assert sync is not None
    flags = {option for parameter in sync.params for option in parameter.opts}
    named = {row[1].strip("`") for row in rows if row[1].startswith("`")}
    assert named - flags == set()
    not_settings = {
        "resources",
        "--allow-mass-delete",
        "--full-refresh",
        "--history",
        "--json",
        "--log-format",
        "--retry-set-aside",
        "-v",
        "--verbose",
    }
    assert flags - named - not_settings == set()


def test_table_of_exit_codes_is_complete() -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.OaSyncError)
    }
    assert {int(row[0]) for row in table("Exit codes")} == codes | {0}


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_tables_are_those_of_the_built_in_definitions(dialect: str) -> None:
    definition = load_definition(dialect, dialect="page", environ={})
    declared = {name for resource in definition.resources for name in resource.tables()}
    assert {row[0].strip("`") for row in table("Tables")} - declared == {
        "syncs",
        "agent_run_events",
        "query_<name>",
    }


def test_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title) for title in titles[1:])
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
