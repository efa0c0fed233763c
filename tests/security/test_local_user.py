"""Other users of the machine: what they own or may write is not trusted, and no link of theirs is followed."""

from __future__ import annotations

import ast
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import oa_sync
from oa_sync.clock import Clock
from oa_sync.commands.download import download
from oa_sync.commands.export import export
from oa_sync.commands.sync import sync
from oa_sync.emulator.data import SAMPLE, load_workspace
from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.extract.runs.known import Announcement
from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from oa_sync.private import check_trusted, fresh_folder, home_folder, private_folder
from oa_sync.quota import open_ledger
from oa_sync.settings import Settings, resolve
from oa_sync.webhooks.inbox import Inbox, inbox_folder
from oa_sync.workspace.announced import register
from oa_sync.workspace.lock import sync_lock
from oa_sync.workspace.memory import Memory
from tests.support import command as run
from tests.support.emulator import emulator
from tests.support.syncing import settings_for
from tests.webhooks.receiving import run_body, serving

DATASET = next(iter(load_workspace(SAMPLE)["datasets"])).id
SOMEBODY = 54321
"""A user that nobody is."""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


# -- who owns what, and who may write it ----------------------------------------------------------

FIRST: dict[str, tuple[str, ...]] = {
    "runs add": ("runs", "add", "run_1"),
    "sync": ("sync",),
    "check": ("check",),
    "status": ("status",),
    "plan": ("plan",),
    "query": ("query", "ds_1", "SELECT 1", "--table", "t"),
    "download": ("download", "ds_1", "--table", "t"),
    "export": ("export", "--to", "out"),
}


@pytest.mark.parametrize("command", FIRST)
def test_home_is_for_its_user_alone_whichever_command_comes_first(
    command: str, tmp_path: Path
) -> None:
    with emulator(dialect="cursor") as api:
        environment = {
            "OPENANALYST_API_KEY": "oa_test",
            "OPENANALYST_BASE_URL": api.base_url,
            "OA_SYNC_DIALECT": "cursor",
            "OA_SYNC_HOME": str(tmp_path / "deep" / "home"),
        }
        run.oa_sync(*FIRST[command], cwd=tmp_path, **environment)
    assert_private(tmp_path / "deep" / "home")


def test_home_is_for_its_user_alone_where_the_receiver_comes_first(tmp_path: Path) -> None:
    with serving(tmp_path / "deep" / "home") as command:
        assert command.receiving.post(run_body()).status_code == 200
        assert_private(tmp_path / "deep" / "home")


def assert_private(home: Path) -> None:
    found = [home, *home.rglob("*")]
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in found if path.exists()}
    assert not {path: oct(mode) for path, mode in modes.items() if mode & 0o077}


def _home(folder: Path) -> Callable[[], object]:
    return lambda: home_folder(folder / "home")


def _secrets(folder: Path) -> Callable[[], object]:
    return lambda: resolve({}, environ={}, cwd=folder)


PLACES = {
    "home": ("home", _home),
    "secrets.toml": (".dlt/secrets.toml", _secrets),
    "config.toml": (".dlt/config.toml", _secrets),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[], object]]:
    """Something that is trusted, and what looks at it before it is used."""
    name, look = PLACES[request.param]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if request.param == "home":
        path.mkdir(0o700)
    else:
        path.touch(0o600)
    return path, look(tmp_path)


def test_what_everybody_may_write_is_refused(place: tuple[Path, Callable[[], object]]) -> None:
    path, look = place
    path.chmod(0o722)
    with pytest.raises(ConfigurationError, match="everybody on this machine may write") as refused:
        look()
    assert f"chmod o-w {path}" in str(refused.value)


def test_a_home_that_is_no_folder_is_told_as_such(tmp_path: Path) -> None:
    """Its mode is of no interest: `chmod o-w /dev/null` would be bad advice."""
    with pytest.raises(ConfigurationError, match=r"Not a directory; choose another --home") as told:
        sync(Settings(home="/dev/null", api_key="oa_x", database=tmp_path / "x.duckdb"))  # type: ignore[arg-type]
    assert "chmod" not in str(told.value)


@only_root
def test_what_another_user_owns_is_refused(place: tuple[Path, Callable[[], object]]) -> None:
    path, look = place
    os.chown(path, SOMEBODY, -1)
    with pytest.raises(ConfigurationError, match=f"belongs to user {SOMEBODY}") as refused:
        look()
    assert f"chown -R 0 {path}" in str(refused.value)


