"""The command line as a whole: help, wrong usage, errors, and what goes to which stream."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import click
import duckdb
import pytest
from click.testing import CliRunner

from oa_sync.cli import cli
from oa_sync.cli.options import without_password
from oa_sync.cli.sync import sync as sync_command
from oa_sync.errors import ConfigurationError
from tests.support.command import OA_SYNC, oa_sync, run
from tests.support.emulator import KEY, emulator
from tests.support.syncing import run_sync, settings_for

HEAVY = ("dlt", "duckdb", "pyarrow", "httpx", "starlette", "uvicorn", "pydantic", "yaml", "rich")


NAMES = cli.list_commands(click.Context(cli))


def with_subcommands(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    inner = [command.get_command(context, name) for name in command.list_commands(context)]
    return [command, *(found for one in inner if one for found in with_subcommands(one))]


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_command_says_what_it_is_for_and_what_each_flag_does(name: str) -> None:
    top = cli.get_command(click.Context(cli), name)
    assert top is not None
    for command in with_subcommands(top):
        assert command.help and len(command.help.split()) > 3, command.name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help or parameter.show_default, (
                    f"{command.name} {parameter.opts[0]} has no help"
                )


def test_top_help_has_one_line_for_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    done = oa_sync("--help", cwd=tmp_path)
    assert done.returncode == 0
    for name in NAMES:
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name
    assert "Exit codes: 0 complete" in " ".join(done.stdout.split())


@pytest.mark.parametrize("arguments", [("--help",), ("sync", "--help"), ("demo", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    program = (
        "import sys\nfrom oa_sync.cli import main\n"
        f"try: main()\nfinally: print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = run(sys.executable, "-c", program, *arguments, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("sync", "--nonsense"),
        ("sync", "--dialect", "nonsense"),
        ("sync", "--rpm", "many"),
        ("sync", "--rpm", "-1"),
        ("sync", "--reserve", "1"),
        ("sync", "--max-requests", "-5"),
        ("sync", "--base-url", "http://api.openanalyst.com/v1"),
        ("sync", "--base-url", "api.openanalyst.com"),
        ("sync", "--base-url", "https://user:secret@example.com/v1"),
        ("sync", "--database", "openanalyst.duckdb"),
        ("sync", "--destination", "parquet"),
        ("sync", "--dataset-name", "no identifier"),
        ("sync", "--workspace", " "),
        ("sync", "--source", "no-such-file.yaml"),
        ("sync", "--dialect", "page", "nonsense"),
        ("check", "--plan", "nonsense"),
        ("validate",),
        ("validate", "no-such-file.yaml"),
        ("resources", "--source", "no-such-file.yaml"),
        ("emulator", "--data", "no-such-folder"),
        ("emulator", "--synthetic", "nonsense"),
        ("demo", "unexpected"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_one_message_and_no_traceback(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    # A port that nobody listens on: nothing here may come so far as to ask.
    address = "http://127.0.0.1:9/v1"
    done = oa_sync(*arguments, cwd=tmp_path, OPENANALYST_API_KEY=KEY, OPENANALYST_BASE_URL=address)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_settings_that_are_wrong_are_named_with_their_place(tmp_path: Path) -> None:
    done = oa_sync("sync", cwd=tmp_path, OA_SYNC_PLAN="gold")
    assert done.returncode == 2
    assert "OA_SYNC_PLAN" in done.stderr
    assert "'gold'" in done.stderr
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[sources.openanalyst]\nrpd = -3\n")
    done = oa_sync("sync", cwd=tmp_path)
    assert done.returncode == 2
    assert "rpd" in done.stderr
    assert "-3" in done.stderr


def test_sync_without_a_key_says_where_to_put_it(tmp_path: Path) -> None:
    done = oa_sync("sync", cwd=tmp_path)
    assert done.returncode == 2
    assert "OPENANALYST_API_KEY" in done.stderr


def test_sync_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    with emulator() as api:
        flags = ("--base-url", api.base_url, "--rpm", "0", "--rpd", "0")
        done = oa_sync("sync", "--json", *flags, cwd=tmp_path, OPENANALYST_API_KEY=KEY)
        made = api.state.counters.total
    assert done.returncode == 0
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert (report["status"], report["exit_code"], report["error"]) == ("complete", 0, None)
    assert report["requests"]["made"] == made
    assert report["resources"]["reports"]["new"] == 18
    assert report["rows"]["reports"] == 18


def test_failed_sync_prints_its_object_too_and_exits_with_its_code(tmp_path: Path) -> None:
    with emulator() as api:
        done = oa_sync(
            "sync", "--json", "--base-url", api.base_url, cwd=tmp_path, OPENANALYST_API_KEY="bad"
        )
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["status"]) == (5, 5, "failed")
    assert report["error"]["code"] == "not_authorised"


@pytest.mark.parametrize("arguments", [("resources", "--json"), ("validate", "page", "--json")])
def test_json_of_offline_commands_is_one_object(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = oa_sync(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "ok"
    assert done.stderr == ""


def test_log_format_json_gives_one_object_a_line(tmp_path: Path) -> None:
    with emulator() as api:
        api.emulator.faults.set(f"poison-text={'|'.join(api.state.ids('reports'))}")
        flags = ("--base-url", api.base_url, "--rpm", "0", "--rpd", "0", "--log-format", "json")
        done = oa_sync("sync", *flags, cwd=tmp_path, OPENANALYST_API_KEY=KEY)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("details in a row failed" in line["message"] for line in lines)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert KEY not in done.stderr


def test_text_for_people_goes_to_stdout_without_colours_or_progress_in_a_pipe(
    tmp_path: Path,
) -> None:
    with emulator() as api:
        flags = ("--base-url", api.base_url, "--rpm", "0", "--rpd", "0")
        done = oa_sync("sync", *flags, cwd=tmp_path, OPENANALYST_API_KEY=KEY)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert re.search(r"^reports +18 +18 +0 +0 +0 +18 +0$", done.stdout, re.MULTILINE)
    assert "not offered by this API: agent_runs" in done.stdout


WRONG_USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown flag": (("--fast",), "No such option"),
    "a value that is none": (("--rpm", "many"), "not a valid integer"),
    "an unknown resource": (("report",), "not in the definition"),
    "no key": ((), "OPENANALYST_API_KEY"),
}


@pytest.mark.parametrize("case", WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage_with_json_is_one_object_too(
    case: tuple[tuple[str, ...], str], tmp_path: Path
) -> None:
    flags, words = case
    key = {} if case is WRONG_USAGE["no key"] else {"OPENANALYST_API_KEY": KEY}
    done = oa_sync("sync", "--source", "page", "--json", *flags, cwd=tmp_path, **key)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 2
    assert told["status"] == "failed"
    assert {"resources", "rows", "requests", "workspace"} <= set(told)
    assert words in told["error"]["message"]
    assert told["error"]["retry"] is False
    assert words in done.stderr


def test_wrong_usage_with_json_lines_is_a_line_of_json(tmp_path: Path) -> None:
    done = oa_sync("sync", "--rpm", "-1", "--log-format", "json", cwd=tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "not a whole number" in json.loads(line)["message"]


def test_the_report_is_printed_in_any_encoding(tmp_path: Path) -> None:
    with emulator() as api:
        limits = ("--base-url", api.base_url, "--rpm", "0", "--rpd", "0")
        done = oa_sync(
            "sync", *limits, cwd=tmp_path, OPENANALYST_API_KEY=KEY, PYTHONIOENCODING="ascii"
        )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert re.search(r"\breports \d", done.stdout), "a plain space, for grep"


def test_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    line = f"{shlex.join(OA_SYNC)} resources --source page > /dev/full"
    done = run("sh", "-c", line, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "oa-sync: output: No space left on device\n")


def test_the_bare_command_is_its_help(tmp_path: Path) -> None:
    done = oa_sync(cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert "oa-sync [OPTIONS] COMMAND" in done.stdout + done.stderr
    assert " sync " in done.stdout + done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_as_good_as_none(closed: str, tmp_path: Path) -> None:
    for command, code in (("resources --source page", 0), ("resources --sauce page", 2)):
        done = run("sh", "-c", f"{shlex.join(OA_SYNC)} {command} {closed}", cwd=tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_a_sync_whose_streams_are_closed_is_complete(tmp_path: Path) -> None:
    with emulator() as api:
        line = f"{shlex.join(OA_SYNC)} sync dashboards --base-url {api.base_url} <&- >&- 2>&-"
        done = run("sh", "-c", line, cwd=tmp_path, OPENANALYST_API_KEY=KEY)
    assert done.returncode == 0
    assert duckdb.connect(str(tmp_path / "oa_sync.duckdb"), read_only=True).execute(
        "SELECT status FROM openanalyst.syncs"
    ).fetchall() == [("complete",)]


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(tmp_path: Path) -> None:
    line = f"{shlex.join(OA_SYNC)} resources --source page --json | true"
    done = run("sh", "-c", line, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_an_export_only_reads_the_database(tmp_path: Path) -> None:
    with emulator() as api:
        settings = settings_for(api.base_url, tmp_path)
        run_sync(settings, "dashboards")
    with duckdb.connect(
        str(settings.database), read_only=True
    ):  # nobody may open it for writing now
        done = oa_sync("export", "--to", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out" / "dashboards").glob("*.parquet"))


# -- passwords on the command line ------------------------------------------------------------------------

HIDDEN = "pw9canary"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://user:{HIDDEN}@db.example/quota",
        f"postgres://:{HIDDEN}@db.example/quota",
        f"postgresql://user:{HIDDEN}/x@db.example/quota",
        f"postgresql://user:{HIDDEN}@x@db.example/quota",
        f"postgresql://user:{HIDDEN}?x@db.example/quota",
        f"postgresql://db.example/quota?password={HIDDEN}",
        f"postgresql://user@db.example/quota?sslmode=require&p%61ssword={HIDDEN}",
        f"postgresql://user@db.example/quota?sslpassword={HIDDEN}",
    ],
)
@pytest.mark.parametrize("command", ["sync", "status"])
def test_an_address_with_a_password_is_no_flag(command: str, address: str) -> None:
    done = CliRunner().invoke(cli, [command, "--quota-url", address])
    assert isinstance(done.exception, ConfigurationError)
    assert "OA_SYNC_QUOTA_URL" in str(done.exception)
    assert "PGPASSFILE" in str(done.exception)
    assert HIDDEN not in str(done.exception) + done.output


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user@db.example:5432/quota",
        "postgresql://db.example:5432/quota?sslmode=require",
        "postgresql:///quota?host=/var/run/postgresql&user=a@b",
        "postgresql://db.example:5432/quota?user=a@b",
    ],
)
def test_an_address_without_a_password_is_one(address: str) -> None:
    option = next(one for one in sync_command.params if one.name == "quota_url")
    assert without_password(click.Context(sync_command), option, address) == address
