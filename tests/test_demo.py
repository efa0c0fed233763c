"""The demo: what it shows is true, it keeps to its folder, and nothing of the user's reaches it."""

from __future__ import annotations

import ast
import os
import pty
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from oa_sync.cli.demo import next_commands
from oa_sync.commands.demo import ReadBack, running_demo
from oa_sync.errors import ConfigurationError
from oa_sync.workspace.report import SyncReport
from tests.support.command import OA_SYNC, PATIENCE, oa_sync, run


def silent(stage: str, resource: str, done: int, total: int | None) -> None:
    """No progress."""


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the demo ran once, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = oa_sync("demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, done.stdout


def test_demo_tells_both_syncs_the_changes_and_the_next_commands(shown: tuple[Path, str]) -> None:
    _, text = shown
    headings = [
        "First sync",
        "Now things change",
        "Second sync",
        "What stands",
        "Files",
        "Try next",
    ]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    for name in ("Cars", "Stocks", "Girls", "penguins", "certified_by"):
        assert name in text


@dataclass(frozen=True)
class Story:
    """Both syncs of one demo, the requests that the server counted, and what DuckDB said."""

    first: SyncReport
    counted_first: int
    before: ReadBack
    second: SyncReport
    counted_second: int
    after: ReadBack


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    with running_demo(tmp_path_factory.mktemp("story")) as demo:
        first, counted_first, before = demo.sync(silent), demo.requests_counted(), demo.read_back()
        demo.change_the_source()
        second, counted_second, after = demo.sync(silent), demo.requests_counted(), demo.read_back()
    return Story(first, counted_first, before, second, counted_second, after)


def test_first_sync_asks_for_every_list_and_every_detail(story: Story) -> None:
    assert story.first.status == "complete"
    assert story.counted_first == story.first.requests.made == 4 + 12 + 18 + 3


def test_second_sync_asks_for_lists_and_what_changed_only(story: Story) -> None:
    assert story.second.status == "complete"
    # The new dataset, and the two reports that were edited.
    assert story.counted_second == story.second.requests.made == 4 + 1 + 2
    reports = story.second.tallies["reports"]
    assert (reports.changed, reports.deleted, reports.unchanged) == (2, 1, 15)
    assert story.second.tallies["datasets"].new == 1


def test_rows_and_values_before_and_after_are_read_back_from_duckdb(story: Story) -> None:
    before, after = story.before, story.after
    assert before.values["Cars, first row, Miles_per_Gallon"] == "18"
    assert after.values["Cars, first row, Miles_per_Gallon"] == "18.5"
    assert (before.values["Girls"], after.values["Girls"][:8]) == ("there", "deleted ")
    assert after.rows["report_rows"] == before.rows["report_rows"] + 1
    assert after.rows["datasets"] == before.rows["datasets"] + 1
    assert after.rows["reports"] == before.rows["reports"]


def test_printed_row_counts_are_those_in_the_file(shown: tuple[Path, str]) -> None:
    folder, text = shown
    with duckdb.connect(str(folder / "oa-sync-demo" / "workspace.duckdb"), read_only=True) as file:
        for table in ("datasets", "report_rows", "agent_run_tool_calls"):
            row = file.execute(f"SELECT count(*) FROM openanalyst.{table}").fetchone()
            assert row is not None
            assert re.search(rf"^{table} +[\d,]+ +{row[0]:,}$", text, re.MULTILINE), table


def test_first_of_the_next_commands_runs_as_printed(shown: tuple[Path, str]) -> None:
    folder, text = shown
    # All lines but those of the two other commands: it stands on two, as a shell allows.
    lines = text[text.index("Try next") :].rstrip().splitlines()[1:-2]
    assert all(len(line) <= 80 for line in lines[1:])
    command = "\n".join(lines)
    done = run("sh", "-c", command, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Seattle Weather" in done.stdout


@pytest.mark.parametrize(
    "name", ["demo/w.duckdb", "it's", 'a "b"', "$HOME", "`id`", "a b\\c", "!1"]
)
def test_next_command_names_the_database_whatever_it_is_called(name: str) -> None:
    _, flag, program = shlex.split(next_commands(Path(name))[0])
    assert flag == "-c"
    names = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
    assert name in names


def test_demo_runs_again_in_the_same_folder_and_starts_anew(tmp_path: Path) -> None:
    for _ in range(2):
        with running_demo(tmp_path) as demo:
            report = demo.sync(silent)
            assert report.tallies["reports"].new == 18
            assert demo.read_back().rows["syncs"] == 1


def test_demo_leaves_alone_what_it_did_not_make(tmp_path: Path) -> None:
    with running_demo(tmp_path):
        (tmp_path / "mine.txt").write_text("precious")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "workspace.duckdb").write_text("precious")
    with running_demo(tmp_path):
        pass
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert (tmp_path / "mine" / "workspace.duckdb").read_text() == "precious"


def test_demo_does_not_follow_a_link_that_stands_where_its_files_were(tmp_path: Path) -> None:
    folder, other = tmp_path / "demo", tmp_path / "other"
    with running_demo(folder):
        pass
    other.mkdir()
    (other / "mine.txt").write_text("precious")
    (folder / "home").rename(folder / "was-home")
    (folder / "home").symlink_to(other)
    with running_demo(folder):
        pass
    assert (other / "mine.txt").read_text() == "precious"


def test_demo_refuses_a_folder_with_files_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "workspace.duckdb").write_text("mine")
    with pytest.raises(ConfigurationError, match="--dir"), running_demo(tmp_path):
        pass
    assert files_below(tmp_path) == {"workspace.duckdb"}


def test_demo_in_a_place_that_is_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = oa_sync("demo", "--dir", "file/below", cwd=tmp_path)
    assert done.returncode == 2
    assert "--dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_neither_reads_settings_and_environment_nor_writes_elsewhere(tmp_path: Path) -> None:
    home, here = tmp_path / "home-of-user", tmp_path / "here"
    for folder in (home, here):
        (folder / ".dlt").mkdir(parents=True)
        (folder / ".dlt" / "config.toml").write_text(
            '[sources.openanalyst]\nplan = "nonsense"\n[schema]\nnaming = "direct"\n'
            '[runtime]\nlog_level = "nonsense"\n'
        )
    before = files_below(tmp_path)
    done = oa_sync(
        "demo",
        "--dir",
        "d",
        cwd=here,
        HOME=str(home),
        XDG_DATA_HOME=str(home / "data"),
        OA_SYNC_HOME=str(home / "oa"),
        OA_SYNC_PLAN="nonsense",
        OA_SYNC_DATABASE=str(home / "other.duckdb"),
        OPENANALYST_BASE_URL="http://example.com",
        OPENANALYST_API_KEY="oa_live_real",
        DESTINATION__DUCKDB__CREDENTIALS=str(home / "other.duckdb"),
        SCHEMA__NAMING="direct",
        HTTP_PROXY="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    new = files_below(tmp_path) - before
    assert {name for name in new if not name.startswith("here/d/")} == set()
    assert "here/d/workspace.duckdb" in new


def test_environment_is_as_before_when_the_demo_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OA_SYNC_PLAN", "max")
    before = dict(os.environ)
    with running_demo(tmp_path):
        assert "OA_SYNC_PLAN" not in os.environ
    assert dict(os.environ) == before


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path, shown: tuple[Path, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*OA_SYNC, "demo"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert b"list reports" in seen
    assert "list reports" not in shown[1]