def test_what_a_group_may_write_is_told_once_and_used(
    place: tuple[Path, Callable[[], object]], caplog: pytest.LogCaptureFixture
) -> None:
    """Kubernetes mounts volumes like that."""
    path, look = place
    path.chmod(0o2770 if path.is_dir() else 0o660)
    with caplog.at_level(logging.WARNING, "oa_sync.private"):
        look()
        look()
    assert [f"chmod g-w {path}" in record.getMessage() for record in caplog.records] == [True]


def test_a_folder_above_home_that_everybody_may_write_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An `emptyDir` of Kubernetes is like that, and its user cannot change it."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    home_folder(volume / "home")
    assert [f"chmod +t {volume}" in record.getMessage() for record in caplog.records] == [True]
    assert stat.S_IMODE((volume / "home").stat().st_mode) == 0o700


def test_a_secret_that_everybody_may_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secrets.toml").touch(0o644)
    check_trusted(tmp_path / "secrets.toml", is_secret=True)
    check_trusted(tmp_path / "secrets.toml", is_secret=False)
    assert len(caplog.records) == 1
    assert f"chmod 600 {tmp_path / 'secrets.toml'}" in caplog.text


@only_root
def test_what_root_owns_is_fine_for_another_user(
    place: tuple[Path, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that the cluster mounted, or a secret."""
    _, look = place
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    look()


@pytest.mark.parametrize("command", ["sync", "runs add", "status"])
def test_a_command_says_what_to_type_and_ends_with_2(command: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)
    done = run.oa_sync(*FIRST[command], cwd=tmp_path, OPENANALYST_API_KEY="oa_test")
    assert done.returncode == 2, done.stderr
    assert f"chmod o-w {tmp_path / 'home'}" in done.stderr
    assert list((tmp_path / "home").iterdir()) == []


def test_home_itself_may_be_a_link_of_its_user(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(0o700)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    home_folder(tmp_path / "home")
    private_folder(tmp_path / "home" / "journal" / "x", above=1)
    assert (tmp_path / "disk" / "journal" / "x").is_dir()


# -- links ----------------------------------------------------------------------------------------


def everything(settings: Settings, out: Path) -> None:
    """All that writes in home, as far as it goes."""
    clock = Clock()
    register_one = Announcement("run_1", clock.now(), "add")
    steps: tuple[Callable[[], object], ...] = (
        lambda: register(settings, clock, [register_one]),
        lambda: _callback(settings, clock),
        lambda: sync(settings, ()),
        lambda: _journal(settings),
        lambda: export(settings, out),
        lambda: download(settings, DATASET, "csv", "t"),
    )
    for step in steps:
        with suppress(OaSyncError, OSError):
            step()


def _callback(settings: Settings, clock: Clock) -> None:
    with closing(Inbox(inbox_folder(settings.home, settings.workspace), clock)) as inbox:
        inbox.append(run_body(), clock.now())


def _journal(settings: Settings) -> None:
    """A load that failed, and was set aside."""
    journal = Journal(settings.journal)
    journal.append(Item(Kind.DETAIL, "reports", "r", Clock().now(), row=b"{}", body=b"{}"))
    segment = journal.rotate()
    assert segment is not None
    journal.failed(segment)
    journal.set_aside(segment)


_seen: list[Path] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open" and isinstance(arguments[0], str):
        if isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _seen.append(Path(arguments[0]))
    elif event in ("os.mkdir", "sqlite3.connect") and isinstance(arguments[0], (str, os.PathLike)):
        _seen.append(Path(arguments[0]))
    elif event == "os.rename":
        _seen.append(Path(os.fsdecode(arguments[1])))


sys.addaudithook(_hook)


@contextmanager
def writing_seen() -> Iterator[list[Path]]:
    """All paths that this process makes or opens to write."""
    global _seen
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with emulator(load_workspace(SAMPLE), dialect="cursor") as server:
        yield server.base_url


def _settings(api: str, folder: Path) -> Settings:
    return replace(settings_for(api, folder), dialect="cursor")


def _stable(path: Path, home: Path) -> bool:
    """Whether the name can be known before: it holds no number of a process, and no chance."""
    return not any(str(os.getpid()) in part for part in path.relative_to(home).parts)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_no_writer_follows_a_link_in_home(api: str, tmp_path: Path, kind: str) -> None:
    """Which paths are written is watched, so that a new writer is tried as well."""
    first = tmp_path / "first"
    first.mkdir()
    with writing_seen() as seen:
        everything(_settings(api, first), first / "out")
    home = first / "home"
    found = {path for path in map(Path, map(os.path.normpath, seen)) if home in path.parents}
    found |= {parent for path in found for parent in path.parents if home in parent.parents}
    names = sorted({path.relative_to(home) for path in found if _stable(path, home)})
    named = {part for name in names for part in name.parts}
    assert {"locks", "journal", "inbox", "memory", "dlt", "downloads", "quota.sqlite3"} <= named
    assert any(name.name.endswith(".holder.json") for name in names)
    for number, name in enumerate(name for name in names if len(name.parts) <= DEPTH):
        _plant_and_run(api, tmp_path / str(number), name, kind)


_ROOMS_OF_HOME = ("journal", "quota", "webhooks", "workspace")
_WRITE = {"mkdir", "touch", "write_text", "write_bytes", "symlink_to", "link", "makedirs"}


def test_the_rooms_that_write_in_home_do_it_in_one_way() -> None:
    """`oa_sync/private.py`: what is opened or made anywhere else might follow a link."""
    package = Path(oa_sync.__file__).parent
    found = []
    for path in (
        each for room in _ROOMS_OF_HOME for each in sorted((package / room).rglob("*.py"))
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if node.func.attr in _WRITE or (
                    called == "os.open" and "O_CREAT" in ast.unparse(node)
                ):
                    found.append(f"{path.relative_to(package)}:{node.lineno}: {called}")
    assert found == []


def _lock(home: Path) -> None:
    with sync_lock(home / "locks", "name", "what", Clock()):
        pass


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("locks", _lock),
        ("locks/name.lock", _lock),
        ("locks/name.holder.json", _lock),
        ("journal", lambda home: Journal(home / "journal" / "x")),
        ("journal/x", lambda home: Journal(home / "journal" / "x")),
        ("memory", lambda home: Memory(home / "memory" / "x.json").set("a", 1)),
        ("memory/x.json", lambda home: Memory(home / "memory" / "x.json").set("a", 1)),
        ("quota.sqlite3", lambda home: open_ledger(home, None, Clock()).close()),
        ("quota.sqlite3.lock", lambda home: open_ledger(home, None, Clock()).close()),
        ("quota.sqlite3.new", lambda home: open_ledger(home, None, Clock()).close()),
        ("inbox", lambda home: Inbox(home / "inbox" / "x", Clock()).close()),
        ("inbox/x", lambda home: Inbox(home / "inbox" / "x", Clock()).close()),
        ("inbox/x/inbox.sqlite", lambda home: Inbox(home / "inbox" / "x", Clock()).close()),
        ("inbox/x/inbox.lock", lambda home: Inbox(home / "inbox" / "x", Clock()).close()),
        ("dlt", lambda home: fresh_folder(home / "dlt" / "x")),
        ("dlt/x", lambda home: fresh_folder(home / "dlt" / "x")),
    ],
)
def test_a_link_is_replaced_or_told_and_never_written_through(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    for kind in ("file", "folder"):
        link, victim, kept = _planted(tmp_path / kind, Path(name), kind)
        try:
            write(tmp_path / kind / "home")
        except (OaSyncError, OSError) as error:
            assert "symbolic link" in str(error), error
            assert link.is_symlink()
        _assert_untouched(victim, kept)


DEPTH = 3
"""How far below home links are planted; what is deeper is made anew by every command."""


def _planted(folder: Path, name: Path, kind: str) -> tuple[Path, Path, Path]:
    """A link at `name` in home, what it points to, and the file that must stay as it is."""
    link, victim, kept = folder / "home" / name, folder / "victim", folder / "victim"
    link.parent.mkdir(parents=True)
    if kind == "folder":
        victim.mkdir()
        kept = victim / "kept"
    kept.write_bytes(b"precious")
    victim.chmod(0o755)
    link.symlink_to(victim)
    return link, victim, kept


def _assert_untouched(victim: Path, kept: Path) -> None:
    assert (stat.S_IMODE(victim.stat().st_mode), kept.read_bytes()) == (0o755, b"precious")
    if victim.is_dir():
        assert list(victim.iterdir()) == [kept]


def _plant_and_run(api: str, folder: Path, name: Path, kind: str) -> None:
    _, victim, kept = _planted(folder, name, kind)
    everything(_settings(api, folder), folder / "out")
    _assert_untouched(victim, kept)
