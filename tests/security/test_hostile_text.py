"""Names, ids and messages that others wrote never act on a terminal, whatever command shows them."""

from __future__ import annotations

import ast
import json
import logging
import os
import pty
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

import oa_sync
from oa_sync.cli import cli
from oa_sync.cli.logs import configure
from oa_sync.foreign_text import visible, visible_json
from tests.security.hostile_api import EVIL, NAME, SOFT, hostile_api
from tests.support.command import OA_SYNC, PATIENCE
from tests.webhooks.receiving import request_head, run_body, serving

_BAD_DEFINITION = f"{SOFT}.yaml"
_GOOD_DEFINITION = "good.yaml"

WORDS: dict[str, tuple[str, ...]] = {
    "demo": ("--dir", NAME),
    "check": (),
    "sync": (),
    "plan": (),
    "status": (),
    "query": (EVIL, EVIL, "--table", "t"),
    "runs start": ("--agent", EVIL, "--task", EVIL, "--wait", "--timeout", "1"),
    "runs add": (f"id{EVIL}", "plain"),
    "runs list": (),
    "download": (EVIL, "--table", "t", "--dialect", "cursor"),
    "export": ("--to", NAME),
    "copy": ("--to", "parquet", "--to-bucket-url", SOFT),
    "webhook serve": ("--host", NAME),
    "webhook register": (f"https://{EVIL}", "--dialect", "cursor"),
    "webhook list": ("--dialect", "cursor"),
    "webhook delete": (EVIL, "--dialect", "cursor"),
    "resources": ("--source", _GOOD_DEFINITION),
    "validate": (_BAD_DEFINITION,),
    "trust": (_BAD_DEFINITION, "--yes"),
    "emulator": ("--data", NAME),
}
"""What every command is given: a command that is not here fails `test_every_command_is_walked`."""

_SHOW_NOTHING_FOREIGN = {
    "demo-piped",
    "demo-terminal",
    "plan-piped",
    "plan-terminal",
    "plan-json",
    "copy-json",
}


def commands(group: click.Group = cli, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all commands that do something, from the parser itself."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name)


def takes_json(names: str) -> bool:
    command: click.Command | None = cli
    for name in names.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    return any("--json" in parameter.opts for parameter in command.params)


def test_every_command_is_walked() -> None:
    assert set(WORDS) == {" ".join(names) for names in commands()}


def _environment(folder: Path, base_url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "OA_SYNC_HOME": str(folder / "home"),
        "OPENANALYST_API_KEY": "oa_key_of_the_walk",
        "OPENANALYST_BASE_URL": base_url,
        "OPENANALYST_WEBHOOK_SECRET": "whsec_of_the_walk",
        "OA_SYNC_DIALECT": "page",
        "OA_SYNC_RPM": "0",
        "OA_SYNC_RPD": "0",
        "OA_SYNC_WORKSPACE": SOFT,
        "TERM": "xterm-256color",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a hostile workspace was synced, and whose files have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    bad = {"name": NAME, NAME: NAME, "resources": [{"name": NAME, NAME: 1, "endpoint": NAME}]}
    (folder / _BAD_DEFINITION).write_text(json.dumps(bad))
    reports = {"name": "reports", "primary_key": "id", "endpoint": {"path": f"reports/{NAME}"}}
    good = {"name": "good", "client": {"base_url": "https://a.example"}, "resources": [reports]}
    (folder / _GOOD_DEFINITION).write_text(json.dumps(good))
    (folder / NAME).mkdir()
    (folder / NAME / "reports.ndjson").write_text(json.dumps({"id": 5, NAME: 1}) + "\n{" + NAME)
    with hostile_api() as base_url:
        environment = _environment(folder, base_url)
        for words in (("runs", "add", f"id{EVIL}"), ("sync",)):
            run_in_pipe(folder, environment, *words)
    return folder


def run_in_pipe(folder: Path, environment: dict[str, str], *words: str) -> bytes:
    """What `oa-sync` writes to both streams."""
    done = subprocess.run(
        [*OA_SYNC, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout


def run_on_terminal(folder: Path, environment: dict[str, str], *words: str) -> bytes:
    """The same on a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*OA_SYNC, *words],
            cwd=folder,
            env=environment,
            stdout=theirs,
            stderr=theirs,
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs)
        written = b""
        with suppress(OSError):  # the terminal is gone with its last writer
            while part := os.read(ours, 65536):
                written += part
        process.wait(PATIENCE)
    finally:
        os.close(ours)
    return written


def assert_harmless(written: bytes, *, on_terminal: bool) -> None:
    text = written.decode("utf-8", "replace")
    for sequence in ("\x1b]0;", "\x1b[2J", "\x07", "\rforged", "\u202e", "\u2066", "\x9b", "\x85"):
        assert sequence not in text, f"{sequence!r} in {text!r}"
    allowed = "\n\t\N{NO-BREAK SPACE}" + ("\x1b\r" if on_terminal else "")
    assert {char for char in text if not char.isprintable()} <= set(allowed), repr(text)
    # A line of its own would look like one of ours.
    assert not any(line.strip().startswith("forged line") for line in text.splitlines()), text


@pytest.mark.parametrize("form", ["piped", "terminal", "json"])
@pytest.mark.parametrize("name", WORDS)
def test_no_command_lets_foreign_text_act(
    name: str, form: str, hostile_folder: Path, tmp_path: Path
) -> None:
    json_flag = ["--json"] if form == "json" else []
    if json_flag and not takes_json(name):
        pytest.skip("has no --json")
    run = run_on_terminal if form == "terminal" else run_in_pipe
    written = b""
    for refuses in (False, True):
        folder = tmp_path / str(refuses)
        shutil.copytree(hostile_folder, folder)
        with hostile_api(refuses=refuses) as base_url:
            words = [*name.split(), *json_flag, *WORDS[name]]
            written += run(folder, _environment(folder, base_url), *words)
    assert_harmless(written, on_terminal=form == "terminal")
    assert b"Traceback" not in written, written.decode()
    assert f"{name}-{form}" in _SHOW_NOTHING_FOREIGN or b"forged" in written, written.decode()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_of_the_receiver_holds_one_clean_line_for_each_sender(
    tmp_path: Path, log_format: str
) -> None:
    """A proxy on this machine names the sender, in the sender's words."""
    body = run_body()
    with serving(tmp_path, "--log-format", log_format) as command:
        with command.receiving.connect() as connection:
            named = request_head(body, None, "X-Forwarded-For: NAMED\x9b31m")
            connection.sendall(named.replace(b"\xc2\x9b", b"\x9b") + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        log = command.log.until(b"NAMED").decode("utf-8", "replace")
    assert "\x9b" not in log
    assert "\\x9b" in log or "\\u009b" in log


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_log_line_is_one_line(
    log_format: str, capsys: pytest.CaptureFixture[str], ours_as_before: None
) -> None:
    configure(log_format, verbose=False)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("oa_sync.test").exception("%s", EVIL)
    shown = capsys.readouterr().err
    assert_harmless(shown.replace("\nforged line\n", "").encode(), on_terminal=False)
    assert shown.splitlines()[0].endswith("forged line") or log_format == "json"


@pytest.fixture
def ours_as_before() -> Iterator[None]:
    log = logging.getLogger("oa_sync")
    before = log.handlers[:], log.propagate, log.level
    yield
    log.handlers[:], log.propagate = before[0], before[1]
    log.setLevel(before[2])


def test_a_crash_prints_no_foreign_text_either(tmp_path: Path) -> None:
    program = (
        "import oa_sync.cli as ours, click\n"
        "@ours.cli.command('crash')\n"
        f"def crash(): raise RuntimeError(bytes.fromhex({EVIL.encode().hex()!r}).decode())\n"
        "ours._COMMANDS['crash'] = ('crash', 'crash', '')\n"
        "ours._LazyGroup.get_command = lambda self, context, name: crash\n"
        "ours.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "crash"], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"RuntimeError" in done.stderr
    assert_harmless(done.stderr.replace(b"\nforged line", b""), on_terminal=False)


def test_what_is_said_of_settings_is_clean(tmp_path: Path) -> None:
    """Settings are read before a command has said how its log shall look."""
    environment = _environment(tmp_path, "http://127.0.0.1:9") | {f"OA_SYNC_{SOFT}": "x"}
    for words in ((), ("--log-format", "json")):
        written = run_in_pipe(tmp_path, environment, "status", *words)
        assert b"is set, but no setting has this name" in written
        assert_harmless(written, on_terminal=False)
        assert not words or json.loads(written.splitlines()[0])["level"] == "warning"


def test_whatever_unicode_hides_is_shown() -> None:
    hidden = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        if unicodedata.category(char) in hidden:
            assert visible(char).isascii()
            assert visible(char, "\n\t") in ("\n", "\t") or visible(char, "\n\t").isascii()
        else:
            assert visible(char) in (char, char.encode("unicode_escape").decode())


def test_json_means_the_same() -> None:
    value = {EVIL: [EVIL, "\U000e0001", "plain ü東"]}
    text = visible_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


_WRITERS = {"echo", "secho", "print", "Console", "StreamHandler", "rich_print"}
_THE_PRINTER = {"cli/printing.py", "cli/logs.py", "definitions/schema.py"}
"""The one way out; the log, which cleans its lines; and our own schema, by `python -m`."""


def test_nothing_else_in_the_package_writes_to_a_terminal() -> None:
    package = Path(oa_sync.__file__).parent
    found = []
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).as_posix()
        if place in _THE_PRINTER:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = (
                    called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                )
                writes = name == "write" and "std" in ast.unparse(called)
                ours = ast.unparse(called).startswith(("console.", "screen("))
                if writes or (name in _WRITERS and not (name == "print" and ours)):
                    found.append(f"{place}:{node.lineno}: {ast.unparse(called)}")
            if isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
                found.append(f"{place}:{node.lineno}: {node.module}")
    assert found == []
